"""``dmfs url``, ``open`` and ``path``: between paths and web pages, both ways."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dmfs.cli import DONE
from dmfs.cli.control.bar import print_json
from dmfs.cli.control.runner import Located, locate, ours_of, run_job
from dmfs.cli.control.target import mounts_of
from dmfs.cli.settings import Invocation
from dmfs.control.mounts import Seen, shows
from dmfs.errors import DriveError, SetupError
from dmfs.web_links.parse import TEXT_MAX_CHARS, parse

Answer = Mapping[str, Any]


def url_command(call: Invocation) -> int:
    """Print the address of an entry's web page."""
    answer = _url(call)
    if call.options.json:
        print_json(answer)
    else:
        _write(answer["url"])
    return DONE


def open_command(call: Invocation) -> int:
    """Show the web page of an entry."""
    from dmfs.cli.exploring.browser import show

    show(_url(call)["url"], call.environ)
    return DONE


def path_command(call: Invocation) -> int:
    """Print where a link leads to: below a mountpoint where a mount shows it, else in the drive."""
    text = _text(call.options.link)
    parse(text)  # what is no link needs neither a mount nor a drive
    mounts = ours_of(call, mounts_of(call))
    located = Located([], mounts[0] if mounts else None)
    answer = dict(_answer(call, "path", located, {"link": text}))
    local = local_paths(answer["path"], mounts)
    answer["local"] = local[0] if local else None
    if call.options.json:
        print_json(answer)
    else:
        _write(answer["local"] or answer["path"])
    return DONE


def local_paths(path: str, mounts: Sequence[Seen]) -> list[str]:
    """Where mounts show a path of the whole drive, the one that shows the least first."""
    found = []
    for seen in mounts:
        if seen.card is not None and shows(seen, path):
            parts = [part for part in path.split("/") if part]
            depth = len([part for part in seen.card.source.split("/") if part and part != "."])
            found.append((-depth, "/".join([seen.mountpoint.rstrip("/") or "", *parts[depth:]])))
    return [local for _, local in sorted(found)]


def _url(call: Invocation) -> Answer:
    located = locate(call, [call.options.path], any_mount=True)
    return _answer(call, "url", located, {"path": located.paths[0]})


def _answer(call: Invocation, verb: str, located: Located, parameters: Answer) -> Answer:
    """The last event of a job, without its word for that."""
    last: dict[str, Any] = {}

    def show(event: Answer) -> None:
        if event["event"] == "waiting":
            sys.stderr.write(f"dmfs: the rate limit asks to wait {event['seconds']:.0f} s\n")
        elif event["event"] == "done":
            last.update(event)

    run_job(call, verb, located, parameters, show)
    if not last:
        raise DriveError(f"{verb} ended without an answer")
    del last["event"]
    return last


def _text(given: str) -> str:
    """The link, or what has it in it: ``-`` for stdin, or a shortcut (``.url``, ``.desktop``)."""
    if given == "-":
        return _decoded(sys.stdin.buffer.read(TEXT_MAX_CHARS + 1))
    if not given.lower().endswith((".url", ".desktop")) or "://" in given:
        return given
    path = Path(given)
    try:
        if not path.is_file():
            return given
        with path.open("rb") as file:
            return _decoded(file.read(TEXT_MAX_CHARS + 1))
    except OSError as error:
        raise SetupError(f"{given!r} cannot be read: {error.strerror}") from None


def _decoded(raw: bytes) -> str:
    """Shortcuts of Windows may be UTF-16."""
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return raw.decode("utf-16", "replace")
    return raw.decode("utf-8-sig", "replace")


def _write(line: str) -> None:
    sys.stdout.write(f"{line}\n")

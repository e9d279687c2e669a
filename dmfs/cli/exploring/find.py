"""``dmfs find``: entries by name, kind, size and time.

What is known and fresh is answered from the listings on disk, before anything is loaded that a call
would need; else the mount that shows the path does the work, or a drive of this process.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dmfs.cli import DONE
from dmfs.cli.control.runner import Located, locate
from dmfs.cli.control.target import mounts_of
from dmfs.cli.settings import Invocation, read_settings
from dmfs.control.mounts import place_of
from dmfs.errors import NotADirectory, NotFoundError
from dmfs.jobs.find.criteria import Criteria, criteria_of
from dmfs.jobs.find.entries import parts_of
from dmfs.jobs.find.known import Known, NotADirectoryHere, Trust, find_known
from dmfs.names import printable
from dmfs.system.clock import iso_seconds, wall_time_s

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dmfs.config import Settings

Event = Mapping[str, Any]
Write = Callable[[str], object]


def find_command(call: Invocation) -> int:
    """``dmfs find PATH``. DriveErrors; UsageError for criteria that make no sense."""
    given = call.options
    parameters: dict[str, Any] = {
        key: value
        for key in ("name", "iname", "type", "newer", "size", "known")
        if (value := getattr(given, key)) not in (None, False)
    }
    criteria = criteria_of(parameters, wall_time_s())
    mounts = mounts_of(call)
    place = place_of(given.path, mounts)
    # without any, there is nothing to say that would have to be logged
    located = locate(call, [given.path]) if mounts else Located([place.path], None)
    parts = parts_of(located.paths[0])
    is_below_mount = place.mount is not None
    out = Output(call, "/" + "/".join(parts), given.path if is_below_mount else "")
    if located.mount is None:
        known = _known(read_settings(call), parts, criteria, given)
        if known is not None:
            return out.known(known)
        if given.known:
            raise NotFoundError(
                f"this machine knows nothing of {printable(out.base)!r}",
                hint="without --known, the service is asked",
            )
    return _run(call, located, {"path": out.base, **parameters}, out)


def _known(
    settings: Settings, parts: Sequence[str], criteria: Criteria, given: Any
) -> Known | None:
    """What the disk answers; None where that is not enough."""
    if settings.cache_size == 0:
        return None
    from dmfs.auth.whose import principal_on_disk
    from dmfs.namespace.stored.database import StoredListings
    from dmfs.namespace.stored.partition import listing_scope

    scope = listing_scope(settings, principal_on_disk(settings))
    trust = Trust(settings.ttl, settings.hub_ttl, settings.rollup_trust)
    try:
        known = find_known(
            StoredListings(settings.cache_dir, scope), trust, parts, criteria,
            whole_only=not given.known, with_details=given.json,
        )  # fmt: skip
    except NotADirectoryHere as error:
        (path,) = error.args
        raise NotADirectory(
            f"{printable(path)!r} is a file, so there is nothing to find in it",
            hint="name the folder that it is in",
        ) from None
    return known if known is not None and (given.known or known.is_whole) else None


def _run(call: Invocation, located: Located, parameters: Mapping[str, Any], out: Output) -> int:
    from dmfs.cli.control.bar import bar
    from dmfs.cli.control.runner import run_job

    with bar() as (advance, write):
        if sys.stdout.isatty() and not call.options.null:
            out.write = lambda text: write(text.rstrip("\n"))

        def show(event: Event) -> None:
            match event["event"]:
                case "listing":
                    text = f"{event['done']:,} of {event['known']:,} folders"
                    advance(text, event["done"], event["known"])
                case "waiting":
                    advance(f"the rate limit asks to wait {event['seconds']:.0f} s", 0, 0)
                case _:
                    out.event(event)

        return run_job(call, "find", located, parameters, show)


class Output:
    """Paths on stdout, as the person named the folder; all else on stderr."""

    def __init__(self, call: Invocation, base: str, shown: str) -> None:
        """``base``: PATH in the drive; ``shown``: how the person named it, '' if so."""
        self._json = call.options.json
        self._end = "\0" if call.options.null else "\n"
        self._known_only = call.options.known
        self.base = base
        self._cut = len(base.rstrip("/"))
        self._shown = (shown.rstrip("/") or "/") if shown else base
        self._begin = self._shown.rstrip("/")
        self._tty = sys.stdout.isatty() and not call.options.null
        self.write: Write = self._write

    def known(self, known: Known) -> int:
        """All that the disk has, in one write."""
        if self._json:
            self._entries(known.entries)
        else:
            self.write("".join(self._path(path) + self._end for path in known.paths))
        as_of = iso_seconds(wall_time_s() - known.oldest_s)
        found = len(known.entries) or len(known.paths)
        self.event({
            "event": "done", "found": found, "folders": known.folders,
            "unknown": len(known.unknown), "as_of": as_of, "searched": 0, "calls": 0, "failed": 0,
        })  # fmt: skip
        return DONE

    def event(self, event: Event) -> None:
        """One event of the job."""
        kind = event["event"]
        if kind == "found":
            self._entries(event["entries"])
        elif self._json:
            self.write(json.dumps(event, ensure_ascii=False) + "\n")
        elif kind == "failed":
            _say(f"{printable(event['path'])}: {event['message']}")
        elif kind == "note":
            _say(event["message"])
        elif kind == "done":
            self._done(event)

    def _done(self, event: Event) -> None:
        if event["calls"] == 0 and event["folders"]:
            _say(f"as of {event['as_of']}")
        if event["unknown"]:
            folders = "1 folder is" if event["unknown"] == 1 else f"{event['unknown']} folders are"
            _say(f"{folders} not known here" + ("; without --known, the service is asked"
                 if self._known_only else ""))  # fmt: skip

    def _entries(self, entries: Sequence[Mapping[str, Any]]) -> None:
        if self._json:
            lines = (
                {"event": "found", **entry, "path": self._path(entry["path"], plain=True)}
                for entry in entries
            )
            self.write("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
        else:
            self.write("".join(self._path(entry["path"]) + self._end for entry in entries))

    def _path(self, path: str, *, plain: bool = False) -> str:
        """As the person would name it."""
        rest = path[self._cut :]
        found = self._shown if rest in ("", "/") else self._begin + rest
        return printable(found) if self._tty and not plain else found

    @staticmethod
    def _write(text: str) -> None:
        if text:
            sys.stdout.write(text)
            sys.stdout.flush()


def _say(text: str) -> None:
    sys.stderr.write(f"dmfs: {text}\n")
    sys.stderr.flush()

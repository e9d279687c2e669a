"""``dmfs pin`` and ``dmfs unpin``: what is to be whole, newest and offline."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from dmfs.cli import FAILED
from dmfs.cli.control.bar import print_json, showing_events
from dmfs.cli.control.runner import Located, locate, run_job
from dmfs.cli.control.words import plural, size
from dmfs.cli.settings import Invocation
from dmfs.errors import UsageError
from dmfs.names import printable

_FORMAT = re.compile(r"[a-z0-9]{1,16}")


def pin_command(call: Invocation) -> int:
    """Record, and show how far it is until all is there; Ctrl-C leaves it to the mounts."""
    given = call.options
    if given.list == bool(given.paths):
        raise UsageError("either PATHs or --list", hint="dmfs pin /HUB/PROJECT/folder")
    if given.list:
        return _run(call, "pins", locate(call, [], any_mount=True), {}, pin_line)
    if given.export and not _FORMAT.fullmatch(given.export):
        raise UsageError(f"--export: {given.export!r} is no format", hint="f3z, step, pdf …")
    located = locate(call, given.paths, any_mount=True)
    ends: list[Mapping[str, Any]] = []

    def line(event: Mapping[str, Any]) -> str:
        ends[:] = [event]
        return progress_line(event)

    parameters = {"paths": located.paths, "export": given.export or ""}
    status = _run(call, "pin", located, parameters, line)
    whole = bool(ends) and all(pin["state"] == "complete" for pin in ends[-1].get("pins", ()))
    return status if whole else FAILED


def unpin_command(call: Invocation) -> int:
    """Take intentions back."""
    located = locate(call, call.options.paths, any_mount=True)
    return _run(call, "unpin", located, {"paths": located.paths}, unpinned_line)


def _run(
    call: Invocation,
    verb: str,
    located: Located,
    parameters: Mapping[str, Any],
    line: Callable[[Mapping[str, Any]], str],
) -> int:
    if call.options.json:

        def show_json(event: Mapping[str, Any]) -> None:
            line(event)
            print_json(event)

        return run_job(call, verb, located, parameters, show_json)
    with showing_events(line) as show:
        return run_job(call, verb, located, parameters, show)


def progress_line(event: Mapping[str, Any]) -> str:
    """Of ``pin``: what it takes, and in the end how far it is."""
    if event["event"] == "progress":
        return ""
    if event["event"] == "estimate":
        return (
            f"{plural(event['files'], 'file')}, {size(event['bytes'])}"
            f" ({size(event['room_bytes'])} left for pins)"
        )
    return "\n".join(pin_line({"event": "pin", **each}) for each in event["pins"])


def pin_line(event: Mapping[str, Any]) -> str:
    """Of ``pin --list``: a line for each pin."""
    if event["event"] != "pin":
        return "" if event.get("pins") else "nothing is pinned"
    error = f": {printable(event['error'])}" if event["error"] else ""
    counts = f"{event['files_done']:,} of {plural(event['files'], 'file')}, {_bytes(event)}"
    designs = f", designs as {event['export']}" if event.get("export") else ""
    return f"{printable(event['path'])}: {event['state']} ({counts}{designs}){error}"


def unpinned_line(event: Mapping[str, Any]) -> str:
    """Of ``unpin``."""
    return "\n".join(f"no longer pinned: {printable(each)}" for each in event["unpinned"])


def _bytes(event: Mapping[str, Any]) -> str:
    return f"{size(event['bytes_done'])} of {size(event['bytes'])}"

"""``dmfs pin`` and ``dmfs unpin``: what is to be whole, newest and offline."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from typing import Any

from dmfs.cli.control.runner import Located, locate, run_job
from dmfs.cli.control.words import plural, size
from dmfs.cli.settings import Invocation
from dmfs.errors import UsageError
from dmfs.names import printable


def pin_command(call: Invocation) -> int:
    """Record, and show how far it is until all is there; Ctrl-C leaves it to the mounts."""
    given = call.options
    if given.list == bool(given.paths):
        raise UsageError("either PATHs or --list", hint="dmfs pin /HUB/PROJECT/folder")
    if given.list:
        return run_job(call, "pins", locate(call, [], any_mount=True), {}, _shown(call, pin_line))
    located = locate(call, given.paths, any_mount=True)
    return run_job(call, "pin", located, _paths(located), _shown(call, progress_line))


def unpin_command(call: Invocation) -> int:
    """Take intentions back."""
    located = locate(call, call.options.paths, any_mount=True)
    return run_job(call, "unpin", located, _paths(located), _shown(call, unpinned_line))


def _paths(located: Located) -> dict[str, Any]:
    return {"paths": located.paths}


def _shown(
    call: Invocation, line: Callable[[Mapping[str, Any]], str]
) -> Callable[[Mapping[str, Any]], None]:
    def show(event: Mapping[str, Any]) -> None:
        text = json.dumps(event) if call.options.json else line(event)
        if text:
            sys.stdout.write(text + "\n")
            sys.stdout.flush()

    return show


def progress_line(event: Mapping[str, Any]) -> str:
    """Of ``pin``: a line for each step."""
    if event["event"] == "estimate":
        return (
            f"{plural(event['files'], 'file')}, {size(event['bytes'])}"
            f" ({size(event['room_bytes'])} left for pins)"
        )
    if event["event"] == "done":
        return "\n".join(pin_line({"event": "pin", **each}) for each in event["pins"])
    return f"{event['files_done']:,} of {plural(event['files'], 'file')}, {_bytes(event)}"


def pin_line(event: Mapping[str, Any]) -> str:
    """Of ``pin --list``: a line for each pin."""
    if event["event"] != "pin":
        return "" if event.get("pins") else "nothing is pinned"
    error = f": {printable(event['error'])}" if event["error"] else ""
    counts = f"{event['files_done']:,} of {plural(event['files'], 'file')}, {_bytes(event)}"
    return f"{printable(event['path'])}: {event['state']} ({counts}){error}"


def unpinned_line(event: Mapping[str, Any]) -> str:
    """Of ``unpin``."""
    return "\n".join(f"no longer pinned: {printable(each)}" for each in event["unpinned"])


def _bytes(event: Mapping[str, Any]) -> str:
    return f"{size(event['bytes_done'])} of {size(event['bytes'])}"

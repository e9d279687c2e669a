"""``dmfs export``: Fusion designs and drawings as files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dmfs.cli.control.bar import print_json, showing_events
from dmfs.cli.control.runner import locate, run_job
from dmfs.cli.control.words import plural, size
from dmfs.cli.settings import Invocation
from dmfs.names import printable


def export_command(call: Invocation) -> int:
    """In a running mount, else here; Ctrl-C leaves jobs that the same command takes up."""
    given = call.options
    located = locate(call, given.paths)
    umask = os.umask(0o077)
    os.umask(umask)
    parameters: dict[str, Any] = {
        "paths": located.paths, "format": given.format or "", "keep": given.keep,
        "recursive": given.recursive, "umask": umask,
    }  # fmt: skip
    if not given.keep:
        # of this process: a mount has another working directory
        parameters["output"] = str(Path(given.output or ".").absolute())
    if given.json:
        return run_job(call, "export", located, parameters, print_json)
    with showing_events(export_line) as show:
        return run_job(call, "export", located, parameters, show)


def export_line(event: Mapping[str, Any]) -> str:
    """The line of the last event."""
    if event["event"] != "done":
        return ""
    line = f"{plural(event['exported'], 'design')} exported, {size(event['bytes'])}"
    if event["there"]:
        line += f"; {event['there']:,} there already"
    if event["left_out"]:
        line += f"; {event['left_out']:,} left out: not to be had in this format"
    return printable(line)

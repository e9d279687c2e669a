"""``dmfs put``, ``rm``, ``mkdir`` and ``restore``."""

from __future__ import annotations

import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dmfs.cli import DONE
from dmfs.cli.control.bar import print_json, showing_events
from dmfs.cli.control.runner import in_the_drive
from dmfs.cli.control.words import plural
from dmfs.cli.settings import Invocation, start
from dmfs.cli.writing.owner import run_writing_job
from dmfs.errors import SetupError, UsageError
from dmfs.names import printable
from dmfs.spans import MIB

Event = Mapping[str, Any]
Line = Callable[[Event], str]


def put_command(call: Invocation) -> int:
    """Save a file of this machine, and wait until the service has it."""
    given = call.options
    call, path = in_the_drive(call, given.path)
    if given.path.endswith("/"):
        path = path.rstrip("/") + "/"
    settings = start(call)
    name = "" if given.local == "-" else Path(given.local).name
    with _source(given.local, settings.state_dir) as source:
        return _run(call, "put", {"source": source, "path": path, "name": name}, _put)


@contextmanager
def _source(local: str, directory: Path) -> Iterator[str]:
    """A path at which this process, and a mount of this user, can read the file. What comes by
    stdin is stored first: it can be read once, and its size is not known."""
    if local == "-":
        try:
            directory.mkdir(0o700, parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=directory) as file:
                shutil.copyfileobj(sys.stdin.buffer, file, MIB)
                file.flush()
                yield f"/proc/{os.getpid()}/fd/{file.fileno()}"
        except OSError as error:
            raise SetupError(f"stdin cannot be stored: {error.strerror}") from None
        return
    if Path(local).is_dir():
        raise UsageError(f"{local!r} is a directory", hint="dmfs put takes one file")
    try:
        descriptor = os.open(local, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise SetupError(f"{local!r} cannot be read: {error.strerror}") from None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise UsageError(f"{local!r} is no regular file", hint="dmfs put - PATH reads stdin")
        yield f"/proc/{os.getpid()}/fd/{descriptor}"
    finally:
        os.close(descriptor)


def _put(event: Event) -> str:
    if event["event"] != "done":
        return ""
    text = f"{printable(event['path'])}: v{event['version']}"
    if event["beside"]:
        text += " (somebody else has changed the file meanwhile: yours is beside it)"
    return text


def rm_command(call: Invocation) -> int:
    """Delete, and wait until the service has done so."""
    return _with_paths(call, "rm", {}, lambda event: _count("deleted", event, "removed"))


def mkdir_command(call: Invocation) -> int:
    """Make folders."""
    more = {"parents": call.options.parents}
    return _with_paths(call, "mkdir", more, lambda event: _count("made", event, "made"))


def restore_command(call: Invocation) -> int:
    """Bring a deleted file back."""
    call, path = in_the_drive(call, call.options.path)
    start(call)
    return _run(call, "restore", {"path": path}, lambda event: f"restored: {event['path']}")


def _with_paths(call: Invocation, verb: str, more: Mapping[str, Any], line: Line) -> int:
    paths: list[str] = []
    given: Sequence[str] = call.options.paths
    for each in given:
        call, path = in_the_drive(call, each)
        paths.append(path)
    start(call)
    return _run(call, verb, {"paths": paths, **more}, line)


def _run(call: Invocation, verb: str, parameters: Mapping[str, Any], line: Line) -> int:
    if call.options.json:
        run_writing_job(call, verb, parameters, print_json)
    else:
        with showing_events(line) as show:
            run_writing_job(call, verb, parameters, show)
    return DONE


def _count(what: str, event: Event, key: str) -> str:
    return f"{plural(event[key], 'entry', 'entries')} {what}"

"""``dmfs desktop install``, ``remove`` and ``status``."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dmfs.cli import DONE, FAILED
from dmfs.cli.desktop.menu import menu_command
from dmfs.cli.settings import Invocation
from dmfs.desktop.data_places import data_dirs, data_home
from dmfs.desktop.installing import Place
from dmfs.desktop.missing import missing
from dmfs.errors import SetupError, UsageError
from dmfs.names import printable

SYSTEM = Path("/usr/local/share")


def desktop_command(call: Invocation) -> int:
    """One line of what was done or how it stands, one of each thing that is missing. FAILED if
    `status` finds files that are not there as they should be."""
    options = call.options
    if options.action == "menu":
        return menu_command(call)
    if options.words:
        raise UsageError(f"{options.words[0]!r} is too much: dmfs desktop {options.action}")

    def which(program: str) -> str | None:
        return shutil.which(program, path=call.environ.get("PATH"))

    from dmfs.cli.documents.command import documents  # the menu has no use for it

    made = documents("")
    place = Place(_directory(call), which, made)
    if not (options.user or options.system or options.directory or options.action == "remove"):
        for other in data_dirs(call.environ):
            packaged = Place(other, which, made)
            if packaged.is_complete():
                return _say_packaged(call, packaged, which)
    answer: dict[str, Any] = {"action": options.action, "directory": str(place.directory)}
    if options.action == "status":
        answer["files"] = place.states()
    else:
        answer |= place.install() if options.action == "install" else place.remove()
        answer["problems"] = [] if options.directory else place.refresh()
    if options.action != "remove" and not options.directory:
        answer["missing"] = missing(call.environ, which)
    if options.json:
        sys.stdout.write(json.dumps(answer, indent=2) + "\n")
    else:
        for line in _lines(answer, len(place.files)):
            sys.stdout.write(printable(line) + "\n")
    return FAILED if set(answer.get("files", {}).values()) - {"current"} else DONE


def _directory(call: Invocation) -> Path:
    options = call.options
    if options.directory is not None:
        if not options.directory:
            raise SetupError("--directory is empty")
        return Path(options.directory).absolute()
    if options.system:
        return SYSTEM
    data = data_home(call.environ)
    if data is None:
        raise SetupError("there is no home directory to install in", hint="use --directory DIR")
    return data


def _say_packaged(call: Invocation, place: Place, which: Callable[[str], str | None]) -> int:
    """A second copy in a person's own place would show each item of a menu twice. What is missing
    is so all the same: packages only recommend it."""
    lacking = missing(call.environ, which)
    if call.options.json:
        answer = {"action": call.options.action, "directory": str(place.directory)}
        states = {"files": place.states(), "missing": lacking}
        sys.stdout.write(json.dumps(answer | states, indent=2) + "\n")
        return DONE
    lines = [f"installed for all users in {place.directory}: nothing is to be done"]
    for line in [*lines, *_lacking(lacking)]:
        sys.stdout.write(printable(line) + "\n")
    return DONE


def _lacking(names: Sequence[str]) -> list[str]:
    return [f"missing: {each}" for each in names]


def _lines(answer: Mapping[str, Any], count: int) -> list[str]:
    where = answer["directory"]
    if answer["action"] == "status":
        states = list(answer["files"].values())
        current = states.count("current")
        lines = [f"{current} of {count} files are installed in {where}"]
        if current < count and "foreign" not in states:
            lines.append("to install the others: dmfs desktop install")
        foreign = [name for name, state in answer["files"].items() if state == "foreign"]
    elif answer["action"] == "install":
        changed = len(answer["written"])
        news = f"{changed} of them new" if changed else "nothing was to be done"
        foreign = answer["foreign"]
        lines = [f"{count - len(foreign)} files are installed in {where}: {news}"]
    else:
        foreign = answer["foreign"]
        lines = [f"{len(answer['removed'])} files removed from {where}"]
    lines += [f"left as it is, for it is not of dmfs: {where}/{name}" for name in foreign]
    lines += answer.get("problems", [])
    return lines + _lacking(answer.get("missing", []))

"""``dmfs desktop install``, ``remove`` and ``status``."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dmfs.cli import DONE, FAILED
from dmfs.cli.desktop.menu import menu_command
from dmfs.cli.settings import Invocation
from dmfs.desktop.installing import Place
from dmfs.desktop.missing import missing
from dmfs.errors import SetupError, UsageError
from dmfs.names import printable

SYSTEM = Path("/usr/local/share")
MAX_DIRECTORIES = 16


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
        for other in _of_all_users(call.environ):
            packaged = Place(other, which, made)
            if packaged.is_complete():
                return _say_packaged(call, packaged)
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
    data, home = call.environ.get("XDG_DATA_HOME", ""), call.environ.get("HOME", "")
    if data.startswith("/"):  # the specification has others ignored
        return Path(data)
    if not home.startswith("/"):
        raise SetupError("there is no home directory to install in", hint="use --directory DIR")
    return Path(home) / ".local/share"


def _of_all_users(environ: Mapping[str, str]) -> list[Path]:
    """Where packages install, and ``--system`` does."""
    words = environ.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share"
    return [Path(word) for word in words.split(":")[:MAX_DIRECTORIES] if word.startswith("/")]


def _say_packaged(call: Invocation, place: Place) -> int:
    """A second copy in a person's own place would show each item of a menu twice."""
    if call.options.json:
        answer = {"action": call.options.action, "directory": str(place.directory)}
        sys.stdout.write(json.dumps(answer | {"files": place.states()}, indent=2) + "\n")
    else:
        sys.stdout.write(f"installed for all users in {place.directory}: nothing is to be done\n")
    return DONE


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
    return lines + [f"missing: {each}" for each in answer.get("missing", [])]

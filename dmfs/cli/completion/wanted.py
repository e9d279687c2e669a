"""What belongs at the cursor, by the parsers themselves. Pure."""

from __future__ import annotations

# ruff: noqa: SLF001 - argparse shows its parts to nobody
from collections.abc import Mapping, Sequence

from dmfs.cli.parser import COMMON, parsers

TYPE_CHECKING = False  # as in dmfs.cli.parser
if TYPE_CHECKING:
    import argparse

NOTHING, UNKNOWN = "nothing", "unknown"
COMMAND, OPTION, CHOICE = "command", "option", "choice"
ENTRY, FOLDER = "entry", "folder"
"""A path of the drive, or one below a mountpoint."""
SOURCE = "source"
"""A folder of the drive, and nothing of this machine."""
MOUNT, UPLOADS = "mount", "uploads"
FILE, DIRECTORY = "file", "directory"
"""Of this machine."""
PROFILE, SETTING, MOUNT_OPTION, FORMAT = "profile", "setting", "mount option", "format"

BY_METAVAR = {
    "PATH": ENTRY,
    "SOURCE": SOURCE,
    "MOUNTPOINT": MOUNT,
    "MOUNTPOINT|VERB PATH": UPLOADS,
    "LOCAL": FILE,
    "FILE": FILE,
    "DIR": DIRECTORY,
    "DIRECTORY": DIRECTORY,
    "KEY=VALUE": SETTING,
    "OPT[,OPT...]": MOUNT_OPTION,
    **dict.fromkeys(
        "GLOB TIME SIZE WORD HOST SPEC RATES N S [+-]N URL URL|URN NAME F".split(), NOTHING
    ),
}
BY_PLACE = {
    ("mount", "mountpoint"): DIRECTORY,
    ("demo", "mountpoint"): DIRECTORY,
    ("doctor", "mountpoint"): DIRECTORY,
    ("uploads", "to"): SOURCE,
    ("find", "path"): FOLDER,
    ("refresh", "path"): FOLDER,
    ("pin", "export"): FORMAT,
}
"""(command, dest) → the kind, where the metavar says less."""


class Wanted:
    """What is being typed, and what came before it."""

    def __init__(self, kind: str, typed: str, parser: argparse.ArgumentParser) -> None:
        self.kind = kind
        self.typed = typed
        """The part that is to be completed."""
        self.parser = parser
        self.prefix = ""
        """What stands before that in the same word: ``--profile=``."""
        self.choices: Sequence[str] = ()
        self.given: dict[str, list[str]] = {}
        """Values of options that came before: dest → values."""
        self.taken: list[str] = []
        """Arguments without a name that came before."""


def wanted(words: Sequence[str], typed: str) -> Wanted:
    """``words``: those behind ``dmfs`` and before the one at the cursor, ``typed`` what of that is
    there already."""
    top, commands = parsers()
    front = _front_options(words, commands["ls"])
    rest = words[len(front) :]
    if not rest:
        if _open_value(front, commands["ls"]) or ("=" in typed and typed.startswith("-")):
            return _of_command("ls", commands["ls"], front, typed)
        found = Wanted(OPTION if typed.startswith("-") else COMMAND, typed, top)
        found.choices = tuple(commands)
        return found
    name = rest[0]
    if name not in commands:
        return Wanted(NOTHING, typed, top)
    parser: argparse.ArgumentParser = commands[name]
    if name == "emulator":  # it has a parser of its own
        from dmfs.emulator.command_line import command_line

        parser = command_line()
    return _of_command(name, parser, [*front, *rest[1:]], typed)


def _front_options(words: Sequence[str], parser: argparse.ArgumentParser) -> list[str]:
    """Options before the command, with their values."""
    front: list[str] = []
    while len(front) < len(words) and words[len(front)].startswith("-"):
        word = words[len(front)]
        action = parser._option_string_actions.get(word.partition("=")[0])
        front.append(word)
        if action is not None and action.nargs is None and "=" not in word:
            front += words[len(front) : len(front) + 1]
    return front


def _open_value(words: Sequence[str], parser: argparse.ArgumentParser) -> argparse.Action | None:
    """The option that the next word is a value of."""
    last = words[-1] if words else ""
    action = parser._option_string_actions.get(last)
    return action if action is not None and action.nargs is None else None


def _of_command(
    name: str, parser: argparse.ArgumentParser, words: Sequence[str], typed: str
) -> Wanted:
    options: Mapping[str, argparse.Action] = parser._option_string_actions
    places = [each for each in parser._actions if not each.option_strings]
    given: dict[str, list[str]] = {}
    taken: list[str] = []
    pending: argparse.Action | None = None
    no_more_options = False
    for word in words:
        if pending is not None:
            given.setdefault(pending.dest, []).append(word)
            pending = None
        elif no_more_options or word == "-" or not word.startswith("-"):
            taken.append(word)
        elif word == "--":
            no_more_options = True
        else:
            spelled, equals, value = word.partition("=")
            action = options.get(spelled)
            if action is None or action.nargs is not None:
                given.setdefault(action.dest if action else spelled, [])
            elif equals:
                given.setdefault(action.dest, []).append(value)
            else:
                pending = action
    found = _at_cursor(name, parser, (pending, no_more_options, places, taken), typed)
    found.given, found.taken = given, taken
    return found


def _at_cursor(
    name: str,
    parser: argparse.ArgumentParser,
    state: tuple[argparse.Action | None, bool, list[argparse.Action], list[str]],
    typed: str,
) -> Wanted:
    pending, no_more_options, places, taken = state
    if pending is not None:
        return _value(name, pending, typed, parser, "")
    if typed.startswith("-") and not no_more_options:
        spelled, equals, value = typed.partition("=")
        action = parser._option_string_actions.get(spelled)
        if equals and action is not None and action.nargs is None:
            return _value(name, action, value, parser, f"{spelled}=")
        return Wanted(NOTHING if equals else OPTION, typed, parser)
    at = min(len(taken), len(places) - 1)
    if at < 0 or (at < len(taken) and places[at].nargs not in ("*", "+")):
        return Wanted(NOTHING, typed, parser)
    return _value(name, places[at], typed, parser, "")


def _value(
    command: str, action: argparse.Action, typed: str, parser: argparse.ArgumentParser, prefix: str
) -> Wanted:
    found = Wanted(kind_of(command, action), typed, parser)
    found.prefix = prefix
    if action.choices is not None:
        found.kind, found.choices = CHOICE, tuple(map(str, action.choices))
    return found


def kind_of(command: str, action: argparse.Action) -> str:
    """Of what kind the values of an argument are; UNKNOWN for one that stands in no table."""
    place = BY_PLACE.get((command, action.dest))
    if place is not None:
        return place
    if action.dest == "profile" and getattr(action.container, "title", "") == COMMON:  # type: ignore[attr-defined]
        return PROFILE
    if action.choices is not None:
        return CHOICE
    return BY_METAVAR.get(str(action.metavar or action.dest.upper()), UNKNOWN)

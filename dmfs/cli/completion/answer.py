"""``dmfs _complete SHELL …``: what shells ask when somebody presses Tab.

    bash LINE WORDBREAKS      the line up to the cursor, and COMP_WORDBREAKS
    zsh WORD… TYPED           without the program's name, and without quotation marks
    fish WORD… TOKEN          the last one as fish holds it

The first line of the answer says of what kind the others are: ``words``; ``paths``, of which those
that end in a slash go on (``quoted``: with quotation marks already); ``files`` or ``directories``,
which the shell knows better itself. Then one a line, with a tab and a description behind it (not
for bash). No answer ever costs a call, and a mistake is no answer: who presses Tab wants no words.
"""

from __future__ import annotations

import os
import sys
from argparse import SUPPRESS, Namespace
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from dmfs.cli import DONE
from dmfs.cli.completion.shell_words import bash_words, fish_word, quoted_for_bash
from dmfs.cli.completion.wanted import (
    CHOICE,
    FOLDER,
    FORMAT,
    MOUNT,
    MOUNT_OPTION,
    PROFILE,
    SOURCE,
    UPLOADS,
    Wanted,
    wanted,
)

TYPE_CHECKING = False  # as in dmfs.cli.parser
if TYPE_CHECKING:
    from dmfs.config import Settings

Rows = list[tuple[str, str]]
"""What fits, and what it is."""
WORDS, PATHS, QUOTED = "words", "paths", "quoted"
FILES, DIRECTORIES = "files", "directories"


def complete(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Answer one shell."""
    shell, *rest = arguments or ("",)
    cut, still_open = 0, ""
    if shell == "bash" and len(rest) == 2:
        words, cut, still_open = bash_words(*rest)
    elif shell == "fish" and rest:
        words = ["dmfs", *rest[:-1], fish_word(rest[-1])]
    else:
        words = ["dmfs", *rest]
    if len(words) < 2:
        return DONE
    kind, rows = answer(words[1:-1], words[-1], environ)
    if shell == "bash":
        lines = _for_bash(kind, [value[cut:] for value, _ in rows], still_open)
    else:
        lines = [kind, *(f"{value}\t{text}" if text else value for value, text in rows)]
    sys.stdout.buffer.write(("\n".join(lines) + "\n").encode("utf-8", "replace"))
    return DONE


def _for_bash(kind: str, values: list[str], still_open: str) -> list[str]:
    """bash quotes paths itself, but takes a ``$`` in one that is no file of this machine for a
    variable, and leaves it as it is."""
    if kind == PATHS and any("$" in value or "`" in value for value in values):
        return [QUOTED, *(quoted_for_bash(value, still_open) for value in values)]
    return [kind, *values]


def answer(words: Sequence[str], typed: str, environ: Mapping[str, str]) -> tuple[str, Rows]:
    """What fits at the cursor, behind these words."""
    at = wanted(words, typed)
    match at.kind:
        case "command":
            return WORDS, _starting(at, _commands())
        case "option":
            return WORDS, _starting(at, _options(at))
        case "choice" | "format" | "mount option" | "setting":
            return WORDS, _fixed(at)
        case "file":
            return FILES, []
        case "directory":
            return DIRECTORIES, []
        case "nothing" | "unknown":
            return WORDS, []
        case _:
            return _looked_up(at, environ)


def _fixed(at: Wanted) -> Rows:
    """From tables alone."""
    if at.kind == CHOICE:
        return _starting(at, ((each, "") for each in at.choices))
    if at.kind == FORMAT:
        from dmfs.cli.exploring.grammar import FORMATS

        return _starting(at, ((each, "") for each in FORMATS))
    return _mount_options(at) if at.kind == MOUNT_OPTION else _settings(at)


def _starting(at: Wanted, rows: Iterable[tuple[str, str]]) -> Rows:
    return [(at.prefix + value, text) for value, text in rows if value.startswith(at.typed)]


def _commands() -> Iterable[tuple[str, str]]:
    from dmfs.cli.parser import COMMANDS, HELP_TEXT

    for group in COMMANDS.values():
        yield from group.items()
    yield "help", HELP_TEXT


def _options(at: Wanted) -> Iterable[tuple[str, str]]:
    """Those that were not given, or may be given again."""
    for action in at.parser._actions:  # noqa: SLF001 - argparse shows them to nobody
        again = action.dest not in at.given or isinstance(action.default, list)
        if action.help != SUPPRESS and again:
            for spelled in action.option_strings:
                yield spelled, str(action.help or "")


def _mount_options(at: Wanted) -> Rows:
    from dmfs.fuse.mount_options import FLAGS, VALUED

    *before, last = at.typed.split(",")
    name, equals, _ = last.partition("=")
    begin = at.prefix + "".join(f"{each}," for each in before)
    if equals:
        return (
            [(f"{begin}moves=copy", "")]
            if name == "moves" and "moves=copy".startswith(last)
            else []
        )
    given = {each.partition("=")[0] for each in before}
    rows = [*FLAGS.items(), *((f"{key}=", text) for key, (_, text) in VALUED.items())]
    return [
        (begin + value, text)
        for value, text in rows
        if value.startswith(last) and value.rstrip("=") not in given
    ]


def _settings(at: Wanted) -> Rows:
    from dmfs.config import DECLARED
    from dmfs.setting_types import FLAG

    key, equals, _ = at.typed.partition("=")
    if not equals:
        return _starting(at, (
            (f"{name}=", declared.help) for name, declared in DECLARED.items()
            if not declared.hidden and name != "client_secret"
        ))  # fmt: skip
    declared = DECLARED.get(key)
    if declared is None:
        return []
    values = ("true", "false") if declared.type is FLAG else declared.choices
    return _starting(at, ((f"{key}={value}", "") for value in values))


def _looked_up(at: Wanted, environ: Mapping[str, str]) -> tuple[str, Rows]:
    """What this machine has to be asked for. Errors, and files that are damaged, are no answer."""
    from dmfs.errors import DriveError

    try:
        if at.kind == PROFILE:
            return WORDS, _profiles(at, environ)
        if at.kind == MOUNT or (at.kind == UPLOADS and not at.taken):
            return PATHS, _mounts(at, environ)
        return _paths(at, environ)
    except (DriveError, OSError, ValueError):
        return WORDS, []


def _profiles(at: Wanted, environ: Mapping[str, str]) -> Rows:
    from dmfs.cli.completion.local import profiles
    from dmfs.config import default_paths

    paths = default_paths(environ)
    config = at.given.get("config", [paths["config"]])[-1]
    state_dir = environ.get("DMFS_STATE_DIR") or paths["state_dir"]
    return _starting(at, ((each, "") for each in profiles(Path(config), Path(state_dir))))


def _mounts(at: Wanted, environ: Mapping[str, str]) -> Rows:
    from dmfs.cli.completion.local import mountpoints, spelled_like

    rows: Rows = []
    if at.kind == UPLOADS:
        from dmfs.cli.control.grammar import VERBS

        rows = _starting(at, ((verb, "") for verb in VERBS))
    home, here = _places(environ)
    free = [path for path in mountpoints() if path not in at.taken]
    return rows + [
        (at.prefix + each, "mounted") for each in spelled_like(at.typed, free, home, here)
    ]


def _paths(at: Wanted, environ: Mapping[str, str]) -> tuple[str, Rows]:
    """Of the drive, and on the way to a mountpoint; below one the shell does as with any file."""
    rows: Rows = []
    if at.kind != SOURCE:
        from dmfs.cli.completion.local import is_in_mount, mountpoints, steps_to

        mounts = mountpoints()
        home, here = _places(environ)
        if mounts and is_in_mount(at.typed, mounts, home, here):
            # an empty word in the working directory, too: `cd ~/Autodesk; dmfs versions <Tab>`
            return DIRECTORIES if at.kind == FOLDER else FILES, []
        rows = [(each, "") for each in steps_to(at.typed, mounts, home, here)] if at.typed else []
    from dmfs.cli.completion.remote import names_below

    typed = at.typed or "/"
    names = names_below(_settings_of(at, environ), typed, folders_only=at.kind in (FOLDER, SOURCE))
    if at.kind == UPLOADS:
        names = [row for row in names if row[0] not in at.taken]
    if rows:  # a drive's hub may be called like a directory on the way to a mountpoint
        names = list(dict.fromkeys([*rows, *names]))
    return PATHS, [(at.prefix + value, text) for value, text in names] if at.prefix else names


def _settings_of(at: Wanted, environ: Mapping[str, str]) -> Settings:
    """As the command itself will have them, but nobody is warned of anything."""
    from dmfs.cli.settings import Invocation, settings_of

    options = Namespace(
        config=at.given.get("config", [None])[-1],
        profile=at.given.get("profile", [None])[-1],
        settings=at.given.get("settings", []),
    )
    return settings_of(Invocation(options, (), environ))[0]


def _places(environ: Mapping[str, str]) -> tuple[str, str]:
    """Home and working directory."""
    home = environ.get("HOME", "")
    return (home.rstrip("/") if home.startswith("/") else "/root"), os.getcwd()  # noqa: PTH109

"""``dmfs desktop menu VERB PATH…``: what service menus of Dolphin run. They cannot know of which
filesystem a file is, and have no terminal: what goes wrong is shown as a notification as well."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress

from dmfs.cli import DONE, FAILED
from dmfs.cli.exploring.browser import show_folder
from dmfs.cli.settings import Invocation
from dmfs.errors import DriveError, SetupError, UsageError
from dmfs.names import printable
from dmfs.system.mountinfo import FILESYSTEM, Mount, mount_table

VERBS = ("pin", "unpin", "evict", "open", "versions")
NOTIFY_S = 10.0
WORDS_MAX = 500
"""Characters of a notification."""


def menu_command(call: Invocation) -> int:
    """Run one verb on what was chosen. Raises what went wrong after it was shown."""
    verb, *paths = call.options.words or [""]
    if verb not in VERBS or not paths:
        raise UsageError(f"dmfs desktop menu needs one of {', '.join(VERBS)}, and paths")
    try:
        table = mount_table()
        for path in paths:
            if not on_drive(os.path.abspath(path), table):
                raise SetupError(f"{path!r} is not on a drive of dmfs")
        if verb == "versions":
            folder, name = os.path.split(os.path.abspath(paths[0]))
            show_folder(f"{folder}/.versions/{name}", call.environ)
            return DONE
        return run_verb(verb, paths, call.environ)
    except DriveError as error:
        _notify(verb, f"{error.message}. {error.hint}".strip(), call.environ)
        raise


def on_drive(path: str, table: Sequence[Mount]) -> bool:
    """Whether a drive of dmfs is mounted at an absolute path, or above. Looks at no path."""
    kind, longest = "", -1
    for mount in table:
        below = f"{path}/".startswith(mount.mountpoint.rstrip("/") + "/")
        if below and len(mount.mountpoint) >= longest:
            kind, longest = mount.kind, len(mount.mountpoint)
    return kind == FILESYSTEM


def run_verb(verb: str, paths: Sequence[str], environ: Mapping[str, str]) -> int:
    """``dmfs VERB PATHS`` in a process of its own; its words are shown as well where it fails.
    DONE or FAILED."""
    done = subprocess.run(
        # -P: the working directory is the folder that somebody looks at
        [sys.executable, "-P", "-m", "dmfs", verb, "--", *paths], stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE, env=dict(environ), check=False,
    )  # fmt: skip
    words = done.stderr.decode("utf-8", "replace")
    sys.stderr.write(words)
    if not done.returncode:
        return DONE
    _notify(verb, words.strip().rpartition("\n")[2].removeprefix("dmfs: "), environ)
    return FAILED


def _notify(verb: str, words: str, environ: Mapping[str, str]) -> None:
    program = _which("notify-send", environ)
    if program is None:
        return
    with suppress(OSError, subprocess.TimeoutExpired):
        subprocess.run(
            [program, "--app-name=dmfs", "--icon=dialog-warning", "--", f"dmfs {verb}",
             printable(words)[:WORDS_MAX]],
            stdin=subprocess.DEVNULL, capture_output=True, timeout=NOTIFY_S, env=dict(environ),
            check=False,
        )  # fmt: skip


def _which(program: str, environ: Mapping[str, str]) -> str | None:
    return shutil.which(program, path=environ.get("PATH"))

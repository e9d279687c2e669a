"""``dmfs demo``: emulator + mount + a short guided tour. Floor 4.

Everything runs as the real commands in processes of their own, so the tour shows what a user
would get. ``--check`` runs the tour's commands and compares what they print with the emulator's
own account of its world.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from dmfs.errors import SetupError
from dmfs.mountpoint import mounts
from dmfs_emulator.process import EmulatorProcess

MOUNT_DEADLINE_S = 30.0
_PROJECT = ("Emulated Builders ／ Headquarters", "Sample Project", "Project Files")  # noqa: RUF001


@dataclass(frozen=True, slots=True)
class Stop:
    """One stop of the tour: a shell command and what it shows."""

    command: str
    about: str


def tour(mountpoint: str) -> list[Stop]:
    """Five commands worth trying."""
    files = shlex.quote(str(Path(mountpoint, *_PROJECT)))
    return [
        Stop(f"ls {shlex.quote(mountpoint)}", "the hubs of the account"),
        Stop(f"find {files} -type f -printf '%s %P\\n'", "every file; a call per folder, none per file"),
        Stop(f"grep -rl IFCWALL {files}/Documents", "search inside models"),
        Stop(f"sha256sum {files}/Documents/*.dxf", "read a drawing, checked byte by byte"),
        Stop(
            f"getfattr --only-values -n user.dmfs.version_id {files}/Documents/floorplan.dxf || "
            f"python3 -c \"import os,sys; print(os.getxattr(sys.argv[1], 'user.dmfs.version_id').decode())\" "
            f"{files}/Documents/floorplan.dxf",
            "the service's ids, as extended attributes",
        ),
    ]

"""``unshare --mount python -m tests.support.ordinary WORK COMMAND…``: a command as ``nobody``, on a
machine where the FUSE device, Python or the checkout may be root's alone. What it mounts for that
ends with its namespace."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

NOBODY = 65534
CHECKOUT = Path(__file__).parents[2]
FUSE = Path("/dev/fuse")


def mount(*words: str | Path) -> None:
    subprocess.run(["mount", *words], check=True)


def lend_device(own: Path) -> None:
    """A node that everybody may open, as is usual, in the place of the machine's."""
    os.mknod(own, stat.S_IFCHR, FUSE.stat().st_rdev)
    own.chmod(0o666)
    mount("--bind", own, FUSE)


def closed_above(path: Path) -> Path | None:
    """The highest directory on the way that others may not pass."""
    way = [path, *path.parents][::-1]
    return next((each for each in way if not each.stat().st_mode & stat.S_IXOTH), None)


def open_up(work: Path, paths: Sequence[Path]) -> None:
    """Let others pass to these: an empty directory in the place of each that is closed, and in it
    what is needed."""
    closed = {path: above for path in paths if (above := closed_above(path)) is not None}
    holds = {}
    for number, path in enumerate(closed):
        holds[path] = work / str(number)
        holds[path].mkdir()
        mount("--bind", path, holds[path])
    for above in set(closed.values()):
        mount("-t", "tmpfs", "-o", "mode=755", "none", above)
    for path, hold in holds.items():
        path.mkdir(parents=True, exist_ok=True)
        mount("--bind", hold, path)


def main(work: Path, command: Sequence[str]) -> None:
    lend_device(work / "device")
    open_up(work, [Path(sys.base_prefix), CHECKOUT])
    os.umask(0o022)
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    os.execvp(command[0], list(command))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])

"""A command as ``nobody``, on a machine where the FUSE device, Python or the checkout may be root's
alone. What is mounted for that ends with its namespace; no mode of a directory is changed.

Run by itself (``as_nobody`` gives the words) in a mount namespace of its own.
"""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

NOBODY = 65534
CHECKOUT = Path(__file__).parents[2]
FUSE = Path("/dev/fuse")
OWN_MOUNTS = ("unshare", "--mount")


@contextmanager
def nobodys_directory() -> Iterator[Path]:
    """A directory of nobody's where nobody can reach it: pytest's own is root's alone."""
    with tempfile.TemporaryDirectory(prefix="dmfs-nobody-") as at:
        os.chown(at, NOBODY, NOBODY)
        yield Path(at)


def as_nobody(
    work: Path, *command: str | Path, reach: Sequence[Path] = (), own: Sequence[str] = OWN_MOUNTS
) -> list[str]:
    """The words, for root, of a command as nobody.

    :param work: ``nobodys_directory()``
    :param reach: what it has to reach besides Python and the checkout
    :param own: makes the namespaces, one of mounts among them
    """
    paths = os.pathsep.join(str(each) for each in (Path(sys.base_prefix), CHECKOUT, *reach))
    return [*own, sys.executable, "-P", __file__, str(work), paths, *map(str, command)]


def why_not(work: Path, *command: str | Path, own: Sequence[str] = OWN_MOUNTS) -> str:
    """Why root cannot run a short command as nobody here; '' if it can."""
    try:
        done = subprocess.run(
            as_nobody(work, *command, own=own), stdin=subprocess.DEVNULL, capture_output=True,
            text=True, timeout=60, check=False, cwd=CHECKOUT,
        )  # fmt: skip
    except OSError as error:
        return str(error)
    if done.returncode == 0:
        return ""
    return (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]


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


def main(work: Path, reach: Sequence[Path], command: Sequence[str]) -> None:
    own = Path(tempfile.mkdtemp(prefix="mounts-", dir=work))
    lend_device(own / "device")
    open_up(own, reach)
    os.umask(0o022)
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    os.execvp(command[0], list(command))


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(each) for each in sys.argv[2].split(os.pathsep)], sys.argv[3:])

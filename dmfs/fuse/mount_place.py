"""Where a drive is mounted: the place under its one true name, its state, and whose turn it is.

A mountpoint whose process is stopped or stuck blocks whoever looks at it, and not even SIGKILL ends
that. So nothing here looks at a FUSE mount: what is mounted is read from the kernel's table, and
whether it answers is found out by a child process, which is left behind if it gets no answer.
"""

from __future__ import annotations

import contextlib
import enum
import errno
import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from dmfs.errors import SetupError
from dmfs.names import id_hash
from dmfs.system.mountinfo import Mount, mount_at, mount_table
from dmfs.system.private_files import private_directory

ANSWER_S = 3.0
"""A drive that is well answers within a millisecond; its prober needs a twentieth of a second."""
TURN_S = 10.0
"""Another process clears a dead mount within a tenth of a second."""
CONNECTIONS = Path("/sys/fs/fuse/connections")
"""Where fusectl is mounted: a directory for each FUSE connection of the kernel."""
_POLL_S = 0.02
_MNT_DETACH, _UMOUNT_NOFOLLOW = 2, 8
_LINKS_MAX = 40
"""As the kernel."""
# statfs: dmfs answers it without the network, and the kernel never from its cache
_PROBE = "import os, sys\ntry: os.statvfs(sys.argv[1])\nexcept OSError as e: sys.exit(e.errno)"


class Condition(enum.Enum):
    """Of a mounted filesystem."""

    WELL = "answers"
    DEAD = "its process is gone"
    SILENT = "does not answer"


def condition_of(mountpoint: str) -> Condition:
    """Whether the filesystem that is mounted there answers. Blocks for ANSWER_S at most."""
    prober = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _PROBE, mountpoint],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        cwd="/", start_new_session=True,
    )  # fmt: skip
    try:
        status = prober.wait(ANSWER_S)
    except subprocess.TimeoutExpired:
        prober.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            prober.wait(_POLL_S)
        prober.returncode = prober.returncode or -9  # it may never end: nobody waits for it
        return Condition.SILENT
    return Condition.DEAD if status in (errno.ENOTCONN, errno.ECONNABORTED) else Condition.WELL


def abort_connection(mount: Mount) -> None:
    """Have the kernel give up a drive: every call that waits for it fails, and its process, if that
    is stuck in the kernel, can end. SetupError with what root can do where that is not for us."""
    major, _, minor = mount.device.partition(":")
    file = CONNECTIONS / str(int(major) << 20 | int(minor)) / "abort"
    try:
        file.write_bytes(b"1")
    except OSError as error:
        ours = "" if os.geteuid() == 0 else "as root: "
        if isinstance(error, FileNotFoundError):
            ours += f"mount -t fusectl none {CONNECTIONS}; "
        raise SetupError(
            f"the kernel still waits for the drive at {mount.mountpoint}, whose process was killed",
            hint=f"{ours}echo 1 >{file}",
        ) from None


def detach(mountpoint: str) -> bool:
    """Take a mount out of the tree by a call of the kernel, also one that is used or dead; False
    where that is not for us. Looks at nothing there.

    libfuse 3.17 runs umount(8) for that, and a new program first closes our files: with one of them
    on a disk that hangs, the drive never ended."""
    import ctypes  # noqa: PLC0415 - most commands detach nothing

    # (the last of a mount's files to be closed ends it for good)
    flags = _MNT_DETACH | _UMOUNT_NOFOLLOW
    return bool(ctypes.CDLL(None).umount2(os.fsencode(mountpoint), flags) == 0)


def true_path(given: str) -> str:
    """The absolute path without symbolic links of a place that may be a mountpoint.

    A path that leads through a FUSE mount is followed only if that answers. SetupError else.
    """
    return split_at(given, ())[0]


def split_at(given: str, stops: Collection[str]) -> tuple[str, str | None]:
    """As ``true_path``, but the way ends at a mountpoint of ``stops``, which is never looked at:
    that mountpoint, and what is left of the path in it (``a/b``, without ``.`` and ``..``; '' for
    itself). None instead of a rest where the way meets none of them."""
    fuse = {mount.mountpoint for mount in mount_table() if mount.is_fuse}
    try:
        whole = given if given.startswith("/") else os.path.join(os.getcwd(), given)
    except FileNotFoundError:
        raise SetupError("the working directory does not exist any more") from None
    todo = whole.split("/")[::-1]
    at, links = "/", 0
    while todo:
        if at in stops:
            rest = os.path.normpath("/".join(todo[::-1]) or ".")
            if rest.partition("/")[0] != "..":
                return at, "" if rest == "." else rest.lstrip("/")
        name = todo.pop()
        if name in ("", "."):
            continue
        if name == "..":
            at = os.path.dirname(at)
            continue
        if at in fuse:
            _check_answers(at)
        at = os.path.join(at, name)
        target = "" if at in fuse else _link_target(at)
        if target:
            links += 1
            if links > _LINKS_MAX:
                raise SetupError(f"{given} has too many symbolic links")
            at = "/" if target.startswith("/") else os.path.dirname(at)
            todo += target.split("/")[::-1]
    return at, "" if at in stops else None


def _link_target(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""  # no link, or nothing there


def _check_answers(mountpoint: str) -> None:
    condition = condition_of(mountpoint)
    if condition is not Condition.WELL:
        raise SetupError(
            f"the filesystem mounted at {mountpoint} cannot be passed: {condition.value}",
            hint=f"fusermount3 -uz {mountpoint}",
        )


@contextlib.contextmanager
def claimed(path: str, state_dir: Path) -> Iterator[Callable[[], None]]:
    """The mountpoint ``path`` for this process alone, until the body ends or calls what it gets.

    SetupError while another process of dmfs is about to mount there. The lock is the directory's
    own: it is the same one for all users and all spellings, and the kernel gives it back however
    its owner ends. Where a directory has no locks (NFS), a file in ``state_dir`` stands for it.
    """
    with contextlib.ExitStack() as stack:
        taken = _try_lock(stack, path)
        if taken is None:
            taken = _try_lock(stack, _stand_in(path, state_dir))
        if taken is False:
            raise SetupError(
                f"another dmfs is about to mount at {path}", hint="wait until it has, or end it"
            )
        yield stack.close


def is_claimed(path: str) -> bool:
    """Whether a process is about to mount a drive at ``path``, where nothing is mounted yet."""
    with contextlib.ExitStack() as stack:
        return _try_lock(stack, path) is False


@contextlib.contextmanager
def turn_to_clear(path: str) -> Iterator[None]:
    """One process at a time clears a dead mount: the second would take away what the first has
    mounted anew. The lock is the parent directory's, for the dead mount hides its own."""
    with contextlib.ExitStack() as stack:
        give_up = time.monotonic() + TURN_S
        while _try_lock(stack, os.path.dirname(path)) is False and time.monotonic() < give_up:
            time.sleep(_POLL_S)
        yield


def is_dead(path: str) -> bool:
    """Whether a mount at ``path`` has lost its process."""
    return mount_at(path) is not None and condition_of(path) is Condition.DEAD


def _try_lock(stack: contextlib.ExitStack, path: str) -> bool | None:
    """True: locked until the stack is closed; False: another process has the lock; None: there is
    no lock to be had."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    stack.callback(os.close, descriptor)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _stand_in(path: str, state_dir: Path) -> str:
    """A file to lock instead of a directory."""
    file = state_dir / "mountpoints" / id_hash(path)
    with contextlib.suppress(OSError):
        private_directory(file.parent)
        file.touch(0o600)
    return str(file)

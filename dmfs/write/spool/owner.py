"""Where the spools are, and which process owns each: by a lock that the kernel gives back when that
process ends."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import re
from pathlib import Path

from dmfs.errors import SetupError, SpoolError, SpoolTakenError
from dmfs.system.mountinfo import mount_at
from dmfs.system.private_files import is_locked

log = logging.getLogger(__name__)

_WORDS_BYTES = 4096


def owner_of(path: Path) -> tuple[int, str]:
    """Process id and label of who owns a spool by its lock, or did; (0, '') if nobody. Blocks."""
    try:
        with path.open("rb") as file:
            text = file.read(_WORDS_BYTES).decode("utf-8", "replace")
    except OSError:
        return 0, ""
    number, _, label = text.partition(" ")
    return (int(number), label) if number.isdigit() else (0, "")


def spool_of_mount(state_dir: Path, profile: str) -> Path:
    """The spool of the one drive of a profile that others wait for: a mount, or a command."""
    return state_dir / "spool" / profile


def place_of_processes(state_dir: Path, profile: str) -> Path:
    """Where the others are: one for each process that writes at the same time, as on another
    machine; by number."""
    return state_dir / "workers" / profile


def spools_of_processes(state_dir: Path, profile: str) -> list[Path]:
    """Those that were ever used, in order. Blocks."""
    found: list[Path] = []
    with contextlib.suppress(OSError):
        found += place_of_processes(state_dir, profile).iterdir()
    used = [each for each in found if each.name.isdecimal() and _was_used(each)]
    return sorted(used, key=lambda each: int(each.name))


def _was_used(directory: Path) -> bool:
    """Also where it may not be read: whoever reads it then tells so."""
    try:
        (directory / "lock").lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


def holder_of(directory: Path) -> int:
    """The process that has a spool, by the number that it has where it runs; 0 if none has it. Not
    by the kernel's list of locks, which shows none of another container. Who wants the spool while
    somebody looks takes another one. Blocks."""
    path = directory / "lock"
    pid, _ = owner_of(path)
    return pid if pid and is_locked(path) else 0


def is_leaving(path: Path) -> bool:
    """Whether who has a spool by its lock is about to give it back: a command, or a drive that is
    not mounted any more. False where nobody has it, and where the kernel's list of locks does not
    say who. Blocks."""
    pid, label = owner_of(path)
    return bool(pid) and mount_at(label) is None and _has_lock(pid, path)


def _has_lock(pid: int, path: Path) -> bool:
    try:
        inode = path.lstat().st_ino
        table = Path("/proc/locks").read_bytes()
    except OSError:
        return False
    # `1: FLOCK  ADVISORY  WRITE 4711 fe:00:1234 0 EOF`
    row = re.compile(rb"FLOCK +ADVISORY +WRITE %d [0-9a-f]+:[0-9a-f]+:%d " % (pid, inode))
    return row.search(table) is not None


class Owner:
    """Of one spool. All methods block."""

    def __init__(self, path: Path, label: str) -> None:
        self._path, self._label = path, label
        self._descriptor = -1

    def take(self) -> None:
        """SetupError that names the process that owns it."""
        try:
            descriptor, words = self._try()
        except OSError as error:
            raise SetupError(
                f"the spool's lock {self._path} cannot be made: {error.strerror or error}"
            ) from error
        if words:
            raise SpoolTakenError(
                f"this profile is written to already: {words}",
                hint="one mount of a profile may write; unmount that one, or mount this one ro",
            )
        self._descriptor = descriptor

    def check(self) -> None:
        """Whether the spool is still ours. A lock file that was deleted locks out nobody: it is
        made again, if nobody else was faster. SpoolError."""
        if self._descriptor < 0:
            raise SpoolError("the spool is closed: the drive is ending")
        try:
            found = self._path.lstat()
        except FileNotFoundError:
            pass
        else:
            if os.path.samestat(found, os.fstat(self._descriptor)):
                return
        descriptor, words = self._try()
        if words:
            raise SpoolError(
                f"the spool's lock {self._path} was deleted, and another process has it: {words}",
                hint="unmount this one",
            )
        os.close(self._descriptor)
        self._descriptor = descriptor
        log.warning("the spool's lock %s was deleted: it is made again", self._path)

    def release(self) -> None:
        """Another process may own it."""
        if self._descriptor >= 0:
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = -1

    def _try(self) -> tuple[int, str]:
        """A descriptor that has the lock, or -1 and who has it. OSError."""
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(self._path, flags, 0o600)
        try:
            if self._locked(descriptor):
                return descriptor, ""
            words = self._words(descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        return -1, words

    def _locked(self, descriptor: int) -> bool:
        """Whether the lock is ours, and that of the file which others find. OSError."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        if not os.path.samestat(self._path.lstat(), os.fstat(descriptor)):
            return False
        words = " ".join(f"{os.getpid()} {self._label}".split())
        with contextlib.suppress(OSError):  # a full disk: its owner is not to be read there
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, words.encode("utf-8", "replace")[:_WORDS_BYTES], 0)
        return True

    def _words(self, descriptor: int) -> str:
        try:
            text = os.pread(descriptor, _WORDS_BYTES, 0).decode("utf-8", "replace")
        except OSError:
            text = ""
        number, _, label = text.partition(" ")
        if not number.isdigit():
            return "by another process"
        return f"at {label} (process {number})" if label else f"by process {number}"

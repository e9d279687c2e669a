"""Where exported files go on this machine, and what stands there already.

A file is written beside its place and renamed: what is there under its name is whole. It is marked
(in an attribute, where the filesystem has any) with what it is of, so that an older export of the
same design makes way for a newer one, and nobody's own file ever does.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from dmfs.drive import Drive
from dmfs.errors import DriveError, ExistsError, NoRoomError, SetupError, WrongBytesError
from dmfs.exports.records import Export
from dmfs.model import Shortcut
from dmfs.names import printable
from dmfs.spans import MIB
from dmfs.system.concurrency import in_thread

MARK = "user.dmfs.export_of"
STEP_BYTES = 4 * MIB
_FULL = (28, 122)


@dataclass(frozen=True, slots=True)
class Standing:
    """What stands at a place."""

    exists: bool
    item: str = ""
    """Of an export that nobody has changed since: its item, format and version; '' else."""
    version: str = ""


def check_directory(directory: Path) -> None:
    """SetupError unless files can be made there. Blocks."""
    if not directory.is_dir():
        what = "is no directory" if directory.exists() else "is not there"
        raise SetupError(f"{printable(str(directory))!r} {what}", hint="make it first: mkdir -p")
    if not os.access(directory, os.W_OK | os.X_OK):
        raise SetupError(f"{printable(str(directory))!r} cannot be written to")


def look(place: Path) -> Standing:
    """Blocks. DriveError where the place cannot be looked at."""
    try:
        status = place.lstat()
    except FileNotFoundError:
        return Standing(exists=False)
    except OSError as error:
        raise _in_words(place, error) from None
    try:
        words = os.getxattr(place, MARK, follow_symlinks=False).decode().split("\n")
    except (OSError, UnicodeDecodeError):
        return Standing(exists=True)
    whole = len(words) == 3 and stat.S_ISREG(status.st_mode)
    if whole and words[2] == f"{status.st_mtime_ns} {status.st_size}":
        return Standing(True, words[0], words[1])
    return Standing(exists=True)


def item_of(design: Shortcut, file_type: str) -> str:
    return f"{design.project_id} {design.item_id} {file_type}"


def refuse_other(place: Path, standing: Standing, design: Shortcut, file_type: str) -> None:
    """ExistsError where something stands that is no export of this design."""
    if standing.exists and standing.item != item_of(design, file_type):
        raise ExistsError(
            f"there is a {printable(place.name)!r} already, and it is another file",
            hint=f"move it away: {printable(str(place))}",
        )


def is_same(place: Path, export: Export) -> bool:
    """Whether a file has the bytes of an export, as far as its size and sha1 tell. Blocks."""
    try:
        if not export.sha1 or place.stat().st_size != export.size_bytes:
            return False
        with place.open("rb") as file:
            return hashlib.file_digest(file, "sha1").hexdigest() == export.sha1
    except OSError:
        return False


async def write(drive: Drive, export: Export, place: Path, umask: int) -> int:
    """The bytes of an export into a new file, which takes the place of what stands there; how many.
    NoRoomError, WrongBytesError, DriveErrors of reading; then there is what was there before."""
    new = await in_thread(partial(_New, place))
    try:
        reader = await drive.open(export.file)
        try:
            offset = 0
            while offset < reader.size_bytes:
                data, _ = await reader.read(offset, STEP_BYTES)
                if not data:
                    raise WrongBytesError(f"cannot read {export.file.name!r} to its end")
                await in_thread(partial(new.add, bytes(data)))
                offset += len(data)
        finally:
            reader.close()
        await in_thread(partial(new.put, export, umask))
        return offset
    except OSError as error:
        raise _in_words(place, error) from None
    finally:
        new.close()


class _New:
    """A file on its way. All methods block; DriveError or OSError."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._path = place.with_name(f".{place.name[:200]}.{os.getpid()}-{os.urandom(4).hex()}.new")
        self._digest = hashlib.sha1(usedforsecurity=False)
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            self._file = os.open(self._path, flags, 0o600)
        except OSError as error:
            raise _in_words(place, error) from None

    def add(self, data: bytes) -> None:
        self._digest.update(data)
        view = memoryview(data)
        while view:
            view = view[os.write(self._file, view) :]

    def put(self, export: Export, umask: int) -> None:
        """It is whole: sync it, and rename it to its place."""
        if export.sha1 and self._digest.hexdigest() != export.sha1:
            raise WrongBytesError(
                f"cannot export {export.file.name!r}: its bytes do not match the checksum of the"
                " service"
            )
        mtime_ns = export.file.mtime_ns
        os.fchmod(self._file, 0o666 & ~umask)
        os.utime(self._file, ns=(mtime_ns, mtime_ns))
        size_bytes = os.fstat(self._file).st_size
        mark = f"{item_of(export.design, export.format)}\n{export.design.version_id}\n"
        with contextlib.suppress(OSError):  # then it is nobody's, and never replaced
            os.setxattr(self._file, MARK, f"{mark}{mtime_ns} {size_bytes}".encode())
        os.fsync(self._file)
        self._path.rename(self._place)
        with contextlib.suppress(OSError):
            directory = os.open(self._place.parent, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        self._path.unlink(missing_ok=True)


def _in_words(place: Path, error: OSError) -> DriveError:
    where = printable(str(place.parent))
    if error.errno in _FULL:
        return NoRoomError(
            f"no room for {printable(place.name)!r} in {where}",
            hint="free some space there: the same command goes on",
        )
    return SetupError(f"cannot write {printable(place.name)!r} in {where}: {error.strerror}")

"""What stat(2) shows of an entry: the drive's ``Stat`` as FUSE's ``EntryAttributes``."""

from __future__ import annotations

import stat
from dataclasses import dataclass

import pyfuse3

from dmfs.drive import Stat

FILE_ATTR_TIMEOUT_S = 86400.0
"""A file is one version: its attributes do not change (open reports a size learned later)."""


BLOCK_BYTES = 128 * 1024
HERE_BLOCK_BYTES = 1024 * 1024
"""cp(1) writes in steps of st_blksize, and each is a request of the kernel's. Of a file that has to
be fetched no more is asked for: stdio reads ahead by it."""
FILES_FREE = 1 << 20
"""The service tells no number; programs refuse to save where it is 0."""


@dataclass(frozen=True, slots=True)
class Ownership:
    """How entries appear: owner and the permission bits to take away."""

    uid: int
    gid: int
    umask: int = 0


def entry_attributes(
    number: int, entry: Stat, ownership: Ownership, timeout_s: float
) -> pyfuse3.EntryAttributes:
    """The entry of that inode number; ``timeout_s`` is how long its name may be believed."""
    attributes = pyfuse3.EntryAttributes()
    attributes.st_ino = number
    attributes.generation = 0
    attributes.entry_timeout = timeout_s
    lasts = not (entry.is_directory or entry.may_change)
    attributes.attr_timeout = FILE_ATTR_TIMEOUT_S if lasts else timeout_s
    kind, bits = (stat.S_IFDIR, 0o555) if entry.is_directory else (stat.S_IFREG, 0o444)
    if entry.is_writable:
        bits |= 0o200
    attributes.st_mode = kind | (bits & ~ownership.umask)
    attributes.st_nlink = 1  # of a directory: "not counted", or find trusts it
    attributes.st_uid, attributes.st_gid = ownership.uid, ownership.gid
    attributes.st_size = entry.size_bytes
    attributes.st_blksize = HERE_BLOCK_BYTES if entry.is_here else BLOCK_BYTES
    attributes.st_blocks = -(-entry.size_bytes // 512)
    attributes.st_mtime_ns = attributes.st_atime_ns = attributes.st_ctime_ns = entry.mtime_ns
    return attributes


def absent_entry(timeout_s: float) -> pyfuse3.EntryAttributes:
    """A reply to lookup that lets the kernel cache absence too; ENOENT would not."""
    absent = pyfuse3.EntryAttributes()
    absent.st_ino = 0
    absent.entry_timeout = timeout_s
    return absent


def room_statfs(total_bytes: int, free_bytes: int) -> pyfuse3.StatvfsData:
    """What can be written: the spool's room."""
    found = empty_statfs()
    found.f_blocks = total_bytes // found.f_frsize
    found.f_bfree = found.f_bavail = free_bytes // found.f_frsize
    found.f_files = found.f_ffree = found.f_favail = FILES_FREE
    return found


def empty_statfs() -> pyfuse3.StatvfsData:
    """The service tells no quota, and nothing can be written: nothing is free."""
    found = pyfuse3.StatvfsData()
    found.f_bsize = found.f_frsize = 4096
    found.f_blocks = found.f_bfree = found.f_bavail = 0
    found.f_files = found.f_ffree = found.f_favail = 0
    found.f_namemax = 255
    return found

"""Open ``/dev/fuse`` and mount it by mount(2), for a process that may not. Linux only, by ctypes.

fusermount3 does the same for ordinary users. This is for those who have the right themselves: root,
a service manager's privileged step, the owner of a user namespace.
"""

from __future__ import annotations

import ctypes
import errno
import os
from dataclasses import dataclass

from dmfs.errors import SetupError, UsageError
from dmfs.fuse.mountpoint import FUSE_DEVICE, MountOptions, prepare_mountpoint
from dmfs.system.mountinfo import FILESYSTEM

_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_NOATIME = 1, 2, 4, 8, 1024
_FLAGS = {"noexec": _MS_NOEXEC, "noatime": _MS_NOATIME, "nosuid": 0, "nodev": 0}
"""nosuid and nodev always hold: what comes from a service is no program of this machine's root."""
_WHY = {
    errno.EPERM: "mounting needs root, or a user namespace of one's own (unshare -Urm)",
    errno.ENODEV: "modprobe fuse",
}


@dataclass(frozen=True, slots=True)
class MountCall:
    """The arguments of mount(2), but for the place."""

    source: str
    flags: int
    data: str


def mount_call(options: MountOptions, descriptor: int, uid: int, gid: int) -> MountCall:
    """What the kernel is asked for, from the words of ``-o``; the drive's own are left out. ``uid``
    and ``gid``: whose process will answer. UsageError for what the kernel has not. Pure."""
    source, flags = "dmfs", _MS_NOSUID | _MS_NODEV
    words = [f"fd={descriptor}", "rootmode=40000", f"user_id={uid}", f"group_id={gid}"]
    words.append("default_permissions")
    if not options.writes:
        flags |= _MS_RDONLY
    for option in sorted(options.kernel):
        name, _, value = option.partition("=")
        if name == "fsname":
            source = value.replace("\\\\", "\\")
        elif name == "allow_other":
            words.append(name)
        elif name in _FLAGS:
            flags |= _FLAGS[name]
        elif name == "allow_root":
            raise UsageError("allow_root cannot be had by descriptor", hint="-o allow_other")
    return MountCall(source, flags, ",".join(words))


def open_mounted(mountpoint: str, options: MountOptions, uid: int, gid: int) -> tuple[str, int]:
    """Mount at an empty directory, where a dead drive is cleared first; its true path, and the
    descriptor to serve, which a new program does not inherit. SetupError."""
    path = prepare_mountpoint(mountpoint)
    try:
        device = os.open(FUSE_DEVICE, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise SetupError(f"{FUSE_DEVICE} cannot be opened: {error.strerror}") from None
    try:
        _mount(path, mount_call(options, device, uid, gid))
    except BaseException:
        os.close(device)
        raise
    return path, device


def _mount(path: str, call: MountCall) -> None:
    # by a descriptor: nobody puts a link in its place between the look and the mount
    flags = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        place = os.open(path, flags)
    except OSError as error:
        raise SetupError(f"the mountpoint {path} cannot be used: {error.strerror}") from None
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        done = libc.mount(
            os.fsencode(call.source), f"/proc/self/fd/{place}".encode(), FILESYSTEM.encode(),
            ctypes.c_ulong(call.flags), call.data.encode(),
        )  # fmt: skip
        code = ctypes.get_errno()
    finally:
        os.close(place)
    if done != 0:
        raise SetupError(
            f"the kernel does not mount at {path}: {os.strerror(code)}", hint=_WHY.get(code, "")
        )

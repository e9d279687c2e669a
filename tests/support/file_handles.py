"""Handles of files, as an NFS server uses them. Only root may open one."""

from __future__ import annotations

import ctypes
import os

_BYTES_MAX = 128
_AT_FDCWD = -100
_AT_SYMLINK_FOLLOW = 0x400
_libc = ctypes.CDLL(None, use_errno=True)


class _Handle(ctypes.Structure):
    _fields_ = (
        ("handle_bytes", ctypes.c_uint),
        ("handle_type", ctypes.c_int),
        ("f_handle", ctypes.c_ubyte * _BYTES_MAX),
    )


Handle = tuple[int, bytes]
"""Its type and its bytes."""


def handle_of(path: str) -> Handle:
    """name_to_handle_at(2)."""
    found, mount = _Handle(_BYTES_MAX), ctypes.c_int()
    done = _libc.name_to_handle_at(
        _AT_FDCWD, os.fsencode(path), ctypes.byref(found), ctypes.byref(mount), _AT_SYMLINK_FOLLOW
    )
    if done != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), path)
    return found.handle_type, bytes(found.f_handle[: found.handle_bytes])


def open_handle(mountpoint: str, handle: Handle, flags: int = os.O_RDONLY) -> int:
    """open_by_handle_at(2): a descriptor."""
    kind, raw = handle
    wanted = _Handle(len(raw), kind)
    ctypes.memmove(wanted.f_handle, raw, len(raw))
    place = os.open(mountpoint, os.O_RDONLY)
    try:
        number = int(_libc.open_by_handle_at(place, ctypes.byref(wanted), flags | os.O_CLOEXEC))
        if number < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        return number
    finally:
        os.close(place)

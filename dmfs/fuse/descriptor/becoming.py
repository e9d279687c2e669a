"""Become a command in the place of this process, with no more rights than its user has.

The right to unmount outlives the user's rights by one call: where the command cannot be started,
nobody else would take the mount away. execve(2) itself ends it.
"""

from __future__ import annotations

import ctypes
import os
import pwd
from collections.abc import Sequence
from typing import NoReturn

from dmfs.errors import SetupError

_PR_SET_KEEPCAPS, _PR_SET_NO_NEW_PRIVS = 8, 38
_UNMOUNTING = 1 << 21 | 1 << 2
"""CAP_SYS_ADMIN, and CAP_DAC_READ_SEARCH for mountpoints that the user cannot reach."""
_CAPABILITIES_V3 = 0x20080522


def pass_on(descriptor: int, number: int) -> None:
    """Have the command find a descriptor under a number. SetupError."""
    try:
        if number != descriptor:
            os.dup2(descriptor, number)
            os.close(descriptor)
        os.set_inheritable(number, True)
    except OSError as error:
        raise SetupError(f"no descriptor {number} can be had: {error.strerror}") from None


def become_user(user: pwd.struct_passwd) -> None:
    """Take on a user's ids, and keep nothing but what ``regain_mounting`` takes up. SetupError."""
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0)
    try:
        os.initgroups(user.pw_name, user.pw_gid)
        os.setgid(user.pw_gid)
        os.setuid(user.pw_uid)
    except OSError as error:
        raise SetupError(f"cannot become {user.pw_name}: {error.strerror}") from None
    _set_capabilities(permitted=_UNMOUNTING, effective=0)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def regain_mounting() -> None:
    """For a process that has become a user and no command: it may unmount again."""
    _set_capabilities(permitted=_UNMOUNTING, effective=_UNMOUNTING)


def start(command: Sequence[str], environ: dict[str, str]) -> NoReturn:
    """SetupError where it cannot be started: the user may not, or its interpreter is not there."""
    try:
        os.execvpe(command[0], list(command), environ)
    except OSError as error:
        raise SetupError(f"{command[0]} cannot be started: {error.strerror}") from None


def _set_capabilities(*, permitted: int, effective: int) -> None:
    """None to be inherited. A kernel that refuses leaves a process with fewer, never with more."""
    words = ctypes.c_uint32
    header = (words * 2)(_CAPABILITIES_V3, 0)
    data = (words * 6)(effective, permitted, 0, 0, 0, 0)
    ctypes.CDLL(None).capset(header, data)

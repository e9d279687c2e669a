"""``dmfs doctor MOUNTPOINT``: can a drive be mounted there, and what is there now? Blocking.

A drive that is mounted there and does not answer is told with the other drives of this machine.
"""

from __future__ import annotations

import os
import pwd
import stat
from pathlib import Path

from dmfs.cli.doctor.findings import ERROR, NOTE, OK, Finding
from dmfs.errors import DriveError
from dmfs.fuse.mount_place import true_path
from dmfs.fuse.mountpoint import prepare_mountpoint
from dmfs.system.mountinfo import FILESYSTEM, Mount, mount_at

CHECK = "mountpoint"
_WHY = "`dmfs mount` refuses it"
_OURS = "choose a directory of yours"


def place_of(given: str, uid: int) -> tuple[str | None, list[Finding]]:
    """The true path of what somebody named, None if the way there is barred; and what is found for
    a user."""
    try:
        path = true_path(given)
    except DriveError as error:
        return None, [Finding(CHECK, ERROR, error.message, _WHY, error.hint)]
    mount = mount_at(path)
    if mount is not None and mount.kind == FILESYSTEM:
        return path, [_mounted(mount, uid)]
    return path, [_free(path, uid)]


def _mounted(mount: Mount, uid: int) -> Finding:
    where = f"a drive is mounted at {mount.mountpoint} already"
    if mount.owner in (None, uid):
        return Finding(CHECK, NOTE, where)
    sees = "they let others use it" if "allow_other" in mount.options else "only they can use it"
    return Finding(CHECK, NOTE, f"{where}, by {_name(mount.owner)}, and {sees}")


def _name(uid: int | None) -> str:
    try:
        return pwd.getpwuid(uid or 0).pw_name
    except KeyError:
        return f"user {uid}"


def _free(path: str, uid: int) -> Finding:
    try:
        prepare_mountpoint(path)
    except DriveError as error:
        return Finding(CHECK, ERROR, error.message, _WHY, error.hint)
    if uid != 0 and not _is_for_fusermount(path, uid):
        what = f"the mountpoint {path} is not yours to write"
        return Finding(CHECK, ERROR, what, "fusermount3 mounts for its owner alone", _OURS)
    return Finding(CHECK, OK, f"{path} is an empty directory, where a drive can be mounted")


def _is_for_fusermount(path: str, uid: int) -> bool:
    """As fusermount3 looks at it."""
    status = Path(path).stat()
    owned = not status.st_mode & stat.S_ISVTX or status.st_uid == uid
    return owned and os.access(path, os.W_OK)

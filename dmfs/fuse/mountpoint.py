"""Mountpoints and mount options: checks of the machine before a mount, and the way back."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dmfs.config import nearest
from dmfs.errors import SetupError, UsageError
from dmfs.fuse.mount_place import (
    Condition,
    condition_of,
    is_claimed,
    is_dead,
    true_path,
    turn_to_clear,
)
from dmfs.system.mountinfo import mount_at, mount_table

FUSE_DEVICE = "/dev/fuse"
FILESYSTEM = "fuse.dmfs"
"""The type of our mounts, and of no others."""
FUSE_CONF = Path("/etc/fuse.conf")
FUSERMOUNT_S = 10.0
_FLAGS = (
    "ro",
    "allow_other",
    "allow_root",
    "noatime",
    "nodev",
    "nosuid",
    "noexec",
    "service_folders",
)
_VALUED = ("uid", "gid", "umask", "fsname")
_FSTAB = {
    "_netdev",
    "auto",
    "noauto",
    "user",
    "nouser",
    "users",
    "owner",
    "nofail",
    "defaults",
    "rw",
}
_FSTAB |= {"dev", "suid", "exec", "async", "sync", "relatime", "strictatime", "atime", "group"}


@dataclass(frozen=True, slots=True)
class MountOptions:
    """The parsed ``-o``."""

    kernel: frozenset[str]
    """Passed on to the kernel; the others are for dmfs."""
    uid: int
    gid: int
    umask: int
    service_folders: bool


def parse_options(text: str) -> MountOptions:
    """``ro,allow_other,uid=1000`` → options. UsageError names an unknown one and the nearest."""
    kernel: set[str] = {"fsname=dmfs", "subtype=dmfs"}
    values: dict[str, str] = {}
    flags: set[str] = set()
    for word in filter(None, (piece.strip() for piece in text.split(","))):
        name, _, value = word.partition("=")
        if name in _FSTAB or name.startswith(("x-", "comment")):
            continue  # fstab's own words are for mount(8); "rw" has no effect
        if name in _FLAGS and "=" not in word:
            flags.add(name)
        elif name in _VALUED and value:
            values[name] = value
        elif name in _VALUED or name in _FLAGS:
            raise UsageError(
                f"mount option {word!r}: {name} takes {'a' if name in _VALUED else 'no'} value"
            )
        else:
            raise UsageError(f"unknown mount option {name!r}", hint=nearest(name, _FLAGS + _VALUED))
    if "fsname" in values:
        kernel.discard("fsname=dmfs")
        kernel.add("fsname=" + values["fsname"].replace("\\", "\\\\"))
    kernel |= flags - {"service_folders", "ro"}
    return MountOptions(
        kernel=frozenset(kernel),
        uid=_number(values.get("uid"), "uid", 10, os.getuid()),
        gid=_number(values.get("gid"), "gid", 10, os.getgid()),
        umask=_number(values.get("umask"), "umask", 8, 0, most=0o777),
        service_folders="service_folders" in flags,
    )


def _number(text: str | None, name: str, base: int, default: int, most: int = 2**32 - 2) -> int:
    if text is None:
        return default
    try:
        value = int(text, base) if re.fullmatch(r"[0-9]{1,10}", text) else -1
    except ValueError:
        value = -1
    if not 0 <= value <= most:
        kind = "an octal mask such as 022" if base == 8 else "a number"
        raise UsageError(f"mount option {name}={text}: expected {kind}")
    return value


def check_machine(options: MountOptions) -> None:
    """SetupError with the remedy if this machine has no FUSE, or does not permit the options."""
    if not os.path.exists(FUSE_DEVICE):
        raise SetupError(
            f"there is no {FUSE_DEVICE}: this machine (or container) cannot mount FUSE filesystems",
            hint="`modprobe fuse`, or start the container with --device /dev/fuse; "
            "`dmfs ls` and `dmfs cat` work without",
        )
    if shutil.which("fusermount3") is None:
        raise SetupError("fusermount3 is not installed", hint="install the package fuse3")
    shared = options.kernel & {"allow_other", "allow_root"}
    if shared and os.geteuid() != 0 and user_allow_other() is False:
        raise SetupError(
            f"mount option {min(shared)} is not allowed for ordinary users on this machine",
            hint="ask root to put the line user_allow_other into /etc/fuse.conf",
        )


def user_allow_other() -> bool | None:
    """Whether ordinary users may mount with allow_other or allow_root; None if that is not for this
    user to read."""
    try:
        return _allows_other(FUSE_CONF.read_bytes())
    except PermissionError:
        return None
    except OSError:
        return False


def _allows_other(text: bytes) -> bool:
    """As fusermount3 reads its file: ASCII blanks around a word, and comments behind it."""
    lines = (line.partition(b"#")[0].strip() for line in text.split(b"\n"))
    return b"user_allow_other" in lines


def prepare_mountpoint(mountpoint: str) -> str:
    """Check that this is an empty directory where nothing is mounted, and return its true path;
    clear a dead drive first. SetupError otherwise."""
    path = true_path(mountpoint)
    mount = mount_at(path)
    if mount is not None and mount.kind == FILESYSTEM:
        condition = condition_of(path)
        if condition is Condition.SILENT:
            raise SetupError(
                f"a dmfs drive that does not answer is already mounted at {path}",
                hint=f"if its process is stopped, continue it; else dmfs umount {path}",
            )
        if condition is Condition.DEAD:
            clear_dead_mount(path)
            mount = mount_at(path)
    if mount is not None:
        ours = mount.kind == FILESYSTEM
        what = "a dmfs drive" if ours else f"something else ({mount.kind})"
        hint = f"dmfs umount {path}" if ours else "choose another directory"
        raise SetupError(f"{what} is already mounted at {path}", hint=hint)
    _check_empty_directory(path)
    return path


def _check_empty_directory(path: str) -> None:
    try:
        with os.scandir(path) as entries:
            if next(entries, None) is None:
                return
    except FileNotFoundError:
        raise SetupError(f"the mountpoint {path} does not exist", hint=f"mkdir -p {path}") from None
    except NotADirectoryError as error:
        if os.path.exists(path):
            raise SetupError(f"the mountpoint {path} is not a directory") from None
        raise SetupError(f"the mountpoint {path} cannot be used: {error.strerror}") from None
    except PermissionError:
        raise SetupError(f"the mountpoint {path} is not yours to read") from None
    except OSError as error:
        raise SetupError(f"the mountpoint {path} cannot be used: {error.strerror}") from None
    raise SetupError(f"the mountpoint {path} is not empty", hint="choose an empty directory")


def clear_dead_mount(path: str) -> None:
    """Detach the drive of a process that was killed, and nothing else. SetupError if that fails."""
    with turn_to_clear(path):
        mount = mount_at(path)
        if mount is None or mount.kind != FILESYSTEM or not is_dead(path):
            return  # another process was quicker
        done = _fusermount("-u", "-z", "--", path)
    if done.returncode != 0:
        raise SetupError(
            f"a dead mount at {path} cannot be cleared: {done.stderr.strip()}",
            hint=f"fusermount3 -uz {path}",
        )


def mounts() -> dict[str, str]:
    """Mountpoint → filesystem type, of this process's mount namespace."""
    return {mount.mountpoint: mount.kind for mount in mount_table()}


def unmount(mountpoint: str) -> None:
    """Unmount a dmfs drive. SetupError if nothing is mounted there, if it is another filesystem, or
    if it is busy (with the processes that use it). Asks the drive nothing: it may be stopped."""
    path = true_path(mountpoint)
    mount = mount_at(path)
    if mount is None:
        soon = is_claimed(path)
        raise SetupError(
            f"nothing is mounted at {path}" + (" yet: a drive is starting there" if soon else ""),
            hint="try again in a moment" if soon else "",
        )
    if mount.kind != FILESYSTEM:
        raise SetupError(f"{path} is not a dmfs drive but {mount.kind}; leaving it alone")
    done = _fusermount("-u", "--", path)
    if done.returncode == 0:
        return
    if "busy" in done.stderr.lower():
        users = processes_using(path)
        names = f": {', '.join(users[:5])}" if users else ""
        raise SetupError(
            f"{path} is busy{names}", hint="close those files and leave that directory first"
        )
    reason = done.stderr.strip().removeprefix("fusermount3: ") or "fusermount3 failed"
    raise SetupError(f"{path} cannot be unmounted: {reason}")


def _fusermount(*arguments: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            ["fusermount3", *arguments],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=FUSERMOUNT_S,
            check=False,
        )
    except FileNotFoundError:
        raise SetupError("fusermount3 is not installed", hint="install the package fuse3") from None
    except subprocess.TimeoutExpired:
        raise SetupError(f"fusermount3 did not finish within {FUSERMOUNT_S:.0f} s") from None


def processes_using(path: str) -> list[str]:
    """Processes with a file or their working directory below ``path``, as ``name (pid)``."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and any(
            target == path or target.startswith(path + "/") for target in _targets(process)
        ):
            try:
                name = (process / "comm").read_text("utf-8", "replace").strip()
            except OSError:
                continue
            found.append(f"{name} ({process.name})")
    return found


def _targets(process: Path) -> Iterator[str]:
    links = [process / "cwd", process / "root", process / "exe"]
    try:
        links += list((process / "fd").iterdir())
    except OSError:
        pass
    for link in links:
        try:
            yield os.readlink(link)
        except OSError:
            continue

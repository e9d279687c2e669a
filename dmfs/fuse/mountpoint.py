"""Mountpoints and mount options: checks of the machine before a mount, and the way back."""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from dmfs.config import nearest
from dmfs.errors import SetupError, UsageError
from dmfs.fuse.mount_options import FLAGS, FSTAB, VALUED
from dmfs.system.mountinfo import mount_table

FUSE_DEVICE = "/dev/fuse"
FILESYSTEM = "fuse.dmfs"


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
        if name in FSTAB or name.startswith(("x-", "comment")):
            continue  # fstab's own words are for mount(8); "rw" has no effect
        if name in FLAGS and "=" not in word:
            flags.add(name)
        elif name in VALUED and value:
            values[name] = value
        elif name in VALUED or name in FLAGS:
            raise UsageError(
                f"mount option {word!r}: {name} takes {'a' if name in VALUED else 'no'} value"
            )
        else:
            hint = f"{nearest(name, (*FLAGS, *VALUED))} (dmfs mount -o help explains them)"
            raise UsageError(f"unknown mount option {name!r}", hint=hint)
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
    if shared and os.geteuid() != 0 and not user_allow_other():
        raise SetupError(
            f"mount option {min(shared)} is not allowed for ordinary users on this machine",
            hint="ask root to put the line user_allow_other into /etc/fuse.conf",
        )


def user_allow_other() -> bool:
    """Whether ordinary users may mount with allow_other or allow_root."""
    try:
        lines = Path("/etc/fuse.conf").read_text("utf-8", "replace").splitlines()
    except OSError:
        return False
    return any(line.strip() == "user_allow_other" for line in lines)


def prepare_mountpoint(mountpoint: str) -> str:
    """Check that this is an empty directory and return its absolute path; clear a dead mount on
    it first. SetupError otherwise."""
    path = os.path.abspath(mountpoint)
    try:
        status = os.stat(path)
    except OSError as error:
        if error.errno == errno.ENOTCONN:
            clear_dead_mount(path)
            status = os.stat(path)
        elif error.errno == errno.ENOENT:
            raise SetupError(
                f"the mountpoint {path} does not exist", hint=f"mkdir -p {path}"
            ) from None
        else:
            raise SetupError(f"the mountpoint {path} cannot be used: {error.strerror}") from None
    if not stat.S_ISDIR(status.st_mode):
        raise SetupError(f"the mountpoint {path} is not a directory")
    kind = mounts().get(os.path.realpath(path))
    if kind == FILESYSTEM and _is_dead(path):
        clear_dead_mount(path)
        kind = mounts().get(os.path.realpath(path))
    if kind is not None:
        what = "a dmfs drive" if kind == FILESYSTEM else f"something else ({kind})"
        raise SetupError(f"{what} is already mounted at {path}", hint=f"dmfs umount {path}")
    try:
        if next(os.scandir(path), None) is not None:
            raise SetupError(
                f"the mountpoint {path} is not empty", hint="choose an empty directory"
            )
    except PermissionError:
        raise SetupError(f"the mountpoint {path} is not yours to read") from None
    return path


def _is_dead(path: str) -> bool:
    """Whether the process that served this mount is gone. (The kernel may answer a stat from its
    cache, so this opens the directory.)"""
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_DIRECTORY))
    except OSError as error:
        return error.errno == errno.ENOTCONN
    return False


def clear_dead_mount(path: str) -> None:
    """Detach the mount of a process that was killed (ENOTCONN). SetupError if that fails."""
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
    if it is busy (with the processes that use it)."""
    path = os.path.abspath(mountpoint)
    kind = mounts().get(path) or mounts().get(_realpath(path))
    if kind is None:
        raise SetupError(f"nothing is mounted at {path}")
    if not kind.startswith("fuse"):
        raise SetupError(f"{path} is not a dmfs drive but {kind}; leaving it alone")
    done = _fusermount("-u", "--", path)
    if done.returncode == 0:
        return
    if "busy" in done.stderr.lower():
        users = processes_using(path)
        raise SetupError(f"{path} is busy{_named(users)}", hint=_way_out(users))
    reason = done.stderr.strip().removeprefix("fusermount3: ") or "fusermount3 failed"
    raise SetupError(f"{path} cannot be unmounted: {reason}")


def _realpath(path: str) -> str:
    """Resolves the parent only: the mountpoint itself may be dead."""
    return os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))


def _fusermount(*arguments: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            ["fusermount3", *arguments],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=30,
            check=False,
        )
    except FileNotFoundError:
        raise SetupError("fusermount3 is not installed", hint="install the package fuse3") from None
    except subprocess.TimeoutExpired:
        raise SetupError("fusermount3 did not finish within 30 s") from None


class Process(NamedTuple):
    """A process that keeps a mount busy."""

    pid: int
    name: str
    is_inside: bool
    """Its working directory is there, as that of a shell after `cd`."""


def processes_using(path: str) -> list[Process]:
    """Processes other than this one with a file or their working directory below ``path``."""
    found = []
    for process in Path("/proc").iterdir():
        if not process.name.isdigit() or int(process.name) == os.getpid():
            continue
        used = [link for link, target in _targets(process) if _is_below(target, path)]
        if used:
            try:
                name = (process / "comm").read_text("utf-8", "replace").strip()
            except OSError:
                continue
            found.append(Process(int(process.name), name, used == ["cwd"]))
    return sorted(found)


def _is_below(target: str, path: str) -> bool:
    return target == path or target.startswith(path + "/")


def _named(users: list[Process]) -> str:
    """``: bash (12), evince (15)``"""
    names = ", ".join(f"{user.name} ({user.pid})" for user in users[:5])
    more = f" and {len(users) - 5} more" if len(users) > 5 else ""
    return f": {names}{more}" if users else ""


def _way_out(users: list[Process]) -> str:
    """What to do about those who keep a mount busy."""
    inside = [user.pid for user in users if user.is_inside]
    if os.getppid() in inside and len(users) == 1:
        return "your shell is in it: cd out of it first"
    if len(inside) == len(users):
        return "leave that directory first (cd in those shells)"
    return "close those files and leave that directory first"


def _targets(process: Path) -> Iterator[tuple[str, str]]:
    """The name of each link to an open file or a directory in use, and where it leads."""
    links = [process / "cwd", process / "root", process / "exe"]
    try:
        links += list((process / "fd").iterdir())
    except OSError:
        pass
    for link in links:
        try:
            yield link.name, os.readlink(link)
        except OSError:
            continue

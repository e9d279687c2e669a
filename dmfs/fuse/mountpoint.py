"""Mountpoints and mount options: checks of the machine before a mount, and the way back."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from dmfs.config import nearest
from dmfs.errors import SetupError, UsageError
from dmfs.fuse.mount_options import FLAGS, FSTAB, VALUED
from dmfs.fuse.mount_place import (
    Condition,
    abort_connection,
    condition_of,
    detach,
    is_claimed,
    is_dead,
    true_path,
    turn_to_clear,
)
from dmfs.grammar.moments import moment_ns
from dmfs.system.clock import wall_time_ns
from dmfs.system.mountinfo import FILESYSTEM, Mount, mount_at, mount_table

FUSE_DEVICE = "/dev/fuse"
FUSE_CONF = Path("/etc/fuse.conf")
FUSERMOUNT_S = 10.0
STACKED_MAX = 8
"""Dead drives over each other at one place that are cleared in one go."""


@dataclass(frozen=True, slots=True)
class MountOptions:
    """The parsed ``-o``."""

    kernel: frozenset[str]
    """Passed on to the kernel; the others are for dmfs."""
    uid: int
    gid: int
    umask: int
    service_folders: bool
    writes: bool = False
    sync: bool = False
    """With ``writes``: close waits for the service."""
    shared_identity: bool = False
    """With ``writes``: others who may use the mount write in the owner's name."""
    at_ns: int | None = None
    """The moment that is shown; None for now."""
    snapshots: bool = False
    moves: bool = False
    """With ``writes``: an item moves between folders by a copy and a deletion of the service."""
    markers: bool = True
    ignores_case: bool = False
    exported: bool = False
    """An NFS server may serve it to other machines."""

    def of_profile(self, profile: str) -> MountOptions:
        """With the source that the table of mounts shows: df(1) and its like take one with a colon
        for another machine's."""
        if any(word.startswith("fsname=") for word in self.kernel):
            return self
        return replace(self, kernel=self.kernel | {f"fsname=dmfs:{profile}"})


OURS = {
    "service_folders", "ro", "rw", "sync", "shared_identity", "snapshots", "no_markers",
    "ignore_case", "export",
}  # fmt: skip


def parse_options(text: str) -> MountOptions:
    """``ro,allow_other,uid=1000`` → options. UsageError names an unknown one and the nearest."""
    kernel: set[str] = {"subtype=dmfs"}
    values: dict[str, str] = {}
    flags: set[str] = set()
    for word in filter(None, (piece.strip() for piece in text.split(","))):
        name, _, value = word.partition("=")
        if name in FSTAB or name.startswith(("x-", "comment")):
            continue  # fstab's own words are for mount(8)
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
        kernel.add("fsname=" + values["fsname"].replace("\\", "\\\\"))
    writes = "rw" in flags
    _check_writing(writes, flags, values)
    kernel |= flags - OURS
    return MountOptions(
        kernel=frozenset(kernel),
        uid=_number(values.get("uid"), "uid", 10, os.getuid()),
        gid=_number(values.get("gid"), "gid", 10, os.getgid()),
        umask=_number(values.get("umask"), "umask", 8, 0, most=0o777),
        service_folders="service_folders" in flags,
        writes=writes,
        sync="sync" in flags,
        shared_identity="shared_identity" in flags,
        at_ns=moment_ns(values["at"], wall_time_ns()) if "at" in values else None,
        snapshots="snapshots" in flags,
        moves="moves" in values,
        markers="no_markers" not in flags,
        ignores_case="ignore_case" in flags,
        exported="export" in flags,
    )


def _check_writing(writes: bool, flags: set[str], values: Mapping[str, str]) -> None:
    if writes and "ro" in flags:
        raise UsageError("mount options ro and rw exclude each other")
    if writes and "at" in values:
        raise UsageError("mount options rw and at exclude each other: the past cannot be changed")
    if "at" in values and "snapshots" in flags:
        raise UsageError("mount options at and snapshots exclude each other")
    if "export" in flags and "allow_other" not in flags:
        raise UsageError(
            "mount option export is for servers, whose users are others",
            hint="say -o export,allow_other",
        )
    if values.get("moves", "copy") != "copy":
        raise UsageError(f"mount option moves={values['moves']}: known is moves=copy")
    if writes and flags & {"allow_other", "allow_root"} and "shared_identity" not in flags:
        raise UsageError(
            "with rw and allow_other, others would write in your name",
            hint="say -o shared_identity too if that is what you want",
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


def no_library(what: str) -> SetupError:
    """That there is no mounting without pyfuse3, and how one has it; ``what`` is wrong with it."""
    return SetupError(
        f"mounting needs pyfuse3, which {what}",
        hint='pip install "dmfs[mount]" (compiles it: needs libfuse3-dev, pkg-config, gcc and '
        "python3-dev); `dmfs ls` and `dmfs cat` work without",
    )


def check_machine(options: MountOptions) -> None:
    """SetupError with the remedy if this machine has no FUSE, or does not permit the options."""
    if not any(finder.find_spec("pyfuse3", None) for finder in sys.meta_path):
        raise no_library("is not installed")
    if not os.path.exists(FUSE_DEVICE):
        raise SetupError(
            f"there is no {FUSE_DEVICE}: this machine (or container) cannot mount FUSE filesystems",
            hint="`modprobe fuse`, or start the container with --device /dev/fuse; "
            "`dmfs ls` and `dmfs cat` work without",
        )
    try:
        os.close(os.open(FUSE_DEVICE, os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        raise SetupError(
            f"{FUSE_DEVICE} cannot be opened: {error.strerror}",
            hint=f"ask root for access (`chmod 666 {FUSE_DEVICE}` is usual), or start the "
            "container as root; `dmfs ls` and `dmfs cat` work without",
        ) from None
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


IsGone = Callable[[str], bool]
"""Whether the process of the drive at a mountpoint was killed, as far as that is known."""


def prepare_mountpoint(mountpoint: str, is_gone: IsGone = lambda _: False) -> str:
    """Check that this is an empty directory where nothing is mounted, and return its true path;
    clear a dead drive first. SetupError otherwise."""
    path = true_path(mountpoint)
    mount = mount_at(path)
    if mount is not None and mount.kind == FILESYSTEM:
        condition = condition_of(path)
        if condition is Condition.SILENT and is_gone(path):
            abort_connection(mount)
            condition = Condition.DEAD
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
    """Detach the drives of processes that were killed, and nothing else. SetupError if that
    fails."""
    with turn_to_clear(path):
        for _ in range(STACKED_MAX):
            mount = mount_at(path)
            if mount is None or mount.kind != FILESYSTEM or not is_dead(path):
                return  # another process was quicker
            if detach(path):
                continue
            done = _fusermount("-u", "-z", "--", path)  # which has the right, where we have not
            if done.returncode != 0:
                raise SetupError(
                    f"a dead mount at {path} cannot be cleared: {done.stderr.strip()}",
                    hint=f"fusermount3 -uz {path}",
                )


def mounts() -> dict[str, str]:
    """Mountpoint → filesystem type, of this process's mount namespace."""
    return {mount.mountpoint: mount.kind for mount in mount_table()}


def unmount(mountpoint: str, is_gone: IsGone = lambda _: False) -> None:
    """Unmount a dmfs drive. SetupError if nothing is mounted there, if it is another filesystem, or
    if it is busy (with the processes that use it). Asks the drive nothing: it may be stopped.

    A process that is killed while the kernel waits for it, and it for the kernel, never ends, and
    nor do the calls of others: then the kernel is told to give the drive up."""
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
    try:
        done = _fusermount("-u", "--", path)
    except SetupError:
        if not _give_up(mount, is_gone):
            raise
        return
    if done.returncode == 0 or _give_up(mount, is_gone):
        return
    if "busy" in done.stderr.lower():
        users = processes_using(path)
        raise SetupError(f"{path} is busy{_named(users)}", hint=_way_out(users))
    reason = done.stderr.strip().removeprefix("fusermount3: ") or "fusermount3 failed"
    raise SetupError(f"{path} cannot be unmounted: {reason}")


def _give_up(mount: Mount, is_gone: IsGone) -> bool:
    """Take away a drive that was killed and does not answer; False if it is not such a one.
    SetupError if it cannot be done."""
    path = mount.mountpoint
    if not is_gone(path) or condition_of(path) is not Condition.SILENT:
        return False
    abort_connection(mount)
    clear_dead_mount(path)
    return True


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

"""``dmfs doctor`` on this machine: FUSE, permissions, kernel parameters, cache. Blocking."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
from pathlib import Path

from dmfs.blocks.store.block_store import DIRECTORY as BLOCKS
from dmfs.cli.doctor.findings import ERROR, NOTE, OK, WARNING, Finding
from dmfs.cli.secret_files import exposed_files
from dmfs.config import Settings
from dmfs.errors import DriveError
from dmfs.fuse.kernel_params import READ_AHEAD_KB, parameter_paths
from dmfs.fuse.mount_place import Condition, condition_of
from dmfs.fuse.mountpoint import (
    MountOptions,
    check_machine,
    mounts,
    user_allow_other,
)
from dmfs.system.mountinfo import FILESYSTEM

_CACHE_WHY = "without a cache on disk every read fetches from the service"


def check_here(settings: Settings, config: Path) -> list[Finding]:
    """All local findings; ``config`` is the configuration file."""
    return [
        *_fuse(),
        *_directories(settings),
        *_secrets(settings, config),
        *_kernel(),
        *_cache(settings),
    ]


def _fuse() -> list[Finding]:
    options = MountOptions(frozenset(), 0, 0, 0, service_folders=False)
    why = "`dmfs mount` needs it; `dmfs ls`, `stat` and `cat` do not"
    try:
        check_machine(options)
    except DriveError as error:
        return [Finding("fuse", ERROR, error.message, why, error.hint)]
    found = [Finding("fuse", OK, "/dev/fuse and fusermount3 are there")]
    helper = shutil.which("fusermount3")
    if os.geteuid() != 0 and helper is not None and not Path(helper).stat().st_mode & 0o4000:
        what = f"{helper} is not setuid root"
        found.append(Finding("fuse", ERROR, what, why, "reinstall the package fuse3"))
    if os.geteuid() != 0:
        found.append(_sharing())
    return found


def _sharing() -> Finding:
    allowed = user_allow_other()
    if allowed is None:
        what = "whether mounts may be shared is not known: /etc/fuse.conf is not yours to read"
        return Finding("permissions", NOTE, what)
    if allowed:
        return Finding("permissions", OK, "mounts may be shared with other users (allow_other)")
    return Finding(
        "permissions",
        NOTE,
        "only you will see your mounts",
        "-o allow_other and allow_root are refused to ordinary users here",
        "if others must see them, ask root to put user_allow_other into /etc/fuse.conf",
    )


def _directories(settings: Settings) -> list[Finding]:
    """Are our directories ours, private and writable?"""
    found = []
    for name, path in (
        ("state directory", settings.state_dir),
        ("sign-in directory", settings.state_dir / "tokens"),
        ("log directory", settings.state_dir / "log"),
        ("cache directory", settings.cache_dir),
    ):
        try:
            status = path.stat()
        except FileNotFoundError:
            continue  # created at first use
        except OSError as error:
            found.append(Finding("permissions", ERROR, f"{name} {path}: {error.strerror}"))
            continue
        if not os.access(path, os.W_OK | os.X_OK):
            found.append(
                Finding(
                    "permissions",
                    ERROR,
                    f"the {name} {path} is not yours to write",
                    "sign-ins and blocks are stored there",
                    f"chown {os.geteuid()} {path}",
                )
            )
        elif status.st_uid != os.geteuid():
            what = f"the {name} {path} belongs to another user"
            why = "its owner can replace what is stored there"
            remedy = f"chown {os.geteuid()} {path}, or choose another one"
            found.append(Finding("permissions", WARNING, what, why, remedy))
        elif status.st_mode & 0o077:
            what = f"the {name} {path} is open to others"
            why = "it holds tokens, or names and contents of what you read"
            found.append(Finding("permissions", WARNING, what, why, f"chmod 700 {path}"))
    found += _open_files(settings)
    return found or [Finding("permissions", OK, "our directories are ours alone")]


def _secrets(settings: Settings, config: Path) -> list[Finding]:
    why = "others could use your app in its name"
    return [
        Finding("permissions", WARNING, f"everybody can read {what} in {path}", why,
                f"chmod 600 {path}, and give the app a new secret if others were here")
        for what, path in exposed_files(config, settings)
    ]  # fmt: skip


def _open_files(settings: Settings) -> list[Finding]:
    """Files that hold secrets or names, and that others may read."""
    found = []
    state = settings.state_dir
    paths: list[Path] = []
    with contextlib.suppress(OSError):  # told of the directory itself
        paths = sorted([*state.glob("tokens/*.json"), *state.glob("log/*.log*")])
    for path in paths:
        with contextlib.suppress(OSError):
            if path.stat(follow_symlinks=False).st_mode & 0o077:
                what, why = f"{path} is open to others", "it holds tokens or names of models"
                found.append(Finding("permissions", WARNING, what, why, f"chmod 600 {path}"))
    return found


def _kernel() -> list[Finding]:
    """The kernel's read-ahead and queue of each dmfs mount; a mount works with any value."""
    found = []
    for mountpoint, kind in sorted(mounts().items()):
        if kind != FILESYSTEM:
            continue
        values = {}
        condition = condition_of(mountpoint)
        if condition is not Condition.WELL:
            what = f"the mount at {mountpoint} does not answer"
            why = "its process is gone" if condition is Condition.DEAD else "its process is stuck"
            remedy = f"dmfs umount {mountpoint}, then mount it again"
            found.append(Finding("kernel", WARNING, what, why, remedy))
            continue
        try:
            paths = parameter_paths(mountpoint)
        except OSError:
            continue  # unmounted in this moment
        for name, path in paths.items():
            try:
                values[name] = int(path.read_text())
            except (OSError, ValueError):
                continue
        summary = ", ".join(f"{name} {value}" for name, value in values.items()) or "not readable"
        low = values.get("read_ahead_kb", READ_AHEAD_KB) < READ_AHEAD_KB
        why = "one stream makes eight times as many requests as it needs" if low else ""
        remedy = f"as root: echo {READ_AHEAD_KB} > {paths['read_ahead_kb']}" if low else ""
        found.append(
            Finding("kernel", NOTE if low else OK, f"{mountpoint}: {summary}", why, remedy)
        )
    return found or [Finding("kernel", OK, "no drive is mounted: no parameters to check")]


def _cache(settings: Settings) -> list[Finding]:
    if settings.cache_size == 0:
        return [Finding("cache", NOTE, "there is no cache on disk (cache_size = 0)", _CACHE_WHY)]
    directory = settings.cache_dir
    try:
        existing = next(
            each for each in (directory, *directory.absolute().parents) if each.exists()
        )
        usage = shutil.disk_usage(existing)
    except OSError as error:
        what = f"the free space of the cache's disk is not readable: {error.strerror}"
        return [Finding("cache", ERROR, what, _CACHE_WHY, "choose another with DMFS_CACHE_DIR")]
    free_percent = 100 * usage.free / max(1, usage.total)
    found = []
    if free_percent <= settings.cache_free_percent:
        found.append(
            Finding(
                "cache",
                WARNING,
                f"{free_percent:.1f} % of the disk of {directory} is free",
                f"the cache leaves {settings.cache_free_percent} % free, so it stores nothing new",
                "free some space, or choose another disk with DMFS_CACHE_DIR",
            )
        )
    damage = _damage(directory / BLOCKS)
    if damage:
        remedy = f"unmount all drives, then remove {directory}; dmfs will fetch the bytes again"
        found.append(Finding("cache", ERROR, f"its index is damaged: {damage}", _CACHE_WHY, remedy))
    free_gib = usage.free / 2**30
    return found or [
        Finding("cache", OK, f"{directory}: sound, {free_gib:.0f} GiB free on its disk")
    ]


def _damage(directory: Path) -> str:
    """SQLite's complaint about the cache's index, '' if it is sound or absent. Reads only."""
    for path in sorted(directory.glob("*.sqlite*")) + sorted(directory.glob("*.db")):
        if path.name.endswith(("-wal", "-shm", "-journal")):
            continue
        try:
            connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=2)
            try:
                answer = connection.execute("PRAGMA quick_check(1)").fetchone()
            finally:
                connection.close()
        except sqlite3.OperationalError:
            continue  # a mount that is at work has locked it: it is well
        except sqlite3.Error as error:
            return str(error)
        if answer is None or answer[0] != "ok":
            return str(answer[0] if answer else "no answer")
    return ""

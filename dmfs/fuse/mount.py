"""The life of a mount: from the kernel's first request to the last."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable

import pyfuse3
import trio

from dmfs.drive import Drive
from dmfs.errors import SetupError
from dmfs.fuse.attributes import Ownership
from dmfs.fuse.kernel_cache import Arrivals, push_here
from dmfs.fuse.kernel_params import raise_parameters
from dmfs.fuse.mountpoint import clear_dead_mount
from dmfs.fuse.operations import Operations
from dmfs.fuse.push.pusher import Pusher
from dmfs.fuse.workers import replace_workers
from dmfs.model import Directory
from dmfs.system.mountinfo import Mount, mount_at
from dmfs.telemetry.stack_report import report_on_signal

MAX_TASKS = 512
"""Requests served at once: more than readers can stall, so that ``ls`` always finds a place."""
_MNT_DETACH, _UMOUNT_NOFOLLOW = 2, 8
STOP_GRACE_S = 2.0
"""Requests under way get so long when the mount is stopped; then the kernel ends them."""


async def serve(
    drive: Drive,
    root: Directory,
    mountpoint: str,
    ownership: Ownership,
    options: set[str],
    on_ready: Callable[[], None],
    stop: trio.Event,
) -> None:
    """Mount, call ``on_ready`` once the drive answers, serve until unmounted or ``stop``."""
    operations, mode = Operations(drive, root, ownership), {"ro"}
    if drive.writing is not None:
        from dmfs.fuse.write_operations import WriteOperations  # noqa: PLC0415 - see assembly

        operations, mode = WriteOperations(drive, root, ownership, drive.writing), set()
    ours, session = _mount(operations, mountpoint, set(pyfuse3.default_options) | mode | options)
    pusher = Pusher(session, push_here)
    operations.push_by = pusher.push
    arrivals = Arrivals(pusher)
    drive.passes_on(arrivals.wait)
    if drive.writing is not None:
        pusher.start()
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_announce, mountpoint, on_ready)
            nursery.start_soon(_stop_on, stop, nursery.cancel_scope)
            nursery.start_soon(report_on_signal, drive.gauges)
            await pyfuse3.main(min_tasks=1, max_tasks=MAX_TASKS)
            nursery.cancel_scope.cancel()
    finally:
        # by number: libfuse would take away whatever has been mounted over the drive meanwhile
        ours_still = ours is not None and mount_at(mountpoint) == ours
        pyfuse3.close(unmount=ours_still and not _detach(mountpoint))
        arrivals.close()
        pusher.close()


def _detach(mountpoint: str) -> bool:
    """Take the drive out of the tree, as root by a call of the kernel. libfuse 3.17 runs umount(8)
    for that, and a new program first closes our files: with one of them on a disk that hangs, the
    drive never ended. False where only libfuse may do it (through fusermount3)."""
    # (the last of a mount's files to be closed ends it for good; that is libfuse's next step)
    flags = _MNT_DETACH | _UMOUNT_NOFOLLOW
    return bool(ctypes.CDLL(None).umount2(os.fsencode(mountpoint), flags) == 0)


def _mount(operations: Operations, mountpoint: str, options: set[str]) -> tuple[Mount | None, int]:
    """Mount, and return the row of the kernel's table and the session's descriptor. SetupError if
    it cannot be done."""
    if mount_at(mountpoint) is not None:
        raise SetupError(f"something has just been mounted at {mountpoint}")
    try:
        pyfuse3.init(operations, mountpoint, options)
    except RuntimeError as error:
        clear_dead_mount(mountpoint)  # of a fusermount3 that a signal ended halfway
        raise SetupError(f"the kernel does not mount at {mountpoint}: {error}") from None
    try:
        session = replace_workers()
        return mount_at(mountpoint), session
    except BaseException:  # a shortage of descriptors
        pyfuse3.close()
        raise


async def _announce(mountpoint: str, on_ready: Callable[[], None]) -> None:
    # in threads: both stat the mountpoint, and this very loop answers them
    await trio.to_thread.run_sync(os.stat, mountpoint, abandon_on_cancel=True)
    await trio.to_thread.run_sync(raise_parameters, mountpoint, abandon_on_cancel=True)
    on_ready()


async def _stop_on(stop: trio.Event, serving: trio.CancelScope) -> None:
    """pyfuse3 ends when all its requests have ended; a stuck one must not hold up a shutdown."""
    await stop.wait()
    pyfuse3.terminate()
    await trio.sleep(STOP_GRACE_S)
    serving.cancel()

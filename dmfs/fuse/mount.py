"""The life of a mount: from the kernel's first request to the last."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable
from typing import NoReturn

import pyfuse3
import trio

from dmfs.drive import Drive
from dmfs.errors import SetupError
from dmfs.fuse.attributes import Ownership
from dmfs.fuse.confinement.apparmor import hint_of_refusal
from dmfs.fuse.confinement.refusals import overheard
from dmfs.fuse.descriptor.given import Given, served_before
from dmfs.fuse.kernel_cache import Arrivals, push_here
from dmfs.fuse.kernel_params import raise_parameters
from dmfs.fuse.mount_place import detach
from dmfs.fuse.mountpoint import clear_dead_mount
from dmfs.fuse.operations import Operations
from dmfs.fuse.push.pusher import Pusher
from dmfs.fuse.workers import replace_workers
from dmfs.model import Directory
from dmfs.system.mountinfo import Mount, mount_at
from dmfs.telemetry.stack_report import report_on_signal

log = logging.getLogger(__name__)

MAX_TASKS = 512
"""Requests served at once: more than readers can stall, so that ``ls`` always finds a place."""
STOP_GRACE_S = 2.0
"""Requests under way get so long when the mount is stopped; then the kernel ends them."""
GREETING_S = 5.0
"""A descriptor that nobody has served has the kernel's first request from mount(2) on."""
CHANGES = (
    "create mkdir mknod unlink rmdir rename symlink link setattr setxattr removexattr write"
).split()
"""Requests that a drive refuses that is read alone."""


async def serve(
    drive: Drive,
    root: Directory,
    place: str | Given,
    ownership: Ownership,
    options: set[str],
    on_ready: Callable[[], None],
    stop: trio.Event,
    *,
    exported: bool = False,
) -> None:
    """Mount, call ``on_ready`` once the drive answers, serve until unmounted or ``stop``. ``place``
    is an empty directory, or what somebody else has mounted: that stays mounted behind us."""
    mode = {"ro"} if drive.writing is None else set()
    operations, end = _operations(drive, root, ownership, exported=exported)
    greeted = trio.Event()
    if isinstance(place, Given):
        given, mountpoint, ours = place, place.place, None
        setattr(operations, "init", greeted.set)  # noqa: B010 - pyfuse3 calls it by name
        session = _take(operations, place, options, writes=drive.writing is not None)
    else:
        given, mountpoint = None, place
        kernel = set(pyfuse3.default_options) | mode | options
        ours, session = _mount(operations, mountpoint, kernel)
    pusher = Pusher(session, push_here)
    operations.push_by = pusher.push
    arrivals = Arrivals(pusher)
    drive.passes_on(arrivals.wait)
    if drive.writing is not None:
        pusher.start()
    try:
        async with trio.open_nursery() as nursery:
            if given is None:
                nursery.start_soon(_announce, mountpoint, on_ready)
            else:
                nursery.start_soon(_announce_given, given, greeted, on_ready)
            nursery.start_soon(_stop_on, stop, nursery.cancel_scope)
            nursery.start_soon(report_on_signal, drive.gauges)
            await pyfuse3.main(min_tasks=1, max_tasks=MAX_TASKS)
            nursery.cancel_scope.cancel()
    finally:
        # by number: libfuse would take away whatever has been mounted over the drive meanwhile
        ours_still = ours is not None and mount_at(mountpoint) == ours
        pyfuse3.close(unmount=ours_still and not detach(mountpoint))
        arrivals.close()
        pusher.close()
        end()


def _operations(
    drive: Drive, root: Directory, ownership: Ownership, *, exported: bool
) -> tuple[Operations, Callable[[], None]]:
    """With what follows the last request."""
    if exported:
        from dmfs.fuse.export.opening import exporting  # noqa: PLC0415 - see assembly

        exports = exporting(drive, root, ownership)
        return exports, exports.close
    if drive.writing is not None:
        from dmfs.fuse.write_operations import WriteOperations  # noqa: PLC0415 - see assembly

        return WriteOperations(drive, root, ownership, drive.writing), lambda: None
    return Operations(drive, root, ownership), lambda: None


def _mount(operations: Operations, mountpoint: str, options: set[str]) -> tuple[Mount | None, int]:
    """Mount, and return the row of the kernel's table and the session's descriptor. SetupError if
    it cannot be done."""
    if mount_at(mountpoint) is not None:
        raise SetupError(f"something has just been mounted at {mountpoint}")
    said: list[str] = []
    try:
        with overheard() as said:
            pyfuse3.init(operations, mountpoint, options)
    except RuntimeError as error:
        clear_dead_mount(mountpoint)  # of a fusermount3 that a signal ended halfway
        hint = hint_of_refusal(mountpoint, options & {"ro", "noatime", "noexec"})
        why = "; ".join(said) or error
        raise SetupError(f"the kernel does not mount at {mountpoint}: {why}", hint=hint) from None
    try:
        session = replace_workers()
        return mount_at(mountpoint), session
    except BaseException:  # a shortage of descriptors
        pyfuse3.close()
        raise


def _take(operations: Operations, given: Given, options: set[str], *, writes: bool) -> int:
    """Begin a session on a descriptor that is mounted; the descriptor. SetupError."""
    theirs = sorted(each for each in options if not each.startswith(("fsname=", "subtype=")))
    if theirs:
        log.info("%s: for whoever mounts, not for us: -o %s", given.name, ",".join(theirs))
    seen = given.mount.options if given.mount is not None else frozenset({"default_permissions"})
    if "default_permissions" not in seen:
        log.warning("%s: mounted without default_permissions, nobody checks them", given.place)
    if not writes:
        _refuse_changes(operations)  # the kernel asks, where the mount itself is not read-only
    try:
        pyfuse3.init(operations, given.name, set())
    except RuntimeError as error:
        raise SetupError(f"{given.name} cannot be served: {error}") from None
    try:
        return replace_workers(given.number)
    except BaseException:  # a shortage of descriptors
        pyfuse3.close(unmount=False)
        raise


def _refuse_changes(operations: Operations) -> None:
    async def refuse(*_: object) -> NoReturn:
        raise pyfuse3.FUSEError(errno.EROFS)

    for name in CHANGES:
        setattr(operations, name, refuse)


async def _announce_given(given: Given, greeted: trio.Event, on_ready: Callable[[], None]) -> None:
    with trio.move_on_after(GREETING_S):
        await greeted.wait()
    if not greeted.is_set():
        raise served_before(given.name)
    if given.mount is not None:
        await trio.to_thread.run_sync(
            raise_parameters, given.mount.mountpoint, abandon_on_cancel=True
        )
    on_ready()


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

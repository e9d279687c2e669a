"""A mount's life in its own process: open the drive, answer the kernel, end on a signal."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable

import trio

from dmfs.assembly import open_drive
from dmfs.cli.daemonize import READY, notify_parent, sd_notify, was_heard
from dmfs.cli.settings import Invocation
from dmfs.config import Settings
from dmfs.errors import SetupError
from dmfs.fuse import mount
from dmfs.fuse.attributes import Ownership
from dmfs.fuse.mount_place import claimed
from dmfs.fuse.mountpoint import MountOptions, prepare_mountpoint
from dmfs.model import File, Shortcut
from dmfs.names import id_hash
from dmfs.system.concurrency import bare_errors
from dmfs.system.gc_tuning import keep_trimmed, set_up_heap
from dmfs.system.private_files import own_state_directory
from dmfs.telemetry.logs import set_up_logging


def serve(call: Invocation, options: MountOptions, settings: Settings, mountpoint: str) -> None:
    """Serve until the drive is unmounted or a signal ends it. DriveErrors come out bare;
    KeyboardInterrupt if a signal, or the end of a waiting parent, came before the drive answered.
    """
    os.umask(0o077)  # whatever is made from here on, also by libraries, is ours alone
    in_background = call.options.ready_fd is not None
    own_state_directory(settings.state_dir)
    log_file = call.options.log_file
    if log_file is None and in_background:
        log_file = settings.state_dir / "log" / log_name(mountpoint)
        own_state_directory(log_file.parent)
    set_up_logging(call.options.log_level or "info", log_file)
    with claimed(mountpoint, settings.state_dir) as release:
        prepare_mountpoint(mountpoint)  # again: another one may have been quicker
        if in_background:
            os.chdir("/")  # all paths are absolute by now; it must not keep a directory busy
        set_up_heap()
        life = _Life(call, mountpoint, release)
        with bare_errors():
            trio.run(_serve, life, options, settings)
    if life.interrupted:
        raise KeyboardInterrupt


class _Life:
    """From the start, which a signal ends without a trace, to the first answer, to the end."""

    def __init__(self, call: Invocation, mountpoint: str, release: Callable[[], None]) -> None:
        self.source = call.options.source
        self.mountpoint = mountpoint
        self._parent = call.options.ready_fd
        self._manager = call.environ.get("NOTIFY_SOCKET", "")
        self._release = release
        self._ready = False
        self._start = trio.CancelScope()
        self.stop = trio.Event()
        self.interrupted = False

    def on_ready(self) -> None:
        """The drive answers: tell who waits."""
        if self._parent is None:
            self._on_started()
        elif not notify_parent(self._parent, READY):
            self._interrupt()

    def _on_started(self) -> None:
        self._ready = True
        self._release()
        sd_notify(self._manager, "READY=1", f"STATUS=serving {self.source} at {self.mountpoint}")

    def on_stopping(self) -> None:
        sd_notify(self._manager, "STOPPING=1")

    def _interrupt(self) -> None:
        self.interrupted = True
        self._start.cancel()

    async def obey_signals(self, signals: AsyncIterator[int]) -> None:
        """Until the end. A closed terminal is a reason to give a start up, and none to take a
        drive away."""
        async for number in signals:
            if not self._ready:
                self._interrupt()
            elif number != signal.SIGHUP:
                self.stop.set()

    async def watch_parent(self) -> None:
        """The start is over when the process that waits for it has heard so, and is given up when
        that is gone before: nobody would know of the mount."""
        if self._parent is not None:
            await trio.lowlevel.wait_readable(self._parent)
            if was_heard(self._parent):
                self._on_started()
            else:
                self._interrupt()

    async def run(self, work: Callable[[], Awaitable[None]]) -> None:
        """``work`` with the above beside it, for the whole life of the event loop."""
        numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        with trio.open_signal_receiver(*numbers) as signals:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.obey_signals, signals)
                nursery.start_soon(self.watch_parent)
                with self._start:
                    await work()
                nursery.cancel_scope.cancel()


async def _serve(life: _Life, options: MountOptions, settings: Settings) -> None:
    async def work() -> None:
        async with open_drive(
            settings, service_folders=options.service_folders, keeper=True
        ) as drive:
            root = await drive.resolve(life.source)
            if isinstance(root, File | Shortcut):
                raise SetupError(f"{life.source!r} is a file; only directories can be mounted")
            await drive.prepare(root)  # fail now, with the reason, rather than at the first ls
            async with trio.open_nursery() as nursery:
                nursery.start_soon(keep_trimmed)
                ownership = Ownership(options.uid, options.gid, options.umask)
                await mount.serve(
                    drive, root, life.mountpoint, ownership, set(options.kernel), life.on_ready,
                    life.stop,
                )  # fmt: skip
                life.on_stopping()
                nursery.cancel_scope.cancel()

    await life.run(work)


LOG_TAIL_CHARS = 48


def log_name(mountpoint: str) -> str:
    """The file name of a background mount's log: the end of its path for people, and a hash of the
    whole (``/x/y`` and ``/x-y`` are two drives, and a path is longer than a name may be)."""
    words = "".join(char if char.isalnum() or char in "._" else "-" for char in mountpoint)
    tail = words[-LOG_TAIL_CHARS:].strip("-.") or "drive"
    return f"{tail}.{id_hash(os.fsencode(mountpoint).hex())}.log"

"""A mount's life in its own process: open the drive, answer the kernel, end on a signal."""

from __future__ import annotations

import os
import signal

import trio

from dmfs.assembly import open_drive
from dmfs.cli.daemonize import READY, notify_parent, sd_notify
from dmfs.cli.settings import Invocation
from dmfs.config import Settings
from dmfs.errors import SetupError
from dmfs.fuse import mount
from dmfs.fuse.attributes import Ownership
from dmfs.fuse.mountpoint import MountOptions
from dmfs.model import File, Shortcut
from dmfs.system.concurrency import bare_errors
from dmfs.system.gc_tuning import keep_trimmed, set_up_heap
from dmfs.telemetry.logs import set_up_logging


def serve(call: Invocation, options: MountOptions, settings: Settings, mountpoint: str) -> None:
    """Serve until the drive is unmounted or a signal ends it. DriveErrors come out bare."""
    in_background = call.options.ready_fd is not None
    log_file = call.options.log_file
    if log_file is None and in_background:
        log_file = settings.state_dir / "log" / (mountpoint.strip("/").replace("/", "-") + ".log")
    set_up_logging(call.options.log_level or "info", log_file)
    if in_background:
        os.chdir("/")  # all paths are absolute by now; the drive must not keep a directory busy
    set_up_heap()
    with bare_errors():
        trio.run(_serve, call, options, settings, mountpoint)


async def _serve(
    call: Invocation, options: MountOptions, settings: Settings, mountpoint: str
) -> None:
    source = call.options.source
    manager = call.environ.get("NOTIFY_SOCKET", "")
    stop = trio.Event()

    def on_ready() -> None:
        notify_parent(call.options.ready_fd, READY)
        sd_notify(manager, "READY=1", f"STATUS=serving {source} at {mountpoint}")

    async with open_drive(settings, service_folders=options.service_folders) as drive:
        root = await drive.resolve(source)
        if isinstance(root, File | Shortcut):
            raise SetupError(f"{source!r} is a file; only directories can be mounted")
        await drive.prepare(root)  # fail now, with the reason, rather than at the first ls
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_stop_on_signal, stop)
            nursery.start_soon(keep_trimmed)
            ownership = Ownership(options.uid, options.gid, options.umask)
            await mount.serve(
                drive, root, mountpoint, ownership, set(options.kernel), on_ready, stop
            )
            sd_notify(manager, "STOPPING=1")
            nursery.cancel_scope.cancel()


async def _stop_on_signal(stop: trio.Event) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
        async for number in signals:
            if number != signal.SIGHUP:  # a closed terminal is no reason to take the drive away
                stop.set()

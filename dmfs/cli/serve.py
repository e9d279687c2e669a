"""A mount's life in its own process: open the drive, answer the kernel, end on a signal."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import trio

from dmfs import __version__
from dmfs.assembly import open_drive
from dmfs.cli.daemonize import READY, ServiceManager, notify_parent, was_heard
from dmfs.cli.settings import Invocation
from dmfs.config import Settings
from dmfs.control.cards import Card, run_directories
from dmfs.control.metrics_port import metrics_port, scrape
from dmfs.control.routes import Routes
from dmfs.control.server import ControlServer
from dmfs.drive import Drive
from dmfs.errors import DriveError, NotFoundError, SetupError
from dmfs.fuse import mount
from dmfs.fuse.attributes import Ownership
from dmfs.fuse.descriptor.given import Given, stored_as
from dmfs.fuse.mount_place import claimed
from dmfs.fuse.mountpoint import MountOptions, prepare_mountpoint
from dmfs.grammar.moments import past_of, past_path
from dmfs.model import File, Node, Past, Shortcut
from dmfs.names import id_hash, printable
from dmfs.namespace.views.past import oldest_ns
from dmfs.status import status_of
from dmfs.system.clock import iso_seconds, local_now, wall_time_s
from dmfs.system.concurrency import bare_errors
from dmfs.system.gc_tuning import keep_trimmed, set_up_heap
from dmfs.system.private_files import own_state_directory
from dmfs.telemetry.desktop import session_bus, show
from dmfs.telemetry.logs import set_up_logging
from dmfs.telemetry.watch import beat, watch

log = logging.getLogger(__name__)


def serve(
    call: Invocation, options: MountOptions, settings: Settings, mountpoint: str,
    given: Given | None = None,
) -> None:  # fmt: skip
    """Serve until the drive is unmounted or a signal ends it; ``given`` is what was mounted for us
    at ``mountpoint``, if it was. DriveErrors come out bare;
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
    with contextlib.ExitStack() as stack:
        if given is None:
            release = stack.enter_context(claimed(mountpoint, settings.state_dir))
            prepare_mountpoint(mountpoint)  # again: another one may have been quicker
        else:
            release = stack.close
        if in_background:
            os.chdir("/")  # all paths are absolute by now; it must not keep a directory busy
        set_up_heap(writes=options.writes)
        life = _Life(call, mountpoint, release, options.at_ns, given)
        life.take_over()
        with bare_errors():
            trio.run(_serve, life, options, settings, _card(life, settings, log_file))
    if life.interrupted:
        raise KeyboardInterrupt


class _Life:
    """From the start, which a signal ends without a trace, to the first answer, to the end."""

    def __init__(
        self, call: Invocation, mountpoint: str, release: Callable[[], None], at_ns: int | None,
        given: Given | None,
    ) -> None:  # fmt: skip
        self.source = (
            call.options.source if at_ns is None else past_path(at_ns, call.options.source)
        )
        self.mountpoint = mountpoint
        self.given = given
        self.because = "unmounted"
        """Why it ends, for whoever asks later."""
        self._environ = call.environ
        self._parent = call.options.ready_fd
        self.manager = ServiceManager(call.environ)
        self.session_bus = session_bus(call.environ)
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
        self.manager.send("READY=1", f"STATUS=serving {self.source} at {self.mountpoint}")

    def take_over(self) -> None:
        """Be the only one with the descriptor: while the manager stores it, a drive that was killed
        hangs those who look at it."""
        if self.given is not None:
            stored = stored_as(self._environ, os.getpid(), self.given.number)
            if stored:
                self.manager.send("FDSTOREREMOVE=1", f"FDNAME={stored}")

    def on_stopping(self) -> None:
        self.manager.send("STOPPING=1")

    def run_directories(self, settings: Settings) -> list[Path]:
        """Where the control socket may be."""
        return run_directories(self._environ, settings.state_dir, os.getuid())

    def _interrupt(self) -> None:
        self.interrupted, self.because = True, "its start was given up"
        self._start.cancel()

    async def obey_signals(self, signals: AsyncIterator[int]) -> None:
        """Until the end. A closed terminal is a reason to give a start up, and none to take a
        drive away."""
        async for number in signals:
            if not self._ready:
                self._interrupt()
            elif number != signal.SIGHUP:
                self.because = f"ended by {signal.Signals(number).name}"
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
                if self.manager.watchdog_s is not None:
                    nursery.start_soon(beat, self.manager.watchdog_s, self.manager.beat)
                with self._start:
                    await work()
                nursery.cancel_scope.cancel()


async def _serve(life: _Life, options: MountOptions, settings: Settings, card: Card) -> None:
    async def work() -> None:
        writes = None
        if options.writes:
            from dmfs.write.opening import Writes

            writes = Writes(life.mountpoint, sync=options.sync, moves=options.moves)
        async with open_drive(
            settings, service_folders=options.service_folders, keeper=True, writes=writes
        ) as drive:
            drive.at_ns = options.at_ns
            root = await resolve_source(drive, life.source)
            if isinstance(root, File | Shortcut):
                raise SetupError(f"{life.source!r} is a file; only directories can be mounted")
            listing = await drive.prepare(root)  # fail now, with the reason, not at the first ls
            if isinstance(root, Past) and not listing.entries:
                await refuse_before_its_time(drive, root, life.source)
            if options.snapshots:
                drive.show_snapshots(root)
            if options.markers:
                drive.show_markers(root)
            if options.ignores_case:
                drive.ignore_case()
            async with observed(drive, life), trio.open_nursery() as nursery:
                nursery.start_soon(keep_trimmed)
                control = ControlServer(Routes(drive, card), card, life.run_directories(settings))
                listening = trio.Event()
                nursery.start_soon(control.run, listening.set)
                await listening.wait()  # who waits for the drive may ask it at once
                ownership = Ownership(options.uid, options.gid, options.umask)
                try:
                    with bare_errors():
                        await mount.serve(
                            drive, root, life.given or life.mountpoint, ownership,
                            set(options.kernel), life.on_ready, life.stop,
                            exported=options.exported,
                        )  # fmt: skip
                except Exception as error:
                    words = error.message if isinstance(error, DriveError) else type(error).__name__
                    life.because = f"failed: {words}"
                    raise
                finally:
                    log.info("the drive ends: %s", life.because)
                    if life.given is not None and life.because != "unmounted":
                        log.info("%s stays, dead, until its opener unmounts it", life.mountpoint)
                    await control.end(life.because)
                life.on_stopping()
                nursery.cancel_scope.cancel()

    await life.run(work)


async def resolve_source(drive: Drive, source: str) -> Node:
    """What is mounted. NotFoundError, of the past also for what was not there yet."""
    try:
        return await drive.resolve(source)
    except NotFoundError as error:
        place, at = past_of(source)
        if at is None:
            raise
        await drive.resolve(place)  # never there, or somewhere else: that says so
        raise NotFoundError(
            f"{printable(place)!r} was not there at {at}", hint=error.hint or "a later moment"
        ) from None


async def refuse_before_its_time(drive: Drive, root: Past, source: str) -> None:
    """NotFoundError where nothing is shown because all of it is younger than the moment."""
    made_ns = oldest_ns((await drive.prepare(root.of)).entries.values())
    if made_ns is not None and made_ns > root.at_ns:
        place, at = past_of(source)
        raise NotFoundError(
            f"{printable(place)!r} had nothing in it at {at}",
            hint=f"what is oldest there is of {iso_seconds(made_ns / 1e9)}",
        )


def _card(life: _Life, settings: Settings, log_file: Path | None) -> Card:
    return Card(
        mountpoint=life.mountpoint,
        pid=os.getpid(),
        started_at=iso_seconds(wall_time_s()),
        source=life.source,
        profile=settings.profile,
        version=__version__,
        api_url=settings.api_url,
        state_dir=str(settings.state_dir),
        cache_dir=str(settings.cache_dir),
        log="" if log_file is None else str(log_file),
        descriptor="" if life.given is None else life.given.name,
    )


@asynccontextmanager
async def observed(drive: Drive, life: _Life) -> AsyncIterator[None]:
    """While the body runs, whoever shall know of the mount does. SetupError if metrics are asked
    for and cannot be had."""
    settings = drive.settings

    async with AsyncExitStack() as stack:
        if settings.metrics:
            await stack.enter_async_context(metrics_port(settings.metrics, partial(scrape, drive)))
        nursery = await stack.enter_async_context(trio.open_nursery())
        if life.manager or settings.notify:
            show_notice = partial(show, life.session_bus) if settings.notify else None
            nursery.start_soon(
                partial(
                    watch, partial(status_of, drive), life.mountpoint,
                    now=local_now, on_sentence=life.manager.say, on_notice=show_notice,
                )
            )  # fmt: skip
        yield
        nursery.cancel_scope.cancel()


LOG_TAIL_CHARS = 48


def log_name(mountpoint: str) -> str:
    """The file name of a background mount's log: the end of its path for people, and a hash of the
    whole (``/x/y`` and ``/x-y`` are two drives, and a path is longer than a name may be)."""
    words = "".join(char if char.isalnum() or char in "._" else "-" for char in mountpoint)
    tail = words[-LOG_TAIL_CHARS:].strip("-.") or "drive"
    return f"{tail}.{id_hash(os.fsencode(mountpoint).hex())}.log"

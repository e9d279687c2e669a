"""``dmfs top``: a mount at work, once a second."""

from __future__ import annotations

import select
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from dmfs.cli import DONE
from dmfs.cli.control.target import mounts_of, socket_of, the_mount
from dmfs.cli.control.top_frame import Line, frame
from dmfs.cli.settings import Invocation
from dmfs.control.client import asking

PERIOD_S = 1.0
PLAIN_COLUMNS, PLAIN_LINES = 120, 40


def top_command(call: Invocation) -> int:
    """Until ``q``, Ctrl-C, or the end of the mount (a DriveError)."""
    mount = the_mount(call.options.mountpoint, mounts_of(call))
    with asking(socket_of(mount), mount.owner) as get, _screen() as (show, wants_end):
        before, at = get("/v1/status"), time.monotonic()
        show(frame(before, before, PERIOD_S, *_size()))
        while not wants_end(PERIOD_S):
            now, later = get("/v1/status"), time.monotonic()
            show(frame(before, now, max(later - at, 0.1), *_size()))
            before, at = now, later
    return DONE


def _size() -> tuple[int, int]:
    if not sys.stdout.isatty():
        return PLAIN_COLUMNS, PLAIN_LINES
    columns, lines = shutil.get_terminal_size()
    return max(40, columns), max(8, lines - 1)


Show = Callable[[list[Line]], None]
WantsEnd = Callable[[float], bool]
"""Waits so many seconds, less where a person asks for the end; whether one did."""


@contextmanager
def _screen() -> Iterator[tuple[Show, WantsEnd]]:
    if not sys.stdout.isatty():
        yield _print_plain, _pause
        return
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    def show(lines: list[Line]) -> None:
        text = Text(no_wrap=True, overflow="crop")
        for line in lines:
            text.append(line.text + "\n", line.style)
        live.update(text, refresh=True)

    with Live(console=Console(), screen=True, auto_refresh=False) as live, _keys() as wants_end:
        yield show, wants_end


def _print_plain(lines: list[Line]) -> None:
    sys.stdout.write("\n".join(line.text for line in lines) + "\n\n")
    sys.stdout.flush()


def _pause(seconds: float) -> bool:
    time.sleep(seconds)
    return False


@contextmanager
def _keys() -> Iterator[WantsEnd]:
    """Single keys of the terminal, without their echo; its state is put back."""
    if not sys.stdin.isatty():
        yield _pause
        return
    import termios
    import tty

    descriptor = sys.stdin.fileno()
    before: list[Any] = termios.tcgetattr(descriptor)
    tty.setcbreak(descriptor)

    def wants_end(seconds: float) -> bool:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if select.select([descriptor], [], [], left)[0]:
                key = sys.stdin.read(1)
                if key in ("q", "Q", ""):
                    return True
        return False

    try:
        yield wants_end
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)

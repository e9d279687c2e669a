"""The events of a job as a person sees them: lines, and a bar on a terminal's stderr.

stdout is data: what changed, and the summary. Only a terminal gets a bar, and imports rich.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from dmfs.cli.control.words import duration, size
from dmfs.names import printable

Event = Mapping[str, Any]
Show = Callable[[Event], None]
Advance = Callable[[str, float, float], None]
"""Sets the bar: what is done, how much of it, of how much."""
Write = Callable[[str], None]

MARKS = {"added": "+", "removed": "-", "changed": "~"}


@contextmanager
def showing_events(summary: Callable[[Event], str]) -> Iterator[Show]:
    """``summary`` makes the line of the last event."""
    with bar() as (advance, write):

        def show(event: Event) -> None:
            match event["event"]:
                case "change":
                    write(f"{MARKS[event['what']]} {printable(event['path'])}")
                case "failed":
                    sys.stderr.write(f"dmfs: {printable(event['path'])}: {event['message']}\n")
                case "waiting":
                    advance(f"the rate limit asks to wait {event['seconds']:.0f} s", 0, 0)
                case "listing" | "progress" if "known" in event:
                    text = f"{event['done']:,} of {event['known']:,} folders"
                    advance(text, event["done"], event["known"])
                case "progress" if "of_items" in event:
                    text = f"{event['items']:,} of {event['of_items']:,} files"
                    advance(text, event["items"], event["of_items"])
                case "exporting":
                    text = f"{event['done']:,} of {event['of_all']:,} designs"
                    advance(text, event["done"], event["of_all"])
                case "progress" if "files_done" in event:
                    done = f"{size(event['bytes_done'])} of {size(event['bytes'])}"
                    text = f"{done}, {event['files_done']:,} of {event['files']:,} files"
                    advance(text + _pace(event), event["bytes_done"], event["bytes"])
                case "estimate" | "pin" | "done":
                    line = summary(event)
                    if line:
                        write(line)

        yield show


def _pace(event: Event) -> str:
    rate, reason = event.get("rate"), event.get("reason")
    text = f", {size(rate)}/s" if rate else ""
    left_s = event.get("left_s", 0.0)
    if not left_s and rate and event["bytes"] > event["bytes_done"]:
        left_s = (event["bytes"] - event["bytes_done"]) / rate
    text += f", {duration(left_s)} left" if left_s else ""
    return text + (f" ({printable(reason)})" if reason else "")


@contextmanager
def bar() -> Iterator[tuple[Advance, Write]]:
    """Sets a bar, and writes lines above it; without a terminal, lines alone."""
    if not sys.stderr.isatty():
        yield lambda _text, _done, _of: None, _print
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    console = Console(stderr=True)
    columns = BarColumn(), TextColumn("{task.description}", markup=False)
    with Progress(
        *columns, console=console, transient=True, refresh_per_second=5, redirect_stdout=False
    ) as progress:
        task = progress.add_task("", total=None)

        def advance(text: str, done: float, of: float) -> None:
            if of:
                progress.update(task, description=text, completed=done, total=of)
            else:
                progress.update(task, description=text)

        def write(line: str) -> None:
            if sys.stdout.isatty():  # above the bar
                console.print(line, markup=False, highlight=False, soft_wrap=True)
            else:
                _print(line)

        yield advance, write


def print_json(event: Event) -> None:
    """An event as a line, for programs."""
    _print(json.dumps(event, ensure_ascii=False))


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()

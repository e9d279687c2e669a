"""The options of the commands that show what mounts do, and steer them."""

from __future__ import annotations

from collections.abc import Callable

TYPE_CHECKING = False  # as in dmfs.cli.parser
if TYPE_CHECKING:
    import argparse

COMMANDS = {
    "status": "what each mount does, knows, holds and waits for",
    "top": "live: who reads what, who spends which quota",
    "events": "requests, calls and changes, one JSON object a line",
    "pin": "keep projects, folders or files whole, newest and offline",
    "unpin": "no longer",
}
"""What each is for."""


def add_control(add: Callable[[str], argparse.ArgumentParser]) -> None:
    """Their parsers."""
    where = "where a drive is mounted"
    status = add("status")
    status.add_argument("mountpoints", metavar="MOUNTPOINT", nargs="*",
                        help=f"{where} (default: all of them)")  # fmt: skip
    status.add_argument("--json", action="store_true", help="for programs")
    top = add("top")
    top.add_argument("mountpoint", metavar="MOUNTPOINT", nargs="?",
                     help=f"{where} (default: the only one)")  # fmt: skip
    events = add("events")
    events.add_argument("mountpoint", metavar="MOUNTPOINT", nargs="?",
                        help=f"{where} (default: the only one)")  # fmt: skip
    events.add_argument("-f", "--follow", action="store_true",
                        help="go on with what happens, each access of a file included")  # fmt: skip
    pin = add("pin")
    pin.add_argument("paths", metavar="PATH", nargs="*", help="projects, folders or files")
    pin.add_argument("--list", action="store_true", help="what is pinned, and how far it is")
    pin.add_argument("--json", action="store_true", help="for programs: one JSON object a line")
    unpin = add("unpin")
    unpin.add_argument("paths", metavar="PATH", nargs="+", help="what was pinned")
    unpin.add_argument("--json", action="store_true", help="for programs")

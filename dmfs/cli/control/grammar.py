"""The options of the commands that show what mounts do, steer them, and change what they show."""

from __future__ import annotations

from collections.abc import Callable

TYPE_CHECKING = False  # as in dmfs.cli.parser
if TYPE_CHECKING:
    import argparse

COMMANDS = {
    "status": "what each mount does, knows, holds and waits for",
    "top": "live: who reads what, who spends which quota",
    "events": "requests, calls and changes, one JSON object a line",
    "refresh": "list a folder again now, and print what changed",
    "warm": "fetch folders and files ahead of need; people go first",
    "evict": "let go of cached bytes, but of no open or pinned file",
    "offline": "go on with what is cached and ask nobody, or end that",
    "pin": "keep projects, folders or files whole, newest and offline",
    "unpin": "no longer",
}
"""What each is for."""
WRITING_COMMANDS = {
    "uploads": "what waits to go up, why, and how far it is; retry, discard, get",
    "put": "save a file of this machine in the drive, and wait until it is there",
    "rm": "delete files, and folders that are empty",
    "mkdir": "make folders",
    "restore": "bring the file back that was deleted last under a name",
}
DESKTOP_COMMANDS = {
    "desktop": "file types, icons and menus for file managers",
}
VERBS = ("retry", "discard", "get")
"""Of ``uploads``."""
EPILOG = """\
dmfs uploads [MOUNTPOINT]       what waits; exit status 1 if something failed,
                                or is a conflict that nobody has seen yet
dmfs uploads --wait             send it now, and wait until all is there
dmfs uploads retry [PATH]       try again; with --to, --as or --beside as
                                another file
dmfs uploads discard PATH...    never send it; its bytes stay for 7 days
dmfs uploads get PATH -o FILE   the saved bytes, whatever state it is in"""


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
    _add_jobs(add)
    _add_pins(add)


def _add_jobs(add: Callable[[str], argparse.ArgumentParser]) -> None:
    where = "in the drive, /HUB/PROJECT/folder, or below a mountpoint"
    refresh = add("refresh")
    refresh.add_argument("path", metavar="PATH", help=where)
    refresh.add_argument("-r", "--recursive", action="store_true",
                         help="all folders below as well, one call each")  # fmt: skip
    warm = add("warm")
    warm.add_argument("paths", metavar="PATH", nargs="+", help=where)
    warm.add_argument("--match", metavar="GLOB",
                      help="files of such names ('*.rvt'), or with a / of such paths")  # fmt: skip
    warm.add_argument("--newer", metavar="TIME",
                      help="files changed since: 2024-05-01, 12h, 7d")  # fmt: skip
    warm.add_argument("--max-size", metavar="SIZE", help="files up to this size: 100M")
    warm.add_argument("--listings-only", action="store_true", help="folders, no bytes")
    warm.add_argument("--dry-run", action="store_true",
                      help="say what it would cost, and fetch no bytes")  # fmt: skip
    evict = add("evict")
    evict.add_argument("paths", metavar="PATH", nargs="+", help=where)
    offline = add("offline")
    offline.add_argument("state", metavar="on|off", choices=("on", "off"),
                         help="on, or off, which asks the service at once")  # fmt: skip
    offline.add_argument("mountpoint", metavar="MOUNTPOINT", nargs="?",
                         help="where a drive is mounted (default: the only one)")  # fmt: skip
    for each in (refresh, warm, evict, offline):
        each.add_argument("--json", action="store_true",
                          help="each event as a line, for programs")  # fmt: skip


def _add_pins(add: Callable[[str], argparse.ArgumentParser]) -> None:
    pin = add("pin")
    pin.add_argument("paths", metavar="PATH", nargs="*", help="projects, folders or files")
    pin.add_argument("--export", metavar="F",
                     help="also each new version of the designs below: f3z, step …")  # fmt: skip
    pin.add_argument("--list", action="store_true", help="what is pinned, and how far it is")
    pin.add_argument("--json", action="store_true", help="for programs: one JSON object a line")
    unpin = add("unpin")
    unpin.add_argument("paths", metavar="PATH", nargs="+", help="what was pinned")
    unpin.add_argument("--json", action="store_true", help="for programs")


def add_writing(add: Callable[[str], argparse.ArgumentParser]) -> None:
    """Their parsers."""
    where = "in the drive, /HUB/PROJECT/folder/file, or below a mountpoint"
    _add_uploads(add("uploads"))
    put = add("put")
    put.add_argument("local", metavar="LOCAL", help="a file of this machine; - reads stdin")
    put.add_argument("path", metavar="PATH", help=f"{where}; a folder takes the file's own name")
    rm = add("rm")
    rm.add_argument("paths", metavar="PATH", nargs="+", help=where)
    mkdir = add("mkdir")
    mkdir.add_argument("paths", metavar="PATH", nargs="+", help=where)
    mkdir.add_argument("-p", "--parents", action="store_true",
                       help="also those above, and none that is there is a mistake")  # fmt: skip
    restore = add("restore")
    restore.add_argument("path", metavar="PATH", help=where)
    for each in (put, rm, mkdir, restore):
        each.add_argument("--json", action="store_true",
                          help="each event as a line, for programs")  # fmt: skip


def _add_uploads(uploads: argparse.ArgumentParser) -> None:
    option = uploads.add_argument
    option("words", metavar="MOUNTPOINT|VERB PATH", nargs="*",
           help="where a drive is mounted, or what to do with a file, as below")  # fmt: skip
    option("--json", action="store_true", help="for programs")
    option("--local", action="store_true", help="also what never goes up: locks, temporary files")
    option("--wait", action="store_true", help="send what waits now, until all is there")
    option("--timeout", metavar="S", type=_seconds, help="with --wait: for so many seconds at most")
    option("--to", metavar="DIR", help="retry: into another folder of the drive, as a new file")
    option("--as", metavar="NAME", dest="name", help="retry: under another name, as a new file")
    option("--beside", action="store_true",
           help="retry: as a new file beside the one that is there")  # fmt: skip
    option("-y", "--yes", action="store_true", help="discard: ask nothing")
    option("-o", "--output", metavar="FILE", help="get: where to; - is stdout")
    uploads.epilog = EPILOG


def _seconds(text: str) -> float:
    import argparse

    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < 1e9:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds")
    return seconds


def add_desktop(add: Callable[..., argparse.ArgumentParser]) -> None:
    """Its parser."""
    desktop = add("desktop", settings=False)
    desktop.add_argument("action", metavar="install|remove|status",
                         choices=("install", "remove", "status", "menu"),
                         help="it may be repeated; files of others stay as they are")  # fmt: skip
    desktop.add_argument("words", metavar="WORD", nargs="*",
                         help="of `menu`, which the menus of file managers run")  # fmt: skip
    add_option = desktop.add_mutually_exclusive_group().add_argument
    add_option("--user", action="store_true",
               help="for yourself, in $XDG_DATA_HOME or ~/.local/share (the default)")  # fmt: skip
    add_option("--system", action="store_true", help="for all users, in /usr/local/share")
    add_option("--directory", metavar="DIR",
               help="another share directory, for packages: files alone, no databases")  # fmt: skip
    desktop.add_argument("--json", action="store_true", help="for programs")

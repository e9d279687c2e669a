"""The options of the commands that change the drive."""

from __future__ import annotations

from collections.abc import Callable

TYPE_CHECKING = False  # as in dmfs.cli.parser
if TYPE_CHECKING:
    import argparse

COMMANDS = {
    "uploads": "what waits to go up, why, and how far it is; retry, discard, get",
    "put": "save a file of this machine in the drive, and wait until it is there",
    "rm": "delete files, and folders that are empty",
    "mkdir": "make folders",
    "restore": "bring the file back that was deleted last under a name",
}
"""What each is for."""
VERBS = ("retry", "discard", "get")
"""Of ``uploads``."""
EPILOG = """\
dmfs uploads [MOUNTPOINT]       what waits; exit status 1 if something failed, or is a conflict
                                that nobody has seen yet
dmfs uploads --wait             send it now, and wait until all is there
dmfs uploads retry [PATH]       try again; with --to, --as or --beside as another file
dmfs uploads discard PATH...    never send it; its bytes stay in the spool for 7 days
dmfs uploads get PATH -o FILE   the saved bytes, whatever state the file is in"""


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

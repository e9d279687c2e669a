"""The options of the commands that look for something."""

from __future__ import annotations

from collections.abc import Callable, Sequence

TYPE_CHECKING = False  # as in dmfs.cli.parser
if TYPE_CHECKING:
    import argparse

COMMANDS = {
    "find": "entries below a folder, by name, kind, size and time",
    "versions": "all versions of a file, and how to name them",
    "refs": "what a drawing refers to, and what refers to it",
    "url": "the web page of an entry",
    "open": "show the web page of an entry in your browser",
    "path": "where in the drive a link leads to",
    "export": "Fusion designs and drawings as files",
}
"""What each is for."""
FORMATS = ("f3z", "f3d", "step", "stl", "obj", "dwg", "dwf", "pdf", "iges", "sat", "fbx", "usdz")
_VALUES_WITH_SIGN = ("-size", "--size")


def add_exploring(add: Callable[[str], argparse.ArgumentParser]) -> None:
    """Their parsers."""
    where = "in the drive, /HUB/PROJECT/folder, or below a mountpoint"
    _add_find(add("find"), where)
    versions = add("versions")
    versions.add_argument("path", metavar="PATH", help=f"a file {where}")
    refs = add("refs")
    refs.add_argument("path", metavar="PATH", help=f"a file, or a folder of files, {where}")
    url = add("url")
    url.add_argument("path", metavar="PATH", help=where)
    opened = add("open")
    opened.add_argument("path", metavar="PATH", help=where)
    path = add("path")
    path.add_argument("link", metavar="URL|URN", help="of a web page, or an id of the service")
    _add_export(add("export"), where)
    for each in (versions, refs, url, path):
        each.add_argument("--json", action="store_true", help="for programs")


def _add_find(find: argparse.ArgumentParser, where: str) -> None:
    option = find.add_argument
    option("path", metavar="PATH", nargs="?", default="/", help=f"{where} (default: /)")
    option("-name", "--name", metavar="GLOB", help="names like this: '*.rvt'")
    option("-iname", "--iname", metavar="GLOB", help="the same, in upper or lower case")
    option("-type", "--type", metavar="f|d", choices=("f", "d"), help="files, or directories")
    option("-newer", "--newer", metavar="TIME",
           help="changed since: 2024-05-01, 12h, 7d")  # fmt: skip
    option("-size", "--size", metavar="[+-]N",
           help="files of more (+) or less (-) than so many bytes: +10M, -4K")  # fmt: skip
    option("--known", action="store_true", help="what this machine knows, and no call")
    option("-0", "--null", action="store_true", help="paths end with NUL, for xargs -0")
    option("--json", action="store_true", help="for programs: one JSON object a line")


def _add_export(export: argparse.ArgumentParser, where: str) -> None:
    option = export.add_argument
    option("paths", metavar="PATH", nargs="+", help=f"designs, or folders with -r; {where}")
    option("--format", metavar="F", choices=FORMATS,
           help=f"{', '.join(FORMATS)}: as far as the service offers it (default: f3z, else "
           "what it offers first)")  # fmt: skip
    to = export.add_mutually_exclusive_group()
    to.add_argument("-o", "--output", metavar="DIR", help="where to (default: this directory)")
    to.add_argument("--keep", action="store_true",
                    help="show it in the drive, beside the shortcut")  # fmt: skip
    option("-r", "--recursive", action="store_true", help="all designs below the folders")
    option("--json", action="store_true", help="each event as a line, for programs")


def values_joined(words: Sequence[str]) -> list[str]:
    """``-size -4K`` as argparse takes it: as one word."""
    joined: list[str] = []
    for word in words:
        if joined and joined[-1] in _VALUES_WITH_SIGN:
            joined[-1] += f"={word}"
        else:
            joined.append(word)
    return joined

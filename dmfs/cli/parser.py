"""The grammar of the command line: commands, options, help texts. Light to import."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Mapping

from dmfs import __version__
from dmfs.cli import USAGE
from dmfs.help import TOPICS

TYPE_CHECKING = False  # importing typing for its constant would cost a third of argparse
if TYPE_CHECKING:
    from pathlib import Path
    from typing import NoReturn

LOG_LEVELS = ("debug", "info", "warning", "error")


class _Parser(argparse.ArgumentParser):
    """Errors in one line, with the nearest known option."""

    def error(self, message: str) -> NoReturn:
        known = tuple(option for action in self._actions for option in action.option_strings)
        match = re.match(r"unrecognized arguments: (-[^\s=]+)", message)
        hint = ""
        if match and known:
            from dmfs.config import nearest

            hint = f" — {nearest(match[1], known)}"
        self.exit(USAGE, f"{self.prog}: {message}{hint} (see {self.prog} --help)\n")


def parsers() -> tuple[argparse.ArgumentParser, Mapping[str, argparse.ArgumentParser]]:
    """The parser of the whole command line, and each command's own."""
    common = _common_options()
    top = _Parser(prog="dmfs", description="Autodesk cloud storage as a Linux drive.",
                  epilog="New here? Try `dmfs demo`.")  # fmt: skip
    top.add_argument("--version", action="version", version=f"dmfs {__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", parser_class=_Parser)
    made: dict[str, _Parser] = {}

    def add(name: str, text: str, *, settings: bool = True) -> _Parser:
        parents = [common] if settings else []
        made[name] = commands.add_parser(name, help=text, description=text, parents=parents)
        return made[name]

    _add_mount(add)
    _add_browse(add)
    _add_account(add)
    demo = add(
        "demo", "emulator + mount + a short tour; Ctrl-C leaves nothing behind", settings=False
    )
    demo.add_argument("mountpoint", metavar="MOUNTPOINT", nargs="?")
    demo.add_argument("--check", action="store_true", help="run the tour, compare, clean up, exit")
    add("emulator", "the bundled stand-in for the service (`dmfs emulator --help`)", settings=False)
    topic = add("help", "print a topic: " + ", ".join(TOPICS), settings=False)
    topic.add_argument("topic", choices=sorted(TOPICS), nargs="?")
    topic.add_argument("--json", action="store_true", help="for programs")
    return top, made


def _common_options() -> _Parser:
    common = _Parser(add_help=False)
    common.add_argument("--profile", metavar="NAME", help="which sign-in to use (default: default)")
    common.add_argument("--config", metavar="FILE", help="configuration file")
    common.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], dest="settings",
                        help="a setting for this run (`dmfs help config` lists them)")  # fmt: skip
    common.add_argument(
        "--log-level", choices=LOG_LEVELS, default=None, help="default: warning; mounts: info"
    )
    common.add_argument("--log-file", metavar="FILE", type=_path, help="instead of stderr")
    return common


def _add_mount(add: Callable[..., _Parser]) -> None:
    mount = add("mount", "mount SOURCE (/, /HUB, /HUB/PROJECT, /HUB/PROJECT/folder) at MOUNTPOINT")
    mount.add_argument("source", metavar="SOURCE")
    mount.add_argument("mountpoint", metavar="MOUNTPOINT")
    mount.add_argument("-o", metavar="OPT[,OPT…]", action="append", default=[], dest="options",
                       help="mount options, as with mount(8)")  # fmt: skip
    mount.add_argument("-f", "--foreground", action="store_true", help="stay, and log to stderr")
    mount.add_argument("--ready-fd", type=int, help=argparse.SUPPRESS)
    add("umount", "unmount a drive", settings=False).add_argument(
        "mountpoint", metavar="MOUNTPOINT"
    )


def _add_browse(add: Callable[..., _Parser]) -> None:
    ls = add("ls", "list a directory of the drive, without a mount")
    ls.add_argument("path", metavar="PATH", nargs="?", default="/")
    ls.add_argument("-l", "--long", action="store_true", help="type, size and time as well")
    ls.add_argument("-0", "--null", action="store_true", help="names end with NUL, for xargs -0")
    ls.add_argument("--json", action="store_true", help="for programs")
    stat = add("stat", "print all attributes of an entry")
    stat.add_argument("path", metavar="PATH")
    stat.add_argument("--json", action="store_true", help="for programs")
    stat.add_argument(
        "--schema", action="store_true", help="what the Schema service says of its type"
    )
    cat = add("cat", "write a file's bytes to stdout")
    cat.add_argument("path", metavar="PATH")
    cat.add_argument("--offset", type=_whole, default=0, metavar="N", help="skip N bytes")
    cat.add_argument("--length", type=_whole, metavar="N", help="stop after N bytes")


def _add_account(add: Callable[..., _Parser]) -> None:
    login = add("login", "sign in with your Autodesk account, in a browser")
    login.add_argument("--callback", metavar="URL", help="callback URL registered for the app "
                       "(default: http://localhost:8080/callback)")  # fmt: skip
    login.add_argument("--no-browser", action="store_true",
                       help="print the sign-in page's address, then read the address that the "
                       "browser ended at")  # fmt: skip
    login.add_argument("--prompt-login", action="store_true", help="to switch accounts")
    add("logout", "revoke the sign-in and forget it")
    for name, text in (
        ("whoami", "who is signed in, to which app, until when"),
        ("doctor", "what is wrong with this machine, this sign-in, this account"),
    ):
        add(name, text).add_argument("--json", action="store_true", help="for programs")


def _whole(text: str) -> int:
    if not re.fullmatch(r"\d{1,18}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of bytes")
    return int(text)


def _path(text: str) -> Path:
    from pathlib import Path

    return Path(text)

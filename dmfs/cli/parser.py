"""The grammar of the command line: commands, options, help texts and what is said of mistakes.

Light to import. argparse reads the words; the sentences are ours: its own speak of "positional
arguments" and "invalid choices" to people who mistyped a command.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence

from dmfs import __version__
from dmfs.cli import USAGE
from dmfs.cli.control.grammar import COMMANDS as CONTROL_COMMANDS
from dmfs.cli.control.grammar import (
    DESKTOP_COMMANDS,
    WRITING_COMMANDS,
    add_control,
    add_desktop,
    add_writing,
)
from dmfs.cli.exploring.grammar import COMMANDS as EXPLORING_COMMANDS
from dmfs.cli.exploring.grammar import add_exploring, values_joined
from dmfs.fuse.mount_options import option_lines
from dmfs.help import TOPICS

TYPE_CHECKING = False  # importing typing for its constant would cost a third of argparse
if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any, NoReturn

LOG_LEVELS = ("debug", "info", "warning", "error")

COMMANDS = {
    "The drive": {
        "mount": "show the drive, or a part of it, in a directory",
        "umount": "take it away again",
    },
    "Without a mount": {
        "ls": "list a directory of the drive",
        "stat": "print all attributes of an entry",
        "cat": "write a file's bytes to stdout",
    },
    "To look for something": EXPLORING_COMMANDS,
    "Saving": WRITING_COMMANDS,
    "What it does": CONTROL_COMMANDS,
    "Your account": {
        "login": "sign in with your Autodesk account, in a browser",
        "logout": "revoke the sign-in and forget it",
        "whoami": "who is signed in, to which app, until when",
        "doctor": "what is wrong with this machine, this sign-in, this account",
    },
    "Your desktop": DESKTOP_COMMANDS,
    "To try it": {
        "demo": "emulator + mount + a short tour; Ctrl-C leaves nothing behind",
        "emulator": "the bundled stand-in for the service",
    },
}
"""What each command is for, in the groups of `dmfs --help`."""
HELP_TEXT = "explain a command or a topic"
MORE = {"documents": "write man pages and completions to a directory"}
"""For those who make packages of it."""


class _Parser(argparse.ArgumentParser):
    """The help and the errors of a command, in plain words; an error is one line."""

    def __init__(self, **more: Any) -> None:
        super().__init__(
            add_help=False, formatter_class=argparse.RawDescriptionHelpFormatter, **more
        )
        self._positionals.title = "what it takes"
        self._optionals.title = "options"
        self.words: list[str] = []
        """What is parsed, for the messages."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        self.words = list(args or ())
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        self.exit(USAGE, f"{self.prog}: {_sentence(message, self)} (see {self.prog} --help)\n")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            known = tuple(map(str, action.choices))
            if action.dest == "command":
                hint = _nearest(value, known)
                raise argparse.ArgumentError(None, f"there is no command {value!r} — {hint}")
            name = action.option_strings[-1] if action.option_strings else action.metavar
            raise argparse.ArgumentError(
                None, f"{name} cannot be {value!r} — {_nearest(value, known)}"
            )

    def options(self) -> dict[str, argparse.Action]:
        """Every option that may be typed, by each of its spellings."""
        return {
            word: action
            for action in self._actions
            if action.help is not argparse.SUPPRESS
            for word in action.option_strings
        }

    def synopsis(self) -> str:
        """``dmfs mount [options] SOURCE MOUNTPOINT``"""
        forms = {"?": "[{}]", "*": "[{}…]", "+": "{}…"}
        words = [
            forms.get(str(action.nargs), "{}").format(action.metavar)
            for action in self._actions
            if not action.option_strings
        ]
        return " ".join([self.prog, "[options]", *words])


class _TopParser(_Parser):
    """The parser of the words up to the command."""

    def format_help(self) -> str:
        lines = [
            "dmfs: Autodesk cloud storage as a Linux drive. New here? Try `dmfs demo`.",
            "",
            "usage: dmfs COMMAND …        `dmfs COMMAND --help` explains one of these:",
        ]
        for group, commands in COMMANDS.items():
            lines += ["", group]
            lines += [f"  {name:<10}{text}" for name, text in commands.items()]
        lines += ["", "More"]
        lines += [f"  help {name:<12}{text}" for name, text in TOPICS.items()]
        lines += [f"  {name:<17}{text}" for name, text in MORE.items()]
        lines += [f"  {'--version':<17}which dmfs this is"]
        return "\n".join(lines) + "\n"


class _MountOptions(argparse.Action):
    """Collects ``-o``; ``-o help`` prints what it takes, with or without the other arguments."""

    def __call__(self, parser: Any, namespace: Any, values: Any, _: Any = None) -> None:
        if values == "help":
            sys.stdout.write("\n".join(option_lines()) + "\n")
            parser.exit(0)
        setattr(namespace, self.dest, [*getattr(namespace, self.dest), values])


def parse(arguments: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """The parsed arguments, and the same arguments with the command in front. Ends the process
    with one line on stderr for a mistake (status 2), or with a help text (0)."""
    top, commands = parsers()
    ordered = command_first(arguments, top, commands)
    if ordered[:1] == ["emulator"]:  # it has a parser of its own
        return argparse.Namespace(command="emulator"), ordered
    if ordered[:1] == ["find"]:
        ordered = values_joined(ordered)
    options, unknown = top.parse_known_args(ordered)
    if options.command == "uploads" and not any(word.startswith("-") for word in unknown):
        options.words += unknown  # argparse takes those before the first option alone
        unknown = []
    if unknown:
        command = commands.get(options.command or "", top)
        command.error(_too_much(unknown, command, commands))
    return options, ordered


def command_first(
    arguments: Sequence[str], top: _Parser, commands: Mapping[str, _Parser]
) -> list[str]:
    """``--profile x ls /`` → ``ls --profile x /``: options that many commands have may stand in
    front of the command, too."""
    everywhere = commands["ls"].options()
    rest, front = list(arguments), []
    while rest and rest[0].startswith("-") and rest[0] not in ("-h", "--help", "--version", "--"):
        word = rest[0].partition("=")[0]
        action = everywhere.get(word)
        if action is None or action.container.title != COMMON:  # type: ignore[attr-defined]
            top.error(_too_much([word], top, commands))
        width = 1 if "=" in rest[0] else 2
        front += rest[:width]
        del rest[:width]
    if front and not rest:
        top.error(f"a command is missing after {' '.join(front)}")
    return rest[:1] + front + rest[1:]


def help_of(command: str | None) -> str:
    """The help text of a command; of dmfs for None."""
    top, commands = parsers()
    return (commands[command] if command else top).format_help()


COMMON = "options of every command that asks the service"


def parsers() -> tuple[_Parser, dict[str, _Parser]]:
    """The parser of the whole command line, and each command's own."""
    top = _TopParser(prog="dmfs")
    _add_help_option(top)
    top.add_argument("--version", action="version", version=f"dmfs {__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", parser_class=_Parser)
    texts = {name: text for group in COMMANDS.values() for name, text in group.items()}
    texts |= {"help": HELP_TEXT, **MORE}
    made: dict[str, _Parser] = {}

    def add(name: str, *, settings: bool = True) -> _Parser:
        made[name] = commands.add_parser(name, description=f"dmfs {name}: {texts[name]}.")
        _add_help_option(made[name])
        if settings:
            _add_common_options(made[name])
        return made[name]

    _add_mount(add)
    _add_browse(add)
    add_exploring(add)
    add_writing(add)
    add_control(add)
    _add_account(add)
    add_desktop(add)
    demo = add("demo", settings=False)
    demo.add_argument("mountpoint", metavar="MOUNTPOINT", nargs="?",
                      help="an empty directory (default: one of its own)")  # fmt: skip
    demo.add_argument("--check", action="store_true", help="run the tour, compare, clean up, exit")
    add("emulator", settings=False)
    documents = add("documents", settings=False)
    documents.add_argument("directory", metavar="DIRECTORY", type=_not_empty,
                           help="laid out as /usr/share is")  # fmt: skip
    topic = add("help", settings=False)
    topic.add_argument("topic", metavar="TOPIC", choices=sorted((*TOPICS, *made)), nargs="?",
                       help=f"{', '.join(TOPICS)}, or a command")  # fmt: skip
    topic.add_argument("--json", action="store_true", help="for programs")
    for each in made.values():
        each.usage = each.synopsis()
    return top, made


def _add_help_option(parser: _Parser) -> None:
    parser.add_argument("-h", "--help", action="help", help="print this text")


def _add_common_options(parser: _Parser) -> None:
    add = parser.add_argument_group(COMMON).add_argument
    add("--profile", metavar="NAME", help="which sign-in to use (default: default)")
    add("--config", metavar="FILE", help="configuration file")
    add("--set", metavar="KEY=VALUE", action="append", default=[], dest="settings",
        help="a setting for this run (`dmfs help config` lists them)")  # fmt: skip
    add("--log-level", metavar="LEVEL", choices=LOG_LEVELS, default=None,
        help=f"{', '.join(LOG_LEVELS)} (default: warning; mounts: info)")  # fmt: skip
    add("--log-file", metavar="FILE", type=_path, help="write the log there, not to stderr")


def _add_mount(add: Callable[..., _Parser]) -> None:
    mount = add("mount")
    mount.add_argument("source", metavar="SOURCE", type=_not_empty,
                       help="/, /HUB, /HUB/PROJECT or /HUB/PROJECT/folder")  # fmt: skip
    mount.add_argument(
        "mountpoint",
        metavar="MOUNTPOINT",
        type=_not_empty,
        help="an empty directory, or /dev/fd/N that dmfs-mountfd has mounted",
    )
    mount.add_argument("-o", metavar="OPT[,OPT...]", action=_MountOptions, default=[],
                       dest="options", help="mount options, as below (`-o help` lists them, too)",
                       )  # fmt: skip
    mount.add_argument("-f", "--foreground", action="store_true", help="stay, and log to stderr")
    mount.add_argument("--ready-fd", type=int, help=argparse.SUPPRESS)
    words = "\n".join(f"  {line}" for line in option_lines())
    mount.epilog = (
        f"mount options:\n{words}\nWhat fstab alone needs (_netdev, nofail …) is ignored."
    )
    umount = add("umount", settings=False)
    # what it asks a drive that writes needs them; the drive itself goes away without any
    umount.set_defaults(profile=None, config=None, settings=[], log_level=None, log_file=None)
    umount.add_argument(
        "mountpoint", metavar="MOUNTPOINT", type=_not_empty, help="where the drive is mounted"
    )
    umount.add_argument("--wait", action="store_true",
                        help="first send what was saved and has not gone up")  # fmt: skip


def _add_browse(add: Callable[..., _Parser]) -> None:
    path_help = "in the drive: /HUB/PROJECT/folder/file"
    ls = add("ls")
    ls.add_argument("path", metavar="PATH", nargs="?", default="/", type=_not_empty,
                    help=f"{path_help} (default: /, all hubs)")  # fmt: skip
    ls.add_argument("--at", metavar="TIME", help="as it was: 2024-05-01T09:30Z, 7d, 2024-05-01")
    ls.add_argument("-l", "--long", action="store_true", help="type, size and time as well")
    ls.add_argument("-0", "--null", action="store_true", help="names end with NUL, for xargs -0")
    ls.add_argument("--json", action="store_true", help="for programs")
    stat = add("stat")
    stat.add_argument("path", metavar="PATH", type=_not_empty, help=path_help)
    stat.add_argument("--json", action="store_true", help="for programs")
    stat.add_argument(
        "--schema", action="store_true", help="what the Schema service says of its type"
    )
    cat = add("cat")
    cat.add_argument("path", metavar="PATH", type=_not_empty, help=path_help)
    cat.add_argument("--offset", type=_whole, default=0, metavar="N", help="skip N bytes")
    cat.add_argument("--length", type=_whole, metavar="N", help="stop after N bytes")


def _add_account(add: Callable[..., _Parser]) -> None:
    login = add("login")
    login.add_argument("--callback", metavar="URL", help="callback URL registered for the app "
                       "(default: http://localhost:8080/callback)")  # fmt: skip
    login.add_argument("--no-browser", action="store_true",
                       help="print the sign-in page's address, then read the address that the "
                       "browser ended at")  # fmt: skip
    login.add_argument(
        "--write",
        action="store_true",
        help="ask for the right to change files, too (mount -o rw needs it)",
    )
    login.add_argument("--prompt-login", action="store_true", help="to switch accounts")
    add("logout").add_argument(
        "--keep", action="store_true",
        help="also while files wait to go up: they wait for the next sign-in of the same user",
    )  # fmt: skip
    add("whoami").add_argument("--json", action="store_true", help="for programs")
    doctor = add("doctor")
    doctor.add_argument("--json", action="store_true", help="for programs")
    doctor.add_argument("mountpoint", metavar="MOUNTPOINT", nargs="?",
                        help="where you want to mount: can it be done?")  # fmt: skip


# What is said of mistakes


_SENTENCES = (
    (r"argument (?:-\w/)?(\S+): expected one argument", r"\1 needs a value"),
    (r"argument (?:-\w/)?(\S+): ignored explicit argument (.+)", r"\1 takes no value (\2)"),
    (r"ambiguous option: (\S+) could match (.+)", r"\1 may be any of \2"),
    (r"argument (?:-\w/)?(\S+): (.+)", r"\1: \2"),
)
"""argparse's message and ours."""


def _sentence(message: str, parser: _Parser) -> str:
    """argparse's message in plain words; one that is not known stays as it is."""
    missing = re.fullmatch(r"the following arguments are required: (.+)", message)
    if missing:
        verb = "are" if "," in missing[1] else "is"
        return f"{missing[1].replace(', ', ' and ')} {verb} missing: {parser.synopsis()}"
    cluster = re.fullmatch(r"argument -(\w)/\S+: ignored explicit argument '(\w).*'", message)
    if cluster and any(re.match(rf"-\w*{cluster[1]}{cluster[2]}", word) for word in parser.words):
        return f"there is no option -{cluster[2]}"  # `ls -la`: argparse takes a for a value of -l
    for pattern, words in _SENTENCES:
        match = re.fullmatch(pattern, message, re.DOTALL)
        if match:
            return match.expand(words)
    return message


def _too_much(unknown: Sequence[str], parser: _Parser, commands: Mapping[str, _Parser]) -> str:
    """What to say of words that the parser of the command has no use for."""
    option = next((word for word in unknown if word.startswith("-") and word != "-"), None)
    if option is None:
        return f"{unknown[0]!r} is too much: {parser.synopsis()}"
    name = option.partition("=")[0]
    owners = [command for command, each in commands.items() if name in each.options()]
    if owners and parser.prog == "dmfs":
        return f"{name} comes after the command: dmfs {owners[0]} {name} …"
    if owners:
        return f"there is no option {name} here, but dmfs {owners[0]} has one"
    if not name.startswith("--"):
        return f"there is no option {name}"
    known: Iterable[str] = parser.options()
    if parser.prog == "dmfs":
        known = [*known, *commands["ls"].options()]
    return f"there is no option {name} — {_nearest(name, tuple(known))}"


def _nearest(word: str, known: tuple[str, ...]) -> str:
    from dmfs.config import nearest

    return nearest(word, known)


def _whole(text: str) -> int:
    if not re.fullmatch(r"\d{1,18}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of bytes")
    return int(text)


def _not_empty(text: str) -> str:
    if not text:  # such as of a variable that is not set: neither the root nor this directory
        raise argparse.ArgumentTypeError("it is empty")
    return text


def _path(text: str) -> Path:
    from pathlib import Path

    return Path(text)

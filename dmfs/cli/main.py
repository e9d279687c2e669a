"""The ``dmfs`` command. Floor 4; sole reader of argv, the environment and the configuration file.

Exit codes: 0 done, 1 failed, 2 usage. Errors are one line on stderr; stdout is data.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.resources
import os
import re
import resource
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import NoReturn

import trio

from dmfs import __version__
from dmfs.assembly import open_drive
from dmfs.cli import accounts, browse
from dmfs.cli.daemonize import READY, start_in_background, tell_parent
from dmfs.cli.sd_notify import sd_notify
from dmfs.config import ACCOUNT_KEYS, KEYS, Settings, default_paths, load_settings, nearest
from dmfs.drive import Drive
from dmfs.errors import DriveError, SetupError, UsageError
from dmfs.fuse.mountpoint import check_machine, parse_options, prepare_mountpoint, unmount
from dmfs.model import File, Shortcut
from dmfs.system.gc_tuning import keep_trimmed, set_up_heap
from dmfs.telemetry.logs import LEVELS, set_up_logging

DONE, FAILED, USAGE = 0, 1, 2
TOPICS = {
    "semantics": "what the drive promises, and what not",
    "config": "the configuration keys with their defaults",
}


class _Parser(argparse.ArgumentParser):
    """Errors in one line, with the nearest known option."""

    def error(self, message: str) -> NoReturn:
        known = tuple(option for action in self._actions for option in action.option_strings)
        match = re.match(r"unrecognized arguments: (-[^\s=]+)", message)
        hint = f" — {nearest(match[1], known)}" if match and known else ""
        self.exit(USAGE, f"{self.prog}: {message}{hint} (see {self.prog} --help)\n")


def _parser() -> tuple[_Parser, dict[str, _Parser]]:
    common = _Parser(add_help=False)
    common.add_argument("--profile", metavar="NAME", help="which sign-in to use (default: default)")
    common.add_argument("--config", metavar="FILE", help="configuration file")
    common.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], dest="settings",
                        help="a setting for this run (`dmfs help config` lists them)")  # fmt: skip
    common.add_argument(
        "--log-level", choices=LEVELS, default=None, help="default: warning; mounts: info"
    )
    common.add_argument("--log-file", metavar="FILE", type=Path, help="instead of stderr")
    top = _Parser(prog="dmfs", description="Autodesk cloud storage as a Linux drive.",
                  epilog="New here? Try `dmfs demo`.")  # fmt: skip
    top.add_argument("--version", action="version", version=f"dmfs {__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", parser_class=_Parser)
    made: dict[str, _Parser] = {}

    def add(name: str, text: str, *, settings: bool = True) -> _Parser:
        parents = [common] if settings else []
        made[name] = commands.add_parser(name, help=text, description=text, parents=parents)
        return made[name]

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
    ls = add("ls", "list a directory of the drive, without a mount")
    ls.add_argument("path", metavar="PATH", nargs="?", default="/")
    ls.add_argument("-l", "--long", action="store_true", help="type, size and time as well")
    ls.add_argument("-0", "--null", action="store_true", help="names end with NUL, for xargs -0")
    ls.add_argument("--json", action="store_true", help="for programs")
    stat = add("stat", "tell all that is known of an entry")
    stat.add_argument("path", metavar="PATH")
    stat.add_argument("--json", action="store_true", help="for programs")
    stat.add_argument(
        "--schema", action="store_true", help="what the Schema service says of its type"
    )
    cat = add("cat", "write a file's bytes to stdout")
    cat.add_argument("path", metavar="PATH")
    cat.add_argument("--offset", type=_whole, default=0, metavar="N", help="skip N bytes")
    cat.add_argument("--length", type=_whole, metavar="N", help="stop after N bytes")
    accounts.add_commands(add)
    demo = add(
        "demo", "emulator + mount + a short tour; Ctrl-C leaves nothing behind", settings=False
    )
    demo.add_argument("mountpoint", metavar="MOUNTPOINT", nargs="?")
    demo.add_argument("--check", action="store_true", help="run the tour, compare, clean up, exit")
    add("emulator", "the bundled stand-in for the service (`dmfs emulator --help`)", settings=False)
    help_ = add("help", "print a topic: " + ", ".join(TOPICS), settings=False)
    help_.add_argument("topic", choices=sorted(TOPICS), nargs="?")
    return top, made


def _whole(text: str) -> int:
    if not re.fullmatch(r"\d{1,18}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of bytes")
    return int(text)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the console script's and ``python -m dmfs``'s entry."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["emulator"]:
        os.execv(sys.executable, [sys.executable, "-m", "dmfs.emulator", *arguments[1:]])
    top, made = _parser()
    args, unknown = top.parse_known_args(arguments)
    if unknown:
        made.get(args.command or "", top).error(f"unrecognized arguments: {' '.join(unknown)}")
    if args.command is None:
        top.print_help()
        return USAGE
    ready_fd: int | None = getattr(args, "ready_fd", None)
    # a core file would hold tokens
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    try:
        if args.command in accounts.COMMANDS:
            settings = _settings(args)
            set_up_logging(args.log_level or "warning", args.log_file)
            return accounts.COMMANDS[args.command](args, settings)
        return _COMMANDS[args.command](args)
    except DriveError as error:
        line = _complaint(error)
        status = USAGE if isinstance(error, UsageError) else FAILED
    except KeyboardInterrupt:
        return 130
    except BaseExceptionGroup as group:
        if group.subgroup(KeyboardInterrupt) is None:
            raise
        return 130
    except BrokenPipeError:
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # so that Python's own flush stays silent
        return FAILED
    tell_parent(ready_fd, line)
    print(f"dmfs: {line}", file=sys.stderr)
    return status


def _complaint(error: DriveError) -> str:
    line = error.message + (f" — {error.hint}" if error.hint else "")
    return "".join(char if char.isprintable() else "�" for char in line)


def mount_helper(argv: Sequence[str] | None = None) -> int:
    """``/sbin/mount.dmfs SOURCE MOUNTPOINT [-sfnv] [-o …]``, as mount(8) calls it for fstab."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    kept = [word for word in arguments if not re.fullmatch(r"-[sfnv]+", word)]
    if any("f" in word for word in arguments if re.fullmatch(r"-[sfnv]+", word)):
        return DONE  # mount --fake: all but the mounting
    return main(["mount", *kept])


# Settings


def _settings(args: argparse.Namespace) -> Settings:
    path = Path(args.config or default_paths(os.environ)["config"])
    text = ""
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        if args.config or os.environ.get("DMFS_CONFIG"):
            raise SetupError(f"the configuration file {path} does not exist") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SetupError(f"the configuration file {path} cannot be read: {error}") from None
    flags: dict[str, str] = {}
    for word in args.settings:
        key, equals, value = word.partition("=")
        if not equals or key not in KEYS:
            raise UsageError(f"--set {word!r}: unknown key {key!r}", hint=nearest(key, KEYS))
        if key == "client_secret":
            raise UsageError(
                "--set client_secret would show in the process list", hint="use DMFS_CLIENT_SECRET"
            )
        flags[key] = value
    if args.profile:
        flags["profile"] = args.profile
    return load_settings(text, os.environ, flags, toml_name=str(path))


def _with_drive(args: argparse.Namespace, work: Callable[[Drive], Awaitable[None]]) -> int:
    settings = _settings(args)
    set_up_logging(args.log_level or "warning", args.log_file)

    async def run() -> None:
        async with open_drive(settings) as drive:
            await work(drive)

    trio.run(run)
    return DONE


# Commands


def _ls(args: argparse.Namespace) -> int:
    return _with_drive(
        args,
        lambda drive: browse.ls(
            drive, args.path, long=args.long, as_json=args.json, null=args.null
        ),
    )


def _stat(args: argparse.Namespace) -> int:
    return _with_drive(
        args, lambda drive: browse.stat(drive, args.path, as_json=args.json, schema=args.schema)
    )


def _cat(args: argparse.Namespace) -> int:
    return _with_drive(
        args, lambda drive: browse.cat(drive, args.path, offset=args.offset, length=args.length)
    )


def _umount(args: argparse.Namespace) -> int:
    unmount(args.mountpoint)
    return DONE


def _mount(args: argparse.Namespace) -> int:
    options = parse_options(",".join(args.options))
    settings = _settings(args)
    check_machine(options)
    mountpoint = prepare_mountpoint(args.mountpoint)
    if not args.foreground and args.ready_fd is None:
        complaint = start_in_background(_background_arguments(args, mountpoint), os.environ)
        if complaint:
            print(f"dmfs: {complaint}", file=sys.stderr)
        return FAILED if complaint else DONE
    log_file = args.log_file
    if log_file is None and args.ready_fd is not None:
        log_file = settings.state_dir / "log" / (mountpoint.strip("/").replace("/", "-") + ".log")
    set_up_logging(args.log_level or "info", log_file)
    set_up_heap()
    try:
        trio.run(_serve, args, settings, mountpoint)
    except BaseExceptionGroup as group:
        raise _only_error(group) from None
    return DONE


def _only_error(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The one failure inside nested groups, else the group."""
    inner: BaseException = group
    while isinstance(inner, BaseExceptionGroup) and len(inner.exceptions) == 1:
        inner = inner.exceptions[0]
    return inner


def _background_arguments(args: argparse.Namespace, mountpoint: str) -> list[str]:
    """The same mount, for a process that starts in ``/``."""
    words = ["mount", args.source, mountpoint]
    for option in args.options:
        words += ["-o", option]
    for setting in args.settings:
        words += ["--set", setting]
    for name, value in (("--profile", args.profile), ("--log-level", args.log_level)):
        words += [name, value] if value else []
    for name, value in (("--config", args.config), ("--log-file", args.log_file)):
        words += [name, os.path.abspath(value)] if value else []
    return words


async def _serve(args: argparse.Namespace, settings: Settings, mountpoint: str) -> None:
    """The mount's whole life, in the foreground of this process."""
    from dmfs.fuse.attributes import Ownership
    from dmfs.fuse.mount import serve  # pyfuse3 is not needed by `dmfs ls`

    options = parse_options(",".join(args.options))
    manager = os.environ.get("NOTIFY_SOCKET", "")
    stop = trio.Event()

    def on_ready() -> None:
        tell_parent(args.ready_fd, READY)
        sd_notify(manager, "READY=1", f"STATUS=serving {args.source} at {mountpoint}")

    async with open_drive(settings, service_folders=options.service_folders) as drive:
        root = await drive.resolve(args.source)
        if isinstance(root, File | Shortcut):
            raise SetupError(f"{args.source!r} is a file; only directories can be mounted")
        await drive.prepare(root)  # fail now, with the reason, rather than at the first ls
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_stop_on_signal, stop)
            nursery.start_soon(keep_trimmed)
            ownership = Ownership(options.uid, options.gid, options.umask)
            await serve(drive, root, mountpoint, ownership, set(options.kernel), on_ready, stop)
            sd_notify(manager, "STOPPING=1")
            nursery.cancel_scope.cancel()


async def _stop_on_signal(stop: trio.Event) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
        async for number in signals:
            if number != signal.SIGHUP:  # a closed terminal is no reason to take the drive away
                stop.set()


def _demo(args: argparse.Namespace) -> int:
    from dmfs.cli.demo import demo

    return demo(args.mountpoint, check=args.check, environ=dict(os.environ))


def _help(args: argparse.Namespace) -> int:
    if args.topic == "semantics":
        print(importlib.resources.files("dmfs.help").joinpath("semantics.md").read_text("utf-8"))
    elif args.topic == "config":
        defaults = Settings()
        for key in KEYS:
            print(f"{key} = {getattr(defaults, key)!s}")
        print(f"\n[profiles.NAME]  # of their own may be: {', '.join(ACCOUNT_KEYS)}")
    else:
        for topic, text in TOPICS.items():
            print(f"dmfs help {topic:<12}{text}")
    return DONE


_COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "mount": _mount,
    "umount": _umount,
    "ls": _ls,
    "stat": _stat,
    "cat": _cat,
    "demo": _demo,
    "help": _help,
}

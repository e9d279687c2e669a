"""The ``dmfs`` command: parse argv, run one command, turn its error into one line on stderr.

Exit codes: 0 done, 1 failed, 2 usage. stdout is data.

Each command imports what it needs when it runs: ``dmfs --version``, ``--help`` and a mistyped
option must not wait for the event loop and the HTTP libraries (`tests/cli/test_imports.py`).
"""

from __future__ import annotations

import gc
import os
import re
import sys
from collections.abc import Callable, Sequence

from dmfs import __version__
from dmfs.cli import DONE, FAILED, INTERRUPTED, USAGE

GC_THRESHOLDS = (100_000, 10, 10)
"""What a command imports is no garbage: to look for some took 20 of the 260 ms of CPU of an ls, and
to look once more at the end 40 (``gc.freeze``). A mount sets its own."""
TYPE_CHECKING = False  # importing typing for its constant would cost a fifth of --version
if TYPE_CHECKING:
    import argparse

    from dmfs.cli.settings import Invocation
    from dmfs.errors import DriveError


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the entry of the console script and of ``python -m dmfs``."""
    from dmfs.cli import streams

    if argv is None:  # a process of our own
        gc.set_threshold(*GC_THRESHOLDS)
    streams.make_usable()
    try:
        try:
            return _main(list(sys.argv[1:] if argv is None else argv))
        finally:
            sys.stdout.flush()
            if argv is None:
                gc.freeze()
    except OSError as error:
        reason = streams.why_not_written(error)
        if not reason and not isinstance(error, BrokenPipeError):
            raise
        streams.give_up_stdout()
        if reason:
            print(f"dmfs: {reason}", file=sys.stderr)
        return FAILED


def _main(arguments: list[str]) -> int:
    from dmfs.cli import streams

    if arguments[:1] == ["emulator"]:
        os.execv(sys.executable, [sys.executable, "-P", "-m", "dmfs.emulator", *arguments[1:]])
    if arguments == ["--version"]:  # programs call it; argparse takes as long as Python itself
        print(f"dmfs {__version__}")
        return DONE

    streams.begin_in_utf8(arguments)
    _leave_no_core()
    if arguments[:1] == ["_complete"]:
        from dmfs.cli.completion.answer import complete

        return complete(arguments[1:], os.environ)
    from dmfs.cli.parser import help_of, parse

    options, ordered = parse(arguments)
    if options.command == "emulator":
        os.execv(sys.executable, [sys.executable, "-P", "-m", "dmfs.emulator", *ordered[1:]])
    if options.command is None:
        sys.stdout.write(help_of(None))
        return USAGE
    return _run(options, ordered)


def mount_helper(argv: Sequence[str] | None = None) -> int:
    """``/sbin/mount.dmfs SOURCE MOUNTPOINT [-sfnv] [-o …]``, as mount(8) calls it for fstab."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    flags = [word for word in arguments if re.fullmatch(r"-[sfnv]+", word)]
    if any("f" in word for word in flags):
        return DONE  # mount --fake: all but the mounting
    from pathlib import Path

    from dmfs.fuse.mount_options import without_default_rw

    try:
        fstab = Path("/etc/fstab").read_text("utf-8", "replace")
    except OSError:
        fstab = ""
    words = [word for word in arguments if word not in flags]
    return main(["mount", *without_default_rw(words, fstab)])


def _leave_no_core() -> None:
    """A core file would hold tokens; the client's secret at least."""
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


def _run(options: argparse.Namespace, arguments: list[str]) -> int:
    from dmfs.cli import streams
    from dmfs.cli.settings import Invocation
    from dmfs.errors import DriveError, UsageError

    _have_home()
    try:
        return COMMANDS[options.command](Invocation(options, arguments, os.environ))
    except DriveError as error:
        _print_error(error, getattr(options, "ready_fd", None))
        return USAGE if isinstance(error, UsageError) else FAILED
    except (OSError, MemoryError, RuntimeError) as error:
        if isinstance(error, OSError) and streams.why_not_written(error):
            raise
        return _shortage(error, options)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BaseExceptionGroup as group:
        if group.subgroup(KeyboardInterrupt) is not None:
            return INTERRUPTED
        unwritten = streams.unwritten(group)
        if unwritten is None:
            raise
        raise unwritten from None


def _have_home() -> None:
    """mount(8), which is root's, takes HOME from an ordinary user's environment (fstab's ``user``),
    and services of the system have none: then it is what the machine's list of users says."""
    if not os.environ.get("HOME"):
        import pwd

        try:
            os.environ["HOME"] = pwd.getpwuid(os.getuid()).pw_dir
        except KeyError:
            return  # a user of a container, of whom nothing is known


def _shortage(error: OSError | MemoryError | RuntimeError, options: argparse.Namespace) -> int:
    """Say what this machine ran out of; any other error is a bug, and raised again."""
    from dmfs.errors import ShortageError
    from dmfs.system.resources import HINTS, shortage_of

    short = shortage_of(error)
    if not short:
        raise error
    words = ShortageError(f"this machine has no more {short}", hint=HINTS[short])
    _print_error(words, getattr(options, "ready_fd", None))
    return FAILED


def _print_error(error: DriveError, ready_fd: int | None) -> None:
    """One line to stderr, and to the process that waits for a background mount."""
    from dmfs.cli.daemonize import notify_parent
    from dmfs.names import printable

    line = printable(error.message + (f" — {error.hint}" if error.hint else ""))
    notify_parent(ready_fd, line)
    print(f"dmfs: {line}", file=sys.stderr)


def _demo(call: Invocation) -> int:
    from dmfs.cli.demo import demo

    return demo(call.options.mountpoint, check=call.options.check, environ=call.environ)


def _help(call: Invocation) -> int:
    from dmfs.cli.parser import help_of
    from dmfs.help import TOPICS
    from dmfs.help.topics import topic_json, topic_text

    topic = call.options.topic
    if call.options.json and (topic is None or topic in TOPICS):
        sys.stdout.write(topic_json(topic))
    else:
        sys.stdout.write(topic_text(topic) if topic in TOPICS else help_of(topic))
    return DONE


def _lazy(module: str) -> Callable[[Invocation], int]:
    """The function ``NAME_command`` of a module of ``dmfs.cli``, imported when it runs."""

    def run(call: Invocation) -> int:
        from importlib import import_module

        command: Callable[[Invocation], int] = getattr(
            import_module(f"dmfs.cli.{module}"), f"{call.options.command}_command"
        )
        return command(call)

    return run


COMMANDS: dict[str, Callable[[Invocation], int]] = {
    "mount": _lazy("mount"),
    "umount": _lazy("mount"),
    "ls": _lazy("browse"),
    "stat": _lazy("browse"),
    "cat": _lazy("browse"),
    "find": _lazy("exploring.find"),
    "versions": _lazy("exploring.versions"),
    "refs": _lazy("exploring.refs"),
    "url": _lazy("exploring.links"),
    "open": _lazy("exploring.links"),
    "path": _lazy("exploring.links"),
    "export": _lazy("exploring.export"),
    "uploads": _lazy("writing.uploads"),
    "put": _lazy("writing.changes"),
    "rm": _lazy("writing.changes"),
    "mkdir": _lazy("writing.changes"),
    "restore": _lazy("writing.changes"),
    "status": _lazy("control.status"),
    "top": _lazy("control.top"),
    "events": _lazy("control.events"),
    "refresh": _lazy("control.steer"),
    "warm": _lazy("control.steer"),
    "evict": _lazy("control.steer"),
    "offline": _lazy("control.steer"),
    "pin": _lazy("control.pins"),
    "unpin": _lazy("control.pins"),
    "login": _lazy("login"),
    "logout": _lazy("login"),
    "whoami": _lazy("whoami"),
    "doctor": _lazy("doctor.service"),
    "desktop": _lazy("desktop.install"),
    "demo": _demo,
    "documents": _lazy("documents.command"),
    "help": _help,
}

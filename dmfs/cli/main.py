"""The ``dmfs`` command: parse argv, run one command, turn its error into one line on stderr.

Exit codes: 0 done, 1 failed, 2 usage. stdout is data.

Each command imports what it needs when it runs: ``dmfs --version``, ``--help`` and a mistyped
option must not wait for the event loop and the HTTP libraries (`tests/cli/test_imports.py`).
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Sequence

from dmfs import __version__
from dmfs.cli import DONE, FAILED, INTERRUPTED, USAGE

TYPE_CHECKING = False  # importing typing for its constant would cost a fifth of --version
if TYPE_CHECKING:
    import argparse

    from dmfs.cli.settings import Invocation
    from dmfs.errors import DriveError


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the entry of the console script and of ``python -m dmfs``."""
    from dmfs.cli import streams

    streams.make_usable()
    try:
        try:
            return _main(list(sys.argv[1:] if argv is None else argv))
        finally:
            sys.stdout.flush()
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
        os.execv(sys.executable, [sys.executable, "-m", "dmfs.emulator", *arguments[1:]])
    if arguments == ["--version"]:  # programs call it; argparse takes as long as Python itself
        print(f"dmfs {__version__}")
        return DONE

    streams.begin_in_utf8(arguments)
    from dmfs.cli.parser import help_of, parse

    options, ordered = parse(arguments)
    if options.command == "emulator":
        os.execv(sys.executable, [sys.executable, "-m", "dmfs.emulator", *ordered[1:]])
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


def _run(options: argparse.Namespace, arguments: list[str]) -> int:
    import resource

    from dmfs.cli import streams
    from dmfs.cli.settings import Invocation
    from dmfs.errors import DriveError, UsageError

    # a core file would hold tokens
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
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
        if group.subgroup(KeyboardInterrupt) is None:
            raise
        return INTERRUPTED


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


def _mount(call: Invocation) -> int:
    from dmfs.cli.mount import mount_command

    return mount_command(call)


def _umount(call: Invocation) -> int:
    from dmfs.cli.mount import umount_command

    return umount_command(call)


def _ls(call: Invocation) -> int:
    from dmfs.cli.browse import ls_command

    return ls_command(call)


def _stat(call: Invocation) -> int:
    from dmfs.cli.browse import stat_command

    return stat_command(call)


def _cat(call: Invocation) -> int:
    from dmfs.cli.browse import cat_command

    return cat_command(call)


def _uploads(call: Invocation) -> int:
    from dmfs.cli.writing.uploads import uploads_command

    return uploads_command(call)


def _put(call: Invocation) -> int:
    from dmfs.cli.writing.changes import put_command

    return put_command(call)


def _rm(call: Invocation) -> int:
    from dmfs.cli.writing.changes import rm_command

    return rm_command(call)


def _mkdir(call: Invocation) -> int:
    from dmfs.cli.writing.changes import mkdir_command

    return mkdir_command(call)


def _restore(call: Invocation) -> int:
    from dmfs.cli.writing.changes import restore_command

    return restore_command(call)


def _status(call: Invocation) -> int:
    from dmfs.cli.control.status import status_command

    return status_command(call)


def _top(call: Invocation) -> int:
    from dmfs.cli.control.top import top_command

    return top_command(call)


def _events(call: Invocation) -> int:
    from dmfs.cli.control.events import events_command

    return events_command(call)


def _refresh(call: Invocation) -> int:
    from dmfs.cli.control.steer import refresh_command

    return refresh_command(call)


def _warm(call: Invocation) -> int:
    from dmfs.cli.control.steer import warm_command

    return warm_command(call)


def _evict(call: Invocation) -> int:
    from dmfs.cli.control.steer import evict_command

    return evict_command(call)


def _offline(call: Invocation) -> int:
    from dmfs.cli.control.steer import offline_command

    return offline_command(call)


def _pin(call: Invocation) -> int:
    from dmfs.cli.control.pins import pin_command

    return pin_command(call)


def _unpin(call: Invocation) -> int:
    from dmfs.cli.control.pins import unpin_command

    return unpin_command(call)


def _login(call: Invocation) -> int:
    from dmfs.cli.login import login_command

    return login_command(call)


def _logout(call: Invocation) -> int:
    from dmfs.cli.login import logout_command

    return logout_command(call)


def _whoami(call: Invocation) -> int:
    from dmfs.cli.whoami import whoami_command

    return whoami_command(call)


def _doctor(call: Invocation) -> int:
    from dmfs.cli.doctor.service import doctor_command

    return doctor_command(call)


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


COMMANDS: dict[str, Callable[[Invocation], int]] = {
    "mount": _mount,
    "umount": _umount,
    "ls": _ls,
    "stat": _stat,
    "cat": _cat,
    "uploads": _uploads,
    "put": _put,
    "rm": _rm,
    "mkdir": _mkdir,
    "restore": _restore,
    "status": _status,
    "top": _top,
    "events": _events,
    "refresh": _refresh,
    "warm": _warm,
    "evict": _evict,
    "offline": _offline,
    "pin": _pin,
    "unpin": _unpin,
    "login": _login,
    "logout": _logout,
    "whoami": _whoami,
    "doctor": _doctor,
    "demo": _demo,
    "help": _help,
}

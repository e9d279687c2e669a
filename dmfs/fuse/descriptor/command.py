"""``dmfs-mountfd``: the one step of a mount that needs a right, in a small program of its own.

    dmfs-mountfd MOUNTPOINT -- dmfs mount SOURCE /dev/fd/3     mounts, then becomes the command
    dmfs-mountfd --store MOUNTPOINT                            … hands it to the service manager
    dmfs-mountfd --tune MOUNTPOINT                             … once it is served: as root mounts
    dmfs-mountfd --release MOUNTPOINT                          … and after the service has ended

Standard library only.
"""

from __future__ import annotations

import argparse
import os
import pwd
import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import NoReturn

from dmfs import __version__
from dmfs.errors import DriveError, SetupError, UsageError
from dmfs.fuse.descriptor import storing
from dmfs.fuse.descriptor.becoming import become_user, pass_on, regain_mounting, start
from dmfs.fuse.descriptor.given import MOUNTED_AT
from dmfs.fuse.descriptor.opening import open_mounted
from dmfs.fuse.kernel_params import raise_parameters
from dmfs.fuse.mount_place import detach
from dmfs.fuse.mountpoint import parse_options
from dmfs.system.mountinfo import FILESYSTEM, mount_at

DONE, FAILED, USAGE = 0, 1, 2
PROGRAM = "dmfs-mountfd"
KILLED = frozenset({"signal", "core-dump", "watchdog", "oom-kill", "timeout"})
"""``$SERVICE_RESULT`` of a drive that did not end by itself: its mountpoint stays, dead. An empty
directory in its place would look as if all files were gone."""
FD_MIN, FD_MAX = 3, 1023
"""Behind stdin, stdout and stderr; below the usual limit of a process."""


def main() -> int:
    """The entry of the console script."""
    return run(sys.argv[1:], os.environ)


def run(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Exit status, if it does not become the command."""
    try:
        return _run(*_parsed(arguments), environ)
    except DriveError as error:
        line = error.message + (f" — {error.hint}" if error.hint else "")
        sys.stderr.write(f"{PROGRAM}: {line}\n")
        return USAGE if isinstance(error, UsageError) else FAILED


def _parsed(arguments: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """The options, and the command behind ``--``."""
    words = list(arguments)
    at = words.index("--") if "--" in words else len(words)
    options = command_line().parse_args(words[:at])
    command = words[at + 1 :]
    if not FD_MIN <= options.fd <= FD_MAX:
        raise UsageError(f"--fd {options.fd}: it is a number from {FD_MIN} to {FD_MAX}")
    stands_alone = options.store or options.tune or options.release
    if stands_alone and command:
        raise UsageError("--store, --tune and --release take no command")
    if not stands_alone and not command:
        raise UsageError(
            "a command is missing", hint=f"{PROGRAM} MOUNTPOINT -- dmfs mount SOURCE /dev/fd/3"
        )
    return options, command


class _Parser(argparse.ArgumentParser):
    """Its errors are one line."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message, hint=f"see {PROGRAM} --help")


def command_line() -> argparse.ArgumentParser:
    """Its parser, for the program and for its man page."""
    parser = _Parser(
        PROGRAM, allow_abbrev=False,
        usage=f"{PROGRAM} [options] MOUNTPOINT -- COMMAND…\n"
        f"       {PROGRAM} --store [options] MOUNTPOINT\n"
        f"       {PROGRAM} --tune MOUNTPOINT\n       {PROGRAM} --release MOUNTPOINT",
        description="Open /dev/fuse, mount it, and let another process serve it "
        "(dmfs mount SOURCE /dev/fd/N).",
    )  # fmt: skip
    parser.add_argument("mountpoint", metavar="MOUNTPOINT", help="an empty directory")
    parser.add_argument("-o", metavar="OPT[,OPT...]", action="append", default=[], dest="options",
                        help="as of dmfs mount; those that are the drive's own do nothing here",
                        )  # fmt: skip
    parser.add_argument("--user", metavar="NAME", default="",
                        help="who will serve it; a command runs as that user (default: you)",
                        )  # fmt: skip
    parser.add_argument("--fd", type=int, default=3, metavar="N",
                        help="number of the descriptor in the command (default: 3)")  # fmt: skip
    does = parser.add_mutually_exclusive_group()
    does.add_argument("--store", action="store_true",
                      help="hand the descriptor to the service manager, as fuse")  # fmt: skip
    does.add_argument("--tune", action="store_true",
                      help="raise the kernel's read-ahead of a drive that is served")  # fmt: skip
    does.add_argument("--release", action="store_true",
                      help="take it back and unmount; a drive that was killed ($SERVICE_RESULT) "
                      "stays mounted, and dead")  # fmt: skip
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    return parser


def _run(options: argparse.Namespace, command: list[str], environ: Mapping[str, str]) -> int:
    address = environ.get("NOTIFY_SOCKET", "")
    if options.release:
        storing.forget(address)
        _release(options.mountpoint, environ.get("SERVICE_RESULT", ""))
        return DONE
    if options.tune:
        raise_parameters(os.path.abspath(options.mountpoint))
        return DONE
    if options.store:
        storing.forget(address)  # of a start before this one
    user = _user(options.user)
    uid, gid = (os.getuid(), os.getgid()) if user is None else (user.pw_uid, user.pw_gid)
    profile = environ.get("DMFS_PROFILE") or "default"
    wanted = parse_options(",".join(options.options)).of_profile(profile)
    if command and shutil.which(command[0], path=environ.get("PATH")) is None:
        raise SetupError(f"there is no command {command[0]!r}")
    path, descriptor = open_mounted(options.mountpoint, wanted, uid, gid)
    try:
        if options.store:
            storing.store(address, descriptor)
            return DONE
        _serve(command, descriptor, options.fd, user, dict(environ) | {MOUNTED_AT: path})
    except BaseException as error:
        if not detach(path) and isinstance(error, SetupError):
            hint = f"it stays mounted; as root: umount -l {path}"
            raise SetupError(error.message, hint=hint) from None
        raise


def _user(name: str) -> pwd.struct_passwd | None:
    if not name:
        return None
    try:
        return pwd.getpwnam(name)
    except KeyError:
        raise SetupError(
            f"there is no user {name!r}", hint="for DynamicUser=: install libnss-systemd"
        ) from None


def _release(mountpoint: str, result: str) -> None:
    """Unmount a drive of ours; one that was killed stays, dead. SetupError where we may not."""
    mount = mount_at(os.path.abspath(mountpoint))
    if result in KILLED or mount is None or mount.kind != FILESYSTEM:
        return
    if not detach(mount.mountpoint):
        raise SetupError(f"{mount.mountpoint} cannot be unmounted", hint="as root it can")


def _serve(
    command: Sequence[str], descriptor: int, number: int, user: pwd.struct_passwd | None,
    environ: dict[str, str],
) -> NoReturn:  # fmt: skip
    """Become the command that serves the descriptor. SetupError."""
    pass_on(descriptor, number)
    if user is None or user.pw_uid == os.getuid():
        start(command, environ)
    become_user(user)
    environ |= {"HOME": user.pw_dir, "USER": user.pw_name, "LOGNAME": user.pw_name}
    try:
        start(command, environ)
    except SetupError:
        regain_mounting()
        raise


if __name__ == "__main__":
    sys.exit(main())

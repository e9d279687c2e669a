"""``dmfs mount`` and ``dmfs umount``: check the command, then serve here or in the background.

The event loop and the drive are imported by the process that serves alone (``serve``): the one
that only starts it and waits saves half a second of CPU.
"""

from __future__ import annotations

import os
import sys
from functools import partial

from dmfs.cli import DONE, FAILED
from dmfs.cli.daemonize import start_in_background
from dmfs.cli.settings import Invocation, check_proxies, prepare_limits, read_settings
from dmfs.errors import SetupError
from dmfs.fuse.mount_place import true_path
from dmfs.fuse.mountpoint import (
    MountOptions,
    check_machine,
    clear_dead_mount,
    mounts,
    no_library,
    parse_options,
    prepare_mountpoint,
    unmount,
)
from dmfs.system.mountinfo import FILESYSTEM, FUSE_KINDS

TYPE_CHECKING = False  # importing typing for its constant would cost a third of argparse
if TYPE_CHECKING:
    from dmfs.fuse.descriptor.given import Given


def mount_command(call: Invocation) -> int:
    """Return when the drive answers (background), or when it is unmounted (``--foreground``)."""
    words = call.options
    options = parse_options(",".join(words.options))
    settings = read_settings(call)
    options = options.of_profile(settings.profile)
    given = _given_descriptor(call, options)
    if given is None:
        check_machine(options)
    check_proxies(call.environ)
    warning = prepare_limits(settings)
    if warning:
        sys.stderr.write(f"dmfs: {warning}\n")
    if given is None:
        mountpoint = prepare_mountpoint(words.mountpoint, partial(_is_gone, call))
    else:
        mountpoint = given.place
    if not words.foreground and words.ready_fd is None:
        try:
            passed_on = () if given is None else (given.number,)
            failure = start_in_background(call.argv, call.environ, passed_on)
        except BaseException:
            if given is None:
                clear_dead_mount(mountpoint)  # where the child had to be killed
            raise
        if failure:
            sys.stderr.write(f"dmfs: {failure}\n")
        return FAILED if failure else DONE

    try:
        from dmfs.cli.serve import serve
    except ImportError as error:
        # one that is there, and whose libfuse3 is not
        if not (error.name or error.path or "").rpartition("/")[2].startswith("pyfuse3"):
            raise
        raise no_library(f"cannot be loaded: {error}") from None

    serve(call, options, settings, mountpoint, given)
    return DONE


def _given_descriptor(call: Invocation, options: MountOptions) -> Given | None:
    """The descriptor that is named in the place of a mountpoint, checked."""
    if not call.options.mountpoint.startswith("/dev/fd/"):
        return None
    from dmfs.fuse.descriptor.given import number_of, refuse_contradictions, take

    number = number_of(call.options.mountpoint)
    given = take(number, call.environ)
    refuse_contradictions(given, writes=options.writes, shared_identity=options.shared_identity)
    return given


def _is_gone(call: Invocation, mountpoint: str) -> bool:
    """Whether the drive that is mounted there has lost its process, as its card says."""
    from dmfs.cli.control.target import mounts_of
    from dmfs.control.mounts import process_is_gone

    seen = [each for each in mounts_of(call) if each.mountpoint == mountpoint and each.is_mounted]
    return any(map(process_is_gone, seen))


def umount_command(call: Invocation) -> int:
    """Unmount; SetupError if the drive is busy, with the processes that use it. Says what of a
    drive that writes has not gone up."""
    mountpoint = call.options.mountpoint
    if not mountpoint.startswith("/"):
        try:
            mountpoint = os.path.abspath(mountpoint)
        except FileNotFoundError:
            raise SetupError("the working directory is gone", hint="name the whole path") from None
    waiting = []
    by_descriptor = mountpoint.startswith("/dev/fd/")
    kind = FUSE_KINDS[0] if by_descriptor else mounts().get(true_path(mountpoint))
    if kind in FUSE_KINDS:  # under that type only others mount
        _refuse_mounts_of_others(call, mountpoint)
    elif kind == FILESYSTEM:
        from dmfs.cli.writing.leaving import rows_of_mount, send_first

        if call.options.wait:
            send_first(call, mountpoint)
        waiting = rows_of_mount(call, mountpoint)
    os.chdir("/")  # `cd MOUNTPOINT && dmfs umount .`: not this process may keep it busy
    unmount(mountpoint, partial(_is_gone, call))
    if waiting:
        from dmfs.cli.writing.leaving import say_what_waits

        say_what_waits(waiting)
    return DONE


def _refuse_mounts_of_others(call: Invocation, mountpoint: str) -> None:
    """SetupError for a drive that was mounted by descriptor, in another namespace or as another
    type: it cannot be unmounted from here."""
    from dmfs.cli.control.target import mounts_of

    for seen in mounts_of(call):
        card = seen.card
        if card is None or not card.descriptor or not seen.is_mounted:
            continue
        if mountpoint in (seen.mountpoint, card.descriptor):
            raise SetupError(
                f"the drive at {seen.mountpoint} was mounted by the program that opened "
                f"{card.descriptor}, and is for that to unmount (or for root: umount)",
                hint=f"to end the drive, and leave a dead mountpoint: kill {card.pid}",
            )

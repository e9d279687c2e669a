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
from dmfs.fuse.mount_place import FILESYSTEM, true_path
from dmfs.fuse.mountpoint import (
    check_machine,
    clear_dead_mount,
    mounts,
    no_library,
    parse_options,
    prepare_mountpoint,
    unmount,
)


def mount_command(call: Invocation) -> int:
    """Return when the drive answers (background), or when it is unmounted (``--foreground``)."""
    given = call.options
    options = parse_options(",".join(given.options))
    settings = read_settings(call)
    check_machine(options)
    check_proxies(call.environ)
    warning = prepare_limits(settings)
    if warning:
        sys.stderr.write(f"dmfs: {warning}\n")
    mountpoint = prepare_mountpoint(given.mountpoint, partial(_is_gone, call))
    if not given.foreground and given.ready_fd is None:
        try:
            failure = start_in_background(call.argv, call.environ)
        except BaseException:
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

    serve(call, options, settings, mountpoint)
    return DONE


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
    if mounts().get(true_path(mountpoint)) == FILESYSTEM:
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

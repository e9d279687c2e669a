"""``dmfs events``: what a mount does, one JSON object a line."""

from __future__ import annotations

import json
import sys

from dmfs.cli import DONE
from dmfs.cli.control.target import mounts_of, socket_of, the_mount
from dmfs.cli.settings import Invocation
from dmfs.control.client import stream
from dmfs.errors import MountGoneError


def events_command(call: Invocation) -> int:
    """What happened lately; with ``-f`` also what happens, until the mount ends."""
    given = call.options
    mount = the_mount(given.mountpoint, mounts_of(call))
    socket, begun = socket_of(mount), False
    path = "/v1/events" + ("?follow=1" if given.follow else "")
    try:
        for event in stream(socket, mount.owner, path, None):
            begun = True
            if event.get("event") not in ("idle", "done"):
                sys.stdout.write(json.dumps(event, ensure_ascii=False) + "\n")
                sys.stdout.flush()
    except MountGoneError:
        if not (given.follow and begun):
            raise  # else the mount has ended, and so do we
    return DONE

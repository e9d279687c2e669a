"""``dmfs mount`` that returns when the drive answers and goes on in the background. Floor 4.

The parent starts the same command anew in a session of its own (forking a process with threads
is asking for trouble), and waits on a pipe for one word: ready, or why not.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence

READY = "ready"


def start_in_background(arguments: Sequence[str], environ: Mapping[str, str]) -> str:
    """Run ``dmfs <arguments> --ready-fd N`` detached; '' when it is ready, else its complaint."""
    read_end, write_end = os.pipe()
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "dmfs", *arguments, "--ready-fd", str(write_end)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(write_end,),
            start_new_session=True,
            cwd="/",
            env=dict(environ),
        )
    finally:
        os.close(write_end)
    with os.fdopen(read_end, "r", encoding="utf-8", errors="replace") as pipe:
        word = pipe.read().strip()  # until the child writes and closes, or dies
    if word == READY:
        # the drive outlives us: not ours to wait for
        process.returncode = 0
        return ""
    status = process.wait()
    return word or f"the mount process ended at once (status {status})"


def tell_parent(ready_fd: int | None, word: str) -> None:
    """The child's word to the waiting parent; once."""
    if ready_fd is None:
        return
    try:
        os.write(ready_fd, word.encode("utf-8", "replace"))
        os.close(ready_fd)
    except OSError:
        pass  # the parent was interrupted; the drive goes on

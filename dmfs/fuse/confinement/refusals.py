"""What fusermount3 says where it does not mount: libfuse lets it speak to stderr, and tells us only
that it failed. A drive in the background has no stderr that anybody reads.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

_STDERR = 2
_SAID_MAX_BYTES = 8192
_SPEAKER = "fusermount3: "


@contextlib.contextmanager
def overheard() -> Iterator[list[str]]:
    """Takes stderr away from the body, and gives it back with what others than fusermount3 said;
    its own lines are in the list that the body gets, once that has ended."""
    said: list[str] = []
    try:
        own, held = os.dup(_STDERR), os.memfd_create("stderr", os.MFD_CLOEXEC)
    except OSError:  # a shortage of descriptors, or a stderr that is closed: it goes without
        yield said
        return
    try:
        os.dup2(held, _STDERR)
        try:
            yield said
        finally:
            os.dup2(own, _STDERR)
            lines = os.pread(held, _SAID_MAX_BYTES, 0).splitlines(keepends=True)
            mine = [line for line in lines if line.startswith(_SPEAKER.encode())]
            said += [os.fsdecode(line.strip()).removeprefix(_SPEAKER) for line in mine]
            rest = b"".join(line for line in lines if line not in mine)
            with contextlib.suppress(OSError):
                os.write(own, rest)
    finally:
        os.close(own)
        os.close(held)

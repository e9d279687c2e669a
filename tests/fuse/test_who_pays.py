"""A call is of the program that caused it, also where a read is answered at once."""

from __future__ import annotations

from dmfs.fuse.attributes import Ownership
from dmfs.fuse.operations import Operations
from dmfs.model import Root
from dmfs.telemetry.access_log import AccessRecord, access
from dmfs.telemetry.activity import Transfer
from dmfs.telemetry.processes import Process
from tests.support.helpers import virtual
from tests.support.made_drives import a_drive


class _Reader:
    """Starts a call ahead with each read, as that of a series does."""

    size_bytes = 10

    def __init__(self, operations: Operations) -> None:
        self._operations = operations

    def read_now(self, offset: int, length: int) -> bytes:
        self._operations.activity.on_call("sign", "ok", 0.1)
        return b"x" * length


@virtual
async def test_what_a_quick_read_starts_is_of_the_program_that_opened_the_file() -> None:
    """One worker serves one program after the other; a quick read has no record of its own."""
    operations = Operations(a_drive(), Root(), Ownership(0, 0))
    find, grep = Process(7, "find"), Process(8, "grep")
    access.set(AccessRecord("statfs", find))
    transfer = Transfer("/a", AccessRecord("read", grep), 10)
    operations._files[1] = _Reader(operations), transfer  # type: ignore[assignment]
    assert await operations.read(1, 0, 4) == b"xxxx"
    assert (find.calls, grep.calls) == (0, 1)
    assert transfer.given_bytes == 4

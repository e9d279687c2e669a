"""A range that limps is given up once, and goes on elsewhere from where it was."""

from __future__ import annotations

import trio
import trio.testing

from dmfs.fetch.curl.transfer import RangeRequest
from dmfs.fetch.link_stats import DURATIONS_NEEDED
from dmfs.fetch.object_client import ObjectClient
from dmfs.model import (
    File,
    FolderId,
    HubId,
    ItemId,
    ProjectId,
    SignedObject,
    SignedRange,
    StorageId,
    VersionId,
)
from dmfs.spans import Span
from tests.support.helpers import Whole, fetched

SIZE = 4000
FILE = File(
    ItemId("i"), VersionId("v"), StorageId("urn:adsk.objects:os.object:b/k"), FolderId("f"),
    ProjectId("b.p"), HubId("b.h"), "plan.dwg", SIZE,
)  # fmt: skip


class Limping:
    """Gives ranges at once, except that while ``limps`` it stops for ever after 100 bytes."""

    def __init__(self) -> None:
        self.limps = 0
        self.starts: list[int] = []

    async def sign(self, file: File) -> SignedObject:
        return SignedObject(
            SIZE, "", (SignedRange(0, SIZE, "https://cdn/x"),), trio.current_time() + 3600
        )

    async def fetch(self, get: RangeRequest) -> None:
        start, sink = get.start, get.buffer
        self.starts.append(start)
        count = 100 if self.limps else len(sink)
        sink[:count] = bytes((start + n) % 251 for n in range(count))
        if get.progress.put(count):
            get.progress.wake()
        if self.limps:
            self.limps -= 1
            await trio.sleep_forever()


async def fill(source: ObjectClient, span: Span) -> bytes:
    return await fetched(source, Whole(FILE), span)


def test_a_late_range_goes_on_from_where_it_was_once() -> None:
    limping = Limping()

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            source = ObjectClient(limping, limping, nursery, timeout_s=30)
            right = bytes(n % 251 for n in range(1000, 2000))
            for _ in range(DURATIONS_NEEDED):
                assert await fill(source, Span(1000, 2000)) == right
            limping.limps = 1
            limping.starts.clear()
            assert await fill(source, Span(1000, 2000)) == right
            assert limping.starts == [1000, 1100]
            limping.limps = 2
            with trio.move_on_after(3600) as patience:
                await fill(source, Span(1000, 2000))
            assert patience.cancelled_caught, "given up once only"
            nursery.cancel_scope.cancel()

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))

"""How far a transfer has come, told by shared memory: nothing early, nothing late, nobody's else.

The drive and its fetching process as a model: their own code on both sides, and between them two
queues and a number, which move in whatever order the test draws.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from dmfs.blocks.extents import Extent
from dmfs.emulator.process import EmulatorProcess
from dmfs.fetch import process_fetcher
from dmfs.fetch.curl.progress import NOTHING, Progress
from dmfs.fetch.curl.worker import Position
from dmfs.fetch.curl.worker_protocol import decode_wish, encode, encode_wish
from dmfs.fetch.process_fetcher import _Flight
from dmfs.spans import MIB, Span
from dmfs.system.shared_memory import MemoryFence, SharedNumbers
from tests.fetch.test_process_fetcher import fetching
from tests.support.clients import NewFile
from tests.support.helpers import a_get, real

SIZE = 10


class _Model:
    """One transfer of SIZE bytes, from the middle of an extent on."""

    BASE = 3

    def __init__(self) -> None:
        self.to_worker: deque[bytes] = deque()
        self.to_drive: deque[bytes | str] = deque()
        self.positions = memoryview(bytearray(16)).cast("q")
        self.fence = MemoryFence()
        self.worker_position = Position(self, 7, 1)  # type: ignore[arg-type]
        self.arrived = 0
        self.extent = Extent(
            Span(0, 1), Span(0, self.BASE + SIZE), speculative=False, from_disk=False
        )
        self.extent.filled = self.BASE
        piece = Progress(self.extent, self.BASE)
        get = a_get("https://x/", 1, buffer=memoryview(bytearray(SIZE)), progress=piece)
        self.flight = _Flight(get, 1)
        piece.subscribe(lambda filled: self.to_worker.append(encode_wish(7, filled)))
        self.head_seen = self.ended = False
        self.waiting: dict[int, bool] = {}
        """Bytes of the extent that a reader waits for → whether it is parked."""

    def send_packet(self, packet: bytes) -> None:
        """What ``Position`` tells the drive."""
        self.to_drive.append(packet)

    def chunk(self, size: int) -> None:
        size = min(size, SIZE - self.arrived)
        if size:
            if not self.arrived:
                self.to_drive.append("head")
            self.arrived += size
            self.worker_position.put(self.arrived)
            if self.arrived == SIZE:
                self.to_drive.append("end")

    def worker_reads(self) -> None:
        if self.to_worker:
            wish = decode_wish(self.to_worker.popleft())
            if wish is not None and self.arrived < SIZE:  # it knows no transfer that has ended
                self.worker_position.want(wish[1])

    def drive_reads(self) -> None:
        if not self.to_drive:
            return
        message = self.to_drive.popleft()
        progress = self.flight.request.progress
        if message == "head":
            self.head_seen = True
            self.flight.follow(self.positions)
        elif message == "end":
            self.ended = True
            self.put(progress, SIZE)
            self.flight.leave()
            self.positions[1] = 1 << 40  # another request has the slot now
        else:
            wish = decode_wish(message)  # type: ignore[arg-type]
            assert wish is not None
            self.put(progress, wish[1])

    def put(self, progress: Progress, filled: int) -> None:
        if progress.put(filled):
            self.extent.wanted = NOTHING
            for needed in list(self.waiting):
                self.look(needed)  # woken: each goes once more through ``reach``

    def look(self, needed: int) -> None:
        """``Extent.reach`` up to where it parks."""
        if self.extent.look() < needed:
            self.extent.want(needed)
            if self.extent.look() < needed:
                self.waiting[needed] = True
                return
        self.waiting.pop(needed, None)

    def check(self) -> None:
        believed = self.extent.look() - self.BASE
        assert believed <= self.arrived
        assert self.head_seen or believed == 0


_steps = st.lists(
    st.one_of(
        st.tuples(st.just("chunk"), st.integers(1, SIZE)),
        st.tuples(st.just("look"), st.integers(1, SIZE)),
        st.tuples(st.sampled_from(["worker_reads", "drive_reads"])),
    ),
    max_size=40,
)


@given(_steps)
def test_whoever_waits_for_bytes_that_have_come_is_woken(steps: list[tuple[Any, ...]]) -> None:
    model = _Model()
    for name, *arguments in steps:
        if name == "look":
            arguments[0] += model.BASE
        getattr(model, name)(*arguments)
        model.check()
    while model.to_worker or model.to_drive:  # both read what there is; no more bytes come
        model.worker_reads()
        model.drive_reads()
        model.check()
    assert [needed for needed in model.waiting if needed - model.BASE <= model.arrived] == []


@given(_steps)
def test_at_the_end_nobody_waits_and_nothing_is_looked_at_any_more(
    steps: list[tuple[Any, ...]],
) -> None:
    model = _Model()
    for name, *arguments in steps:
        if name == "look":
            arguments[0] += model.BASE
        getattr(model, name)(*arguments)
    model.chunk(SIZE)
    while model.to_worker or model.to_drive:
        model.worker_reads()
        model.drive_reads()
    assert not model.waiting
    assert model.ended
    assert model.extent.look() == model.BASE + SIZE  # although the slot has another number


def test_a_request_that_was_left_does_not_end_what_follows_it_in_the_same_buffer() -> None:
    numbers = memoryview(bytearray(16)).cast("q")
    whole = Progress()
    first, second = (
        _Flight(
            a_get("https://x/", 1, buffer=memoryview(bytearray(4)), progress=Progress(whole)), at
        )
        for at in (0, 1)
    )
    first.follow(numbers)
    first.leave()
    numbers[0] = 2  # another request has the slot now
    assert whole.look() == 0
    second.follow(numbers)
    numbers[1] = 3
    first.leave()  # its end comes late
    assert whole.look() == 3
    numbers[1] = 1 << 40
    assert whole.look() == 4, "never more than the buffer has"


def test_slots_are_handed_out_once_and_begin_at_nought() -> None:
    numbers = SharedNumbers(2)
    taken = [numbers.take(), numbers.take()]
    assert (sorted(filter(lambda slot: slot is not None, taken)), numbers.take()) == ([0, 1], None)  # type: ignore[type-var]
    twin = SharedNumbers(2, numbers.fd)
    twin.values[1] = 5
    assert numbers.values[1] == 5
    numbers.give_back(1)
    assert numbers.take() == 1
    assert twin.values[1] == 0
    twin.fd = -1  # (it is the first one's here)
    numbers.close()


@real
async def test_a_transfer_costs_two_packets_however_long_it_is(
    emulator: EmulatorProcess, new_file: NewFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A packet each 512 KiB, with what both sides do for one, took a tenth of their time."""
    size = 16 * MIB
    packets: list[bytes] = []

    def counted(packet: bytes) -> tuple[int, int] | None:
        packets.append(packet)
        return decode_wish(packet)

    async with fetching(emulator) as parts:
        await parts.started()
        monkeypatch.setattr(process_fetcher, "decode_wish", counted)
        file = new_file(size)
        emulator.settings(cdn_bytes_per_s=64 * MIB)  # or nobody has a turn to look meanwhile
        get = await parts.get(file, length=size, buffer=parts.buffer(size), total_bytes=size)
        looks: set[int] = set()
        async with trio.open_nursery() as nursery:

            async def look() -> None:
                while True:
                    looks.add(get.progress.look())
                    await trio.sleep(0)

            nursery.start_soon(look)
            await parts.process.fetch(get)
            nursery.cancel_scope.cancel()
        assert bytes(get.buffer) == parts.emulator.bytes(file.storage_id, 0, None)
    assert [packet[:7] for packet in packets] == [encode({"head": 1})[:7], b'{"end":']
    assert len(looks) > 2, "and is known all the same while it goes on"

"""Who waited for bytes that do not come does not wait again, over a made-up CDN in virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
import trio

from dmfs.errors import DeadlineError, DriveError, StalledError, UnreachableError
from dmfs.fetch.curl.progress import Progress
from dmfs.fetch.curl.transfer import RangeRequest
from dmfs.fetch.object_client import ObjectClient
from dmfs.fetch.stalls import MOMENT_MAX_S, PROBE_S, PROBES_MAX, Stalls
from dmfs.model import File, SignedObject, SignedRange
from dmfs.spans import MIB, Span
from dmfs.system.concurrency import deadline
from tests.support.helpers import Whole, a_file, truth, virtual

T = 57.0
SIZE = 64 * MIB


class Cdn:
    """Answers after ``latency_s``, except where it is ``silent``: from that offset on, or after so
    many bytes of each GET, for ever."""

    def __init__(self) -> None:
        self.silent: dict[str, range] = {}
        self.drip_s = 0.0
        self.latency_s = 0.02
        self.gets: list[Span] = []
        self.signed: list[str] = []

    async def sign(self, file: File) -> SignedObject:
        self.signed.append(file.name)
        parts = (SignedRange(0, SIZE, f"https://cdn.example/{file.name}?Signature=x"),)
        return SignedObject(SIZE, "", parts, trio.current_time() + 36_000)

    async def fetch(self, get: RangeRequest) -> None:
        name = get.url.partition("?")[0].rpartition("/")[2]
        span = Span(get.start, get.start + len(get.buffer))
        self.gets.append(span)
        dead = self.silent.get(name, range(0))
        await trio.sleep(self.latency_s)
        filled = 0
        while filled < span.length:
            if span.start + filled in dead:
                await trio.sleep_forever()
            ahead = [each for each in (dead.start - span.start,) if filled < each and len(dead)]
            step = min([span.length - filled, *ahead])
            if self.drip_s:
                step = min(step, 100)
                await trio.sleep(self.drip_s)
            get.buffer[filled : filled + step] = truth(
                span.start + filled, span.start + filled + step
            )
            filled += step
            if get.progress.put(filled):
                get.progress.wake()


class Readers:
    """``read`` as a FUSE request does, with a deadline; how long it took."""

    def __init__(self, cdn: Cdn, client: ObjectClient, suspected: list[str]) -> None:
        self.cdn = cdn
        self.client = client
        self.suspected = suspected
        self.contents: dict[str, Whole] = {}

    async def read(self, name: str, start: int, length: int = 4096) -> float:
        """Seconds until the right bytes were there; DriveErrors."""
        content = self.contents.setdefault(name, Whole(a_file(name, SIZE)))
        buffer = bytearray(length)
        began = trio.current_time()
        with deadline(T, "read"):
            span = Span(start, start + length)
            await self.client.fill(content, span, memoryview(buffer), Progress())
        assert buffer == truth(start, start + length)
        return trio.current_time() - began

    async def failed_s(self, name: str, start: int, length: int = 4096) -> float:
        """Seconds until a read failed for want of an answer."""
        began = trio.current_time()
        with pytest.raises(DeadlineError):
            await self.read(name, start, length)
        return trio.current_time() - began


@asynccontextmanager
async def readers(cdn: Cdn) -> AsyncIterator[Readers]:
    suspected: list[str] = []
    async with trio.open_nursery() as nursery:
        stalls = Stalls(nursery, T, suspect=suspected.append)
        nursery.start_soon(stalls.run)
        client = ObjectClient(cdn, cdn, nursery, timeout_s=30, stalls=stalls)
        yield Readers(cdn, client, suspected)
        nursery.cancel_scope.cancel()


@virtual
async def test_n_reads_of_one_stalled_object_cost_one_deadline() -> None:
    cdn = Cdn()
    cdn.silent["a"] = range(SIZE)
    async with readers(cdn) as drive:
        began = trio.current_time()
        assert await drive.failed_s("a", 0, MIB) == T
        assert await drive.failed_s("a", 0) == 0, "the page that the kernel asks for again"
        for number in range(100):
            await drive.failed_s("a", number * 4096)
        assert trio.current_time() - began < 1.2 * T
        assert cdn.signed == ["a"], "a probe costs no signing"
        assert drive.suspected, "the host is looked at"


@virtual
async def test_stalled_objects_of_one_host_cost_two_deadlines_together() -> None:
    cdn = Cdn()
    names = [f"file {number}" for number in range(100)]
    cdn.silent = {name: range(SIZE) for name in names}
    async with readers(cdn) as drive:
        began = trio.current_time()
        for name in names:
            await drive.failed_s(name, 0)
        # a moment for each one that looks whether there is an answer, once a second
        assert trio.current_time() - began < 2 * T + 100
        cdn.silent.clear()
        await trio.sleep(2)
        assert await drive.read("file 99", 0) < 1
        assert await drive.read("file 0", 0) < 1


@virtual
async def test_the_first_answer_ends_it_within_a_second_or_two_of_asking() -> None:
    cdn = Cdn()
    cdn.silent["a"] = range(SIZE)
    async with readers(cdn) as drive:
        await drive.failed_s("a", 0)
        for _ in range(30):  # a program that goes on trying
            await drive.failed_s("a", 0)
            await trio.sleep(0.5)
        cdn.silent.clear()
        well_at = trio.current_time()
        while True:
            try:
                await drive.read("a", 0)
                break
            except DeadlineError:
                await trio.sleep(0.1)
        assert trio.current_time() - well_at < 2


@virtual
async def test_a_stalled_range_takes_neither_its_object_nor_its_host_away() -> None:
    cdn = Cdn()
    cdn.silent["a"] = range(9 * MIB, 12 * MIB)
    async with readers(cdn) as drive:
        async with trio.open_nursery() as nursery:

            async def others() -> None:
                for number in range(60):
                    await trio.sleep(1)
                    assert await drive.read("a", 20 * MIB + number * 4096) < 1
                    assert await drive.read("b", number * 4096) < 1

            nursery.start_soon(others)
            assert await drive.failed_s("a", 9 * MIB) == T
            for number in range(20):
                assert await drive.failed_s("a", 9 * MIB + number * 4096) <= 1
        assert not drive.suspected
        # as far as the bytes are well they come, although one GET would have had both
        with pytest.raises(StalledError):
            await drive.read("a", 9 * MIB - 4096, 8192)
        assert Span(9 * MIB - 4096, 9 * MIB) in cdn.gets


@virtual
async def test_slow_bytes_are_no_silence() -> None:
    cdn = Cdn()
    cdn.drip_s = 4.0  # 25 bytes a second: not even a page within the deadline
    async with readers(cdn) as drive:
        assert await drive.failed_s("a", 0) == T
        assert await drive.failed_s("a", 0) == T, "waited for again: something comes"
        assert await drive.read("a", 0, 1000) == pytest.approx(40, abs=1)
        assert not drive.suspected


@virtual
async def test_bytes_that_stop_are_silence() -> None:
    cdn = Cdn()
    cdn.silent["a"] = range(MIB // 2, SIZE)
    async with readers(cdn) as drive:
        assert await drive.failed_s("a", 0, MIB) == T
        assert await drive.failed_s("a", MIB // 2) <= 1
        began = trio.current_time()
        for number in range(50):
            await drive.failed_s("a", MIB // 2 + number * 4096)
        assert trio.current_time() - began <= 60


@virtual
async def test_a_slow_host_is_found_well_again_by_the_probe_that_takes_its_time() -> None:
    cdn = Cdn()
    cdn.silent["a"] = range(SIZE)
    async with readers(cdn) as drive:
        await drive.failed_s("a", 0)
        cdn.silent.clear()
        cdn.latency_s = PROBE_S * 4  # no short probe will ever see it
        for _ in range(100):  # a program that goes on trying
            with suppress(DeadlineError):
                await drive.read("a", 0)
                break
            await trio.sleep(0.5)
        else:
            pytest.fail("remembered for ever")


@virtual
async def test_probes_are_few_and_end() -> None:
    cdn = Cdn()
    names = [f"file {number}" for number in range(60)]
    cdn.silent = {name: range(SIZE) for name in names}
    async with readers(cdn) as drive:
        for name in names[:2]:
            await drive.failed_s(name, 0)
        before = len(cdn.gets)
        began = trio.current_time()
        most = 0
        for _ in range(20):
            for name in names:
                await drive.failed_s(name, 0)
                most = max(most, drive.client.gauges()["stall_probes"])
            await trio.sleep(0.2)
        took_s = trio.current_time() - began
        # each was waited for for a moment, and each object has one a second
        assert len(cdn.gets) - before <= took_s / MOMENT_MAX_S + 1
        assert len(cdn.gets) - before <= (took_s + 1) * len(names)
        assert most <= PROBES_MAX
        assert all(get.length == 1 for get in cdn.gets[before:])
        await trio.sleep(T + 1)
        assert drive.client.gauges()["stall_probes"] == 0


@virtual
async def test_tries_that_are_used_up_in_silence_count_as_a_deadline() -> None:
    # libcurl gives each up after 15 s: of a deadline of 57 s that is three, of ten minutes all five
    class Curl(Cdn):
        async def fetch(self, get: RangeRequest) -> None:
            with trio.move_on_after(15):
                await super().fetch(get)
                return
            raise UnreachableError("cannot read: Operation too slow")

    cdn = Curl()
    cdn.silent["a"] = range(SIZE)
    async with readers(cdn) as drive:
        began = trio.current_time()
        with pytest.raises(DriveError):
            await drive.read("a", 0)
        first_s = trio.current_time() - began
        assert first_s > 40
        assert await drive.failed_s("a", 0) <= 1


@virtual
async def test_who_was_cancelled_has_found_nothing_out() -> None:
    cdn = Cdn()
    cdn.silent["a"] = range(SIZE)
    async with readers(cdn) as drive:
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(drive.read, "a", 0)
                await trio.sleep(T * 0.9)
                scope.cancel()
        cdn.silent.clear()
        assert await drive.read("a", 0) < 1


@virtual
async def test_who_asks_for_a_dead_object_takes_no_turn_of_a_living_one() -> None:
    cdn = Cdn()
    cdn.silent = {"a": range(SIZE), "b": range(SIZE)}
    async with readers(cdn) as drive:
        await drive.failed_s("a", 0)
        await drive.failed_s("b", 0)  # the host is dead now, as far as anybody knows
        for _ in range(20):
            await drive.failed_s("a", 0)
            await trio.sleep(0.1)
        assert await drive.read("c", 0) < 1
        assert await drive.failed_s("b", 0) < 1
        assert await drive.read("d", 0) < 0.1

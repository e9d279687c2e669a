"""The read planner with readers that look at a file and go, or read here and there."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dmfs.blocks.readahead import FIRST_WINDOW_BYTES, LOOK_BYTES, WHOLE_BYTES, Planner
from dmfs.spans import BLOCK_BYTES, EMPTY, KIB, MIB, SMALL_FILE_BYTES, Span, blocks_of
from tests.blocks.test_readahead import BIG, READ, Extent


def kernel_reads(*read_kib: int) -> list[tuple[int, int]]:
    """What the kernel asks for, in KiB, of a program that reads on from the top."""
    reads, offset = [], 0
    for length in read_kib:
        reads.append((offset * KIB, length * KIB))
        offset += length
    return reads


@pytest.mark.parametrize("size", [BIG, 60_000_000, SMALL_FILE_BYTES, WHOLE_BYTES + 1])
@pytest.mark.parametrize("asked", [(4,), (16,), (16, 32), (32, 64), (16, 64)])
def test_a_look_at_a_head_is_one_get_of_256_kib(size: int, asked: tuple[int, ...]) -> None:
    """Reads of ``head -c 100`` and of programs that read 16 KiB, with 128 or 512 KiB of
    read_ahead_kb: recorded."""
    run = Extent(size)
    aheads = [run.read(*read)[1] for read in kernel_reads(*asked)]
    assert len(run.fetched) * BLOCK_BYTES <= LOOK_BYTES == 256 * KIB
    assert [ahead.length > 0 for ahead in aheads] == [True] + [False] * (len(asked) - 1)


@pytest.mark.parametrize("asked", [(16, 32, 64, 128), (32, 64, 128)])
def test_a_search_that_gives_up_after_64_kib_costs_512_kib(asked: tuple[int, ...]) -> None:
    """``rg`` over a model: the kernel asks for 224 or 240 KiB."""
    run = Extent(60_000_000)
    for read in kernel_reads(*asked):
        run.read(*read)
    assert len(run.fetched) * BLOCK_BYTES <= 512 * KIB


def test_who_asks_for_256_kib_at_the_top_is_a_stream_at_once() -> None:
    """``cat`` and ``cp`` tell the kernel that they read on."""
    assert Planner(BIG).on_read(0, 256 * KIB, ready=False).ahead.length == FIRST_WINDOW_BYTES


@pytest.mark.parametrize("asked", [(128,) * 40, (16, 32, 64) + (128,) * 40, (512,) * 10])
def test_a_stream_from_the_top_has_its_window_after_one_round_trip(asked: tuple[int, ...]) -> None:
    run = Extent(BIG)
    for offset, length in kernel_reads(*asked):
        _, ahead = run.read(offset, length)
        if offset + length >= 256 * KIB:
            assert ahead.stop == offset + length + FIRST_WINDOW_BYTES
            return


def test_a_small_file_that_was_looked_at_is_fetched_whole_when_it_is_read_on() -> None:
    planner = Planner(SMALL_FILE_BYTES)
    assert planner.on_read(0, 16 * KIB, ready=False).ahead == (0, LOOK_BYTES)
    assert planner.on_read(16 * KIB, 32 * KIB, ready=True).ahead == EMPTY
    assert planner.on_read(240 * KIB, READ, ready=False).ahead == (0, SMALL_FILE_BYTES)


def test_a_program_that_reads_a_small_file_at_all_has_it_whole_at_once() -> None:
    for offset, length in ((0, READ), (SMALL_FILE_BYTES - 4096, 4096)):
        plan = Planner(SMALL_FILE_BYTES).on_read(offset, length, ready=False)
        assert plan.ahead == (0, SMALL_FILE_BYTES)


SCATTERED = {
    # offsets and lengths in KiB as the kernel asked for them (read_ahead_kb 128 and 512)
    "pdftoppm, first page of 15 MB": [(0, 16), (15072, 4), (15068, 4), (180, 8), (16, 32), (48, 64),
                                      (112, 72)],
    "unzip -p, a member of 1.5 MB": [(87888, 8), (43944, 8), (43952, 16), (43968, 32), (44000, 64),
                                     *((44064 + n * 128, 128) for n in range(12))],
    "the same, 512": [(87888, 8), (43944, 8), (43952, 32), (43984, 64), (44048, 128), (44176, 256),
                      (44432, 512), (44944, 512), (45456, 512)],
    "python's zipfile": [(87892, 4), (10252, 8), (10260, 128), (10388, 124),
                         *((10512 + n * 128, 128) for n in range(11))],
}  # fmt: skip


@pytest.mark.parametrize("name", list(SCATTERED))
def test_a_scattered_reader_costs_twice_the_blocks_that_were_asked_for(name: str) -> None:
    run = Extent(90_005_402)
    asked: set[int] = set()
    for offset, length in SCATTERED[name]:
        run.read(offset * KIB, length * KIB)
        asked |= set(range(*blocks_of(Span(offset * KIB, (offset + length) * KIB))))
    assert len(run.fetched) <= 2 * len(asked)


def test_a_reader_that_leaves_out_parts_waits_less_than_once_a_part() -> None:
    """The first page of a PDF, 40 pictures of 230 KiB with 130 KiB between them: what twice the
    asked bytes leave room for comes in pieces worth a round trip."""
    run = Extent(15 * MIB)
    run.read(15 * MIB - 4096, 4096)
    gets = 0
    for picture in range(40):
        offset = picture * 360
        for length in (16, 32, 64, 118):
            before = len(run.fetched)
            run.read(offset * KIB, length * KIB)
            gets += len(run.fetched) > before
            offset += length
    assert gets <= 32, "39 where all is spent at once"


@settings(max_examples=60)
@given(st.data())
def test_after_a_jump_no_more_is_fetched_than_twice_what_was_asked_for(
    data: st.DataObject,
) -> None:
    """Whatever is read, counted in whole blocks: here and there, a stretch, back and forth."""
    run = Extent(BIG)
    run.read(BIG - 4096, 4096)  # the directory of a zip, a PDF's table: a jump from the start on
    asked, position = 1, 0
    for _ in range(data.draw(st.integers(1, 40))):
        step = data.draw(st.sampled_from([0, 0, 0, READ, -READ, 5 * MIB, -3 * MIB, 40 * MIB]))
        position = min(max(0, position + step), BIG - MIB)
        length = data.draw(st.sampled_from([4096, 16 * KIB, READ, READ, 512 * KIB]))
        run.read(position, length)
        asked += blocks_of(Span(position, position + length)).length
        position += length
        assert len(run.fetched) <= 2 * asked


def test_reads_behind_the_front_that_were_evicted_cost_a_stream_nothing_ahead() -> None:
    """As of a film's player: they are gone since they were consumed, not so what lies ahead."""
    planner = Planner(400 * MIB)
    asked: list[Span] = []

    def read(offset: int, *, lost: bool = False) -> None:
        plan = planner.on_read(offset, READ, ready=offset % (4 * MIB) != 0, lost=lost)
        planner.on_accepted(plan.ahead)
        asked.append(plan.ahead)

    read(0)
    read(400 * MIB - READ)  # a jump: from now on it is counted
    for offset in range(READ, 300 * MIB, READ):
        read(offset)
        if offset % (10 * MIB) == 0 and offset > 80 * MIB:
            read(offset - 80 * MIB, lost=True)
    assert sum(span.length for span in asked) <= 400 * MIB
    assert planner._fetched_bytes <= 401 * MIB

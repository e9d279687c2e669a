"""A new file is there whole, or not at all."""

from __future__ import annotations

import pytest
import trio

from dmfs.errors import ExistsError, NoRoomError, OfflineError
from dmfs.write.live import LiveFile
from tests.write.model.machine import fast
from tests.write.model.test_conflicts import OURS, THEIRS, F


@fast
async def test_of_two_that_create_one_name_one_is_late(machine, place):
    """``put`` comes by another door than the kernel, which lets one in at a time."""
    late = []
    async with machine.on():
        directory = await machine.directory(place.path)

        async def creates(data):
            try:
                _, handle = await machine.writing.create(
                    directory, F, exclusive=True, truncate=False
                )
            except ExistsError:
                late.append(data)
                return
            await handle.write(0, data)
            await handle.confirm()
            handle.close()

        machine.emulator.settings(route_latency_ms={"commands": 300})
        async with trio.open_nursery() as nursery:
            nursery.start_soon(creates, OURS)
            nursery.start_soon(creates, THEIRS)
        machine.emulator.settings(route_latency_ms={})
        assert len(late) == 1
        await machine.comes_to_rest()
        assert len(machine.writing.drafts.by_id) == 1
        assert place.has_all({F: THEIRS if late == [OURS] else OURS})


@fast
async def test_a_create_that_fails_leaves_nothing_that_waits(machine, place, monkeypatch):
    async def refuse(_directory):
        raise OfflineError("no network")

    async with machine.on():
        writing = machine.writing
        monkeypatch.setattr(writing, "raw", refuse)
        with pytest.raises(OfflineError):
            await machine.save(f"{place.path}/{F}", OURS)
        assert not writing.drafts.by_id
        assert not writing.settler.waiting()
        assert machine.writing.spool.used_bytes == 0


@fast
async def test_a_mknod_whose_bytes_are_not_safe_makes_nothing(machine, place, monkeypatch):
    async with machine.on():
        writing, directory = machine.writing, await machine.directory(place.path)
        await machine.names(place.path)

        async def refuse(*_args, **_more):
            raise NoRoomError("the disk is full")

        monkeypatch.setattr(LiveFile, "confirm", refuse)
        with pytest.raises(NoRoomError):
            await writing.make_empty(directory, F)
        assert await machine.names(place.path) == []
        assert not writing.settler.waiting()

"""The reference model: whatever readers do while the service changes and fails, what they see is
what was true not long ago, or an error. Without a mount, in virtual time.

A dict of folders and versions is the truth. The bytes of a version are a function of its storage
id and the offset, so a mix of versions shows in the first byte. Programs of reader operations,
changes and faults are hypothesis's; a found bug stays as an ``@example`` under a name.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from typing import Any

import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dmfs.blocks.cache import BlockCache
from dmfs.blocks.object_sizes import ObjectSizes
from dmfs.fuse.inode_table import InodeTable
from dmfs.model import (
    File,
    Folder,
)
from dmfs.namespace.listings import Freshness, Listings
from dmfs.namespace.xattrs import attributes_of
from dmfs.spans import MIB
from dmfs.system import backoff
from tests.hostile.kernel import Kernel, replies_of_ours
from tests.hostile.model_service import (
    BROKEN,
    DATA_TIMEOUT_S,
    MEMORY,
    PATIENCE_S,
    SIZES,
    TIMEOUT_S,
    TTL_S,
    Faults,
    Service,
)
from tests.hostile.model_world import Unthreaded, World
from tests.support.helpers import in_virtual_time

STEPS = int(os.environ.get("DMFS_MODEL_STEPS", "50"))
EXAMPLES = int(os.environ.get("DMFS_MODEL_EXAMPLES", settings().max_examples))
"""Those of the profile; a night runs more than of any other property."""


Step = tuple[str, int, int]
OPERATIONS = (
    "list", "walk", "open", "open", "read", "read", "read", "read at", "read at", "stream", "many",
    "close", "attributes", "sleep", "sleep long", "lookup absent", "map", "map", "opendir",
    "readdir", "readdir", "readdir", "closedir", "forget",
)  # fmt: skip
CHANGES = (
    "new version", "new version", "rename", "move", "hide", "restore", "revoke", "grant",
    "add file", "add folder", "gone", "hide folder", "expire", "wait out",
)  # fmt: skip
FAULTS = (
    "down", "damaged", "busy", "silent", "slow", "refused", "expired", "cut", "stall", "etag",
    "none",
)  # fmt: skip


async def _reader_step(world: World, name: str, a: int, b: int) -> None:  # noqa: C901, PLR0912
    service = world.service
    places, handles = sorted(service.places), world.handles
    place = places[a % len(places)]
    match name:
        case "list":
            await world.list(place)
        case "walk":
            await _walk(world, "top", 6)
        case "open":
            entries = await world.list(place) or {}
            files = [child for child in entries.values() if isinstance(child, File)]
            if files:
                await world.open(files[b % len(files)])
        case "read" | "read at" | "stream" if handles:
            handle = handles[a % len(handles)]
            if name == "stream":
                for offset in range(0, handle.size, MIB)[:24]:
                    await world.read(handle, offset, MIB)
                return
            offset = b * 4096 if name == "read" else b * 131_071 % (handle.size + 5000)
            await world.read(handle, offset, (1, 4096, 131_072, MIB)[b % 4])
        case "many" if handles:
            async with trio.open_nursery() as nursery:
                for number in range(8):
                    handle = handles[(a + number) % len(handles)]
                    at = (b + number * 7919) * 65_536 % (handle.size + 1)
                    nursery.start_soon(world.read, handle, at, 131_072)
        case "close" if handles:
            handles.pop(a % len(handles)).reader.close()
        case "attributes":
            entries = await world.list(place) or {}
            for child in entries.values():
                if isinstance(child, File):
                    assert attributes_of(child)["user.dmfs.storage_id"] == child.storage_id
        case "lookup absent":
            entries = await world.list(place) or {}
            assert "no such name" not in entries
        case "map" if handles:
            handle = handles[a % len(handles)]
            for number in range(6):
                await world.touch(handle, (b * 7919 + number**3 * 40_000) % (handle.size + 1))
        case "opendir":
            try:
                await world.kernel.opendir(a)
            except OSError as error:
                assert error.errno in BROKEN  # noqa: PT017 - an outcome like another
                world.count("errors")
        case "readdir":
            await world.kernel.readdir(a, b, a % 7)
        case "closedir":
            await world.kernel.closedir(a)
        case "forget":
            await world.kernel.forget()
        case "sleep":
            await trio.sleep(a % 20)
        case "sleep long":
            await trio.sleep(50 + a * 7 % 400)


async def _walk(world: World, place: str, depth: int) -> None:
    entries = await world.list(place)
    for child in (entries or {}).values():
        if isinstance(child, Folder) and depth:
            await _walk(world, child.id, depth - 1)


def _change_step(service: Service, name: str, a: int, b: int) -> None:  # noqa: C901
    items, places = sorted(service.items), sorted(service.places)
    item = service.items[items[a % len(items)]]
    place = service.places[places[b % len(places)]]
    before = item.parent
    match name:
        case "new version":
            item.version += 1
            item.size = SIZES[b % len(SIZES)]
            service.sizes[item.storage] = item.size
        case "rename":
            item.name = f"renamed {a} {b}.bin"
        case "move":
            item.parent = place.id
        case "hide" | "restore":
            item.hidden = name == "hide"
        case "revoke":
            service.refused.add(item.id)
        case "grant":
            service.refused.discard(item.id)
        case "gone":
            item.gone = True
        case "add file":
            service.add_file(place.id, SIZES[a % len(SIZES)])
        case "add folder":
            service.add_folder(place.id)
        case "hide folder" if place.id != "top":
            place.hidden = not place.hidden
            service.touch(place.parent)
        case "expire":
            service.signed_after = trio.current_time()
    for touched in (before, item.parent):
        service.touch(touched)
    service.record()


async def run_program(steps: list[Step], seed: int) -> dict[str, int]:
    """Run a program against a new world; what was seen, by kind."""
    trio._core._run._r.seed(seed)  # the order in which trio wakes tasks of one moment
    service = Service(random.Random(seed))
    async with trio.open_nursery() as nursery:
        source = Unthreaded(service, service, nursery, timeout_s=TIMEOUT_S * 0.95)
        backoff._random.seed(seed)
        sizes = ObjectSizes(source, None)
        listings = Listings(
            service.children, sizes.learn, nursery,
            freshness=Freshness(ttl=TTL_S, patience=PATIENCE_S), timeout_s=TIMEOUT_S * 0.95,
            service_folders=False,
        )  # fmt: skip
        blocks = BlockCache(
            source, None, nursery, memory_bytes=MEMORY, connections=8, connections_per_file=6,
            timeout_s=DATA_TIMEOUT_S * 0.95,
        )  # fmt: skip
        tree = InodeTable(service.folder("top"))
        world = World(service, listings, blocks, sizes, tree, nursery)
        # (how old a listing may be is checked where it is asked for directly)
        world.kernel = Kernel(
            listings, blocks, sizes, service.folder("top"),
            lambda listing: world.check(listing, 0.0, calm=False),
        )  # fmt: skip
        for name, a, b in steps:
            if name in FAULTS:
                service.faults = Faults(name, 0 if name == "none" else 1 + a % 9)
                world.quiet_since = trio.current_time()
            elif name == "wait out":
                service.faults = Faults()
                world.quiet_since = trio.current_time()
                await trio.sleep(200)
            elif name in CHANGES:
                _change_step(service, name, a, b)
            else:
                if service.faults.left:
                    world.quiet_since = trio.current_time()
                await _reader_step(world, name, a, b)
        await _settle(world)
        world.seen |= {"seeks": world.kernel.seeks, "faults": world.kernel.faults}
        nursery.cancel_scope.cancel()
    return world.seen


async def _settle(world: World) -> None:
    """When all is over: every handle reads right to the end, every gauge is back at zero."""
    service = world.service
    service.faults = Faults()
    await trio.sleep(400)
    for handle in world.handles.copy():
        item = service.items[handle.file.item_id]
        before = world.seen.get("errors", 0)
        await world.read(handle, max(0, handle.size - 70_000), 100_000)
        # (signed in other parts than before, and with nothing of it cached, it may be another one)
        odd = handle.file.storage_id in service.odd | service.chunked
        fine = item.id not in service.refused and not item.gone
        if odd and world.seen.get("errors", 0) > before:
            handle.reader.close()
            before = world.seen["errors"]
            if fine:  # the reader's own remedy: it was told that what it read is not to be mixed
                await world.open(handle.file)
                await world.read(world.handles[-1], max(0, handle.size - 70_000), 100_000)
                world.handles.pop().reader.close()
        else:
            handle.reader.close()
        assert not fine or world.seen.get("errors", 0) == before, "does not recover"
    await world.kernel.close()
    await trio.sleep(100)
    slots = world.blocks._connections
    assert (slots.in_use, len(slots._waiting), sum(slots._used.values())) == (0, 0, 0)
    buffers = sum(len(run.buffer or b"") for run in world.blocks.extents())
    assert world.blocks.memory_used == buffers <= MEMORY
    assert not world.blocks._memory.waiting()
    assert all(run.landed and not run.pins for run in world.blocks.extents())
    assert not world.listings._flights._flights
    assert all(opened.users == 0 for opened in world.blocks._objects)
    assert len(world.nursery.child_tasks) == 0, "tasks are left"


step = st.tuples(
    st.sampled_from(OPERATIONS * 3 + CHANGES + FAULTS), st.integers(0, 400), st.integers(0, 400)
)


@settings(
    max_examples=EXAMPLES, database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip
@given(steps=st.lists(step, min_size=5, max_size=STEPS), seed=st.integers(0, 1 << 30))
def test_readers_see_what_was_true_or_an_error(steps: list[Step], seed: int) -> None:
    run: Callable[[], Any] = lambda: run_program(steps, seed)  # noqa: E731
    with replies_of_ours():
        in_virtual_time(run)


def test_a_long_program() -> None:
    """One seeded program of thousands of steps: what short ones do not reach (evictions, many open
    files, listings that were stale and refreshed many times)."""
    dice = random.Random(2026)
    names = [*OPERATIONS * 3, *CHANGES, *FAULTS]
    steps = [
        (dice.choice(names), dice.randrange(400), dice.randrange(400))
        for _ in range(int(os.environ.get("DMFS_MODEL_LONG", "600")))
    ]
    with replies_of_ours():
        seen = in_virtual_time(lambda: run_program(steps, 7))
    least = {"reads": 100, "listings": 100, "pages": 50, "faults": 20, "seeks": 20}
    for what, number in least.items():
        assert seen[what] > number, (what, seen)
    assert seen["pages"] > seen["faults"], "no page was ever found in the kernel"

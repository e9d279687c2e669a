"""``open_writing``: the one place that joins the parts of writing."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import trio

from dmfs.aps.uploads import Uploads
from dmfs.blocks.reader import AnyReader
from dmfs.config import Settings
from dmfs.errors import DriveError
from dmfs.model import Directory, File, Listing
from dmfs.namespace.listings import Listings
from dmfs.system.clock import local_now
from dmfs.write.adopted import AdoptedVersions
from dmfs.write.calls.folder_calls import FolderCalls
from dmfs.write.calls.name_calls import NameCalls
from dmfs.write.calls.permissions import Permissions
from dmfs.write.drafts import Drafts
from dmfs.write.live import FoundIn
from dmfs.write.overlay import Overlay
from dmfs.write.parts.put import PartSender
from dmfs.write.records import Change, Place
from dmfs.write.settle.conflict_names import conflict_name, overtaken_name
from dmfs.write.settle.local_names import LocalNames
from dmfs.write.settle.state import Rules
from dmfs.write.settler import Settler
from dmfs.write.spool.spool import Spool
from dmfs.write.upload.ports import Hooks
from dmfs.write.upload.ports import Rules as UploadRules
from dmfs.write.upload.uploader import Uploader
from dmfs.write.upload_orders import UploadOrders
from dmfs.write.writing import Tools, Writing

log = logging.getLogger(__name__)

EMPTY_DELAYS = 6
"""So many upload delays a file stays empty, or like a temporary one, before that is believed."""
FREE_PERCENT = 5
"""Of the spool's disk stay free."""
TEND_S = 300.0
CLOSE_S = 10.0


@dataclass(frozen=True, slots=True)
class Writes:
    """That a drive is opened to write, and how."""

    label: str
    """For whoever is refused: the mountpoint."""
    sync: bool = False
    moves: bool = False


@dataclass(frozen=True, slots=True)
class Around:
    """What writing uses of the drive around it."""

    listings: Listings
    open_reader: Callable[[File, FoundIn | None], Awaitable[AnyReader]]
    real_size: Callable[[File], Awaitable[int]]
    uploads: Uploads
    sender: PartSender
    on_event: Callable[[str, Mapping[str, Any]], None]
    somebody_reads: Callable[[], bool]
    user_id: str
    person: str
    """Whose name a conflict copy has."""
    owner: str
    """Of drafts: the sign-in."""


@asynccontextmanager
async def open_writing(
    settings: Settings, writes: Writes, around: Around
) -> AsyncIterator[Writing]:
    """Own the spool, recover what it holds, and see to it for as long as the body runs.
    SetupError if the spool cannot be had: another mount has it, or its disk is not fit."""
    directory = settings.state_dir / "spool" / settings.profile
    spool = await trio.to_thread.run_sync(
        partial(
            Spool.open, directory, limit_bytes=settings.spool_size, free_percent=FREE_PERCENT,
            label=writes.label, any_disk=settings.any_spool_disk,
        )
    )  # fmt: skip
    try:
        async with trio.open_nursery() as own:
            writing = await _join(settings, writes, around, spool, own)
            yield writing
            own.cancel_scope.cancel()
    finally:
        with trio.move_on_after(CLOSE_S, shield=True):
            await spool.close()


async def _join(
    settings: Settings, writes: Writes, around: Around, spool: Spool, nursery: trio.Nursery
) -> Writing:
    listings = around.listings
    adopted = AdoptedVersions(spool)
    overlay = Overlay(adopted)
    overlay.listed = partial(_listed, listings)
    drafts = Drafts(spool, overlay, adopted, around, nursery, owner=around.owner)
    rules = Rules(
        upload_delay_s=settings.upload_delay,
        empty_delay_s=EMPTY_DELAYS * settings.upload_delay,
        unclear_delay_s=EMPTY_DELAYS * settings.upload_delay,
        version_interval_s=settings.version_interval,
        local_names=LocalNames(
            tuple(filter(None, map(str.strip, settings.local_names.split(","))))
        ),
    )
    orders = UploadOrders(overlay, drafts, listings, nursery, around.on_event)
    orders.uploader = _uploader(settings, around, spool, orders, overlay, nursery)
    name_calls = NameCalls(around.uploads, listings.list_again, partial(_beside, around.person))
    settler = Settler(
        overlay, drafts, orders, spool, name_calls, listings, nursery, rules, around.on_event
    )
    drop = adopted.load(spool.rows.get("adopted", {}))
    drop += drafts.load(spool.rows.get("draft", {}))
    overlay.load(spool.rows.get("name", {}))
    await _drop(spool, drop)
    drafts.name_the_lost()
    listings.show_as(overlay.shown)
    orders.load(spool.rows.get("upload", {}))
    settler.start()
    nursery.start_soon(settler.run)
    nursery.start_soon(_tend, spool)
    return Writing(
        Tools(listings), spool, overlay, drafts, settler,
        Permissions(around.uploads, nursery), FolderCalls(around.uploads, listings.list_again),
        name_calls, user_id=around.user_id, moves=writes.moves, sync=writes.sync,
    )  # fmt: skip


def _beside(person: str, name: str, taken: Collection[str]) -> str:
    return conflict_name(name, person, local_now(), taken)


def _listed(listings: Listings, directory: Directory) -> Listing | None:
    cached = listings.cache.get(directory.identity)
    return None if cached is None else cached.listing


def _uploader(
    settings: Settings, around: Around, spool: Spool, orders: UploadOrders, overlay: Overlay,
    nursery: trio.Nursery,
) -> Uploader:  # fmt: skip
    async def list_again(place: Place) -> Listing:
        directory: Directory = overlay.of(place).directory
        await around.listings.list_again(directory)
        found = await around.listings.recall(directory)
        assert found is not None
        return found

    limit = 0 if settings.rates == "off" else 50
    return Uploader(
        spool, around.uploads, around.sender, list_again, nursery,
        rules=replace(
            UploadRules(staging=spool.directory),
            uploads_at_once=settings.uploads,
            new_items_a_minute=limit,
        ),
        hooks=Hooks(
            on_state=orders.on_state,
            on_posted=orders.on_posted,
            on_event=around.on_event,
            conflict_name=partial(_beside, around.person),
            overtaken_name=overtaken_name,
            my_user_id=lambda: around.user_id,
            version_of=around.uploads.version_of,
            somebody_reads=around.somebody_reads,
        ),
    )  # fmt: skip


async def _drop(spool: Spool, changes: list[Change]) -> None:
    """Rows without use, and the bytes that go with them."""
    rows = []
    for change in changes:
        if change.kind == "draft":
            await spool.remove(change.key, [change])  # type: ignore[arg-type]
        else:
            rows.append(change)
    if rows:
        await spool.commit(rows)


async def _tend(spool: Spool) -> None:
    while True:
        await trio.sleep(TEND_S)
        try:
            await spool.tend()
        except DriveError as error:
            log.warning("%s", error.message)

"""``open_writing``: the one place that joins the parts of writing."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import trio

from dmfs.aps.history.deleted import DeletedItems
from dmfs.aps.uploads import Uploads
from dmfs.auth.factory import needs_person, sign_in_may_write, user_id_of
from dmfs.auth.token_sources import TokenSource
from dmfs.auth.tokens import READ_SCOPE, WRITE_SCOPES, login_hint
from dmfs.blocks.reader import AnyReader
from dmfs.config import Settings
from dmfs.errors import DriveError, SetupError
from dmfs.http.json_client import JsonClient
from dmfs.model import Directory, File, Listing
from dmfs.namespace.listings import Listings
from dmfs.system.clock import local_now
from dmfs.system.concurrency import in_thread
from dmfs.write.calls.folder_calls import FolderCalls
from dmfs.write.calls.name_calls import NameCalls
from dmfs.write.calls.permissions import Permissions
from dmfs.write.care.leftovers import first_free
from dmfs.write.care.tally import Tally
from dmfs.write.drafts import Drafts
from dmfs.write.landing import Landing
from dmfs.write.live import FoundIn
from dmfs.write.overlay.adopted import AdoptedVersions
from dmfs.write.overlay.overlay import Overlay
from dmfs.write.parts.put import PartSender
from dmfs.write.parts.thread_sender import ThreadSender
from dmfs.write.records import Change, Place
from dmfs.write.rights import Rights
from dmfs.write.settle.conflict_names import conflict_name, overtaken_name
from dmfs.write.settle.local_names import LocalNames
from dmfs.write.settle.nouns import Rules
from dmfs.write.settler import Settler
from dmfs.write.spool.owner import is_leaving, place_of_processes, spool_of_mount
from dmfs.write.spool.spool import Spool
from dmfs.write.upload.ports import Hooks
from dmfs.write.upload.ports import Rules as UploadRules
from dmfs.write.upload.uploader import Uploader
from dmfs.write.upload_orders import UploadOrders
from dmfs.write.writing import Tools, Writing

log = logging.getLogger(__name__)

EMPTY_DELAYS = 6
"""So many upload delays a file stays empty, or like a temporary one, before that is believed."""
PARTS_OF_ALL = 16
FREE_PERCENT = 5
"""Of the spool's disk stay free."""
TEND_S = 60.0
FINISH_S = 10.0
"""At the end so long for answers that would else have to be looked for."""
CLOSE_S = 10.0
LEAVING_S = 15.0
"""A drive that ends gives its spool back after ``FINISH_S``, and what its disk takes."""
LEAVING_LOOK_S = 0.05


@dataclass(frozen=True, slots=True)
class Writes:
    """That a drive is opened to write, and how."""

    label: str
    """For whoever is refused: the mountpoint."""
    sync: bool = False
    moves: bool = False
    several: bool = False
    """Whether other processes of this profile may write at the same time, each with a spool of its
    own, as on another machine."""
    spool: Path | None = None
    """Instead of that of the profile's mount: one that a process has left."""


@dataclass(frozen=True, slots=True)
class Around:
    """What writing uses of the drive around it."""

    listings: Listings
    open_reader: Callable[[File, FoundIn | None], Awaitable[AnyReader]]
    real_size: Callable[[File], Awaitable[int]]
    client: JsonClient
    tokens: TokenSource
    ca_bundle: str
    on_event: Callable[[str, Mapping[str, Any]], None]
    somebody_reads: Callable[[], bool]
    add_gauges: Callable[[Callable[[], Mapping[str, int]]], None]
    path_of: Callable[[Directory], str]
    """In the whole drive; '' where that is not known."""
    person: Callable[[], str]
    """Whose name a conflict copy has."""
    owner: str
    """Of drafts: the sign-in."""


@asynccontextmanager
async def open_writing(
    settings: Settings, writes: Writes, around: Around
) -> AsyncIterator[Writing]:
    """Own the spool, recover what it holds, and see to it for as long as the body runs.
    SetupError if the sign-in may only read, or the spool cannot be had: another mount has it, or
    its disk is not fit."""
    if not await sign_in_may_write(settings):
        if await needs_person(settings):
            hint = login_hint(settings.profile, to_write=True)
        else:  # an app by itself signs in nowhere: it asks for what the configuration says
            scopes = " ".join((READ_SCOPE, *WRITE_SCOPES))
            hint = f'set scopes = "{scopes}" in the configuration'
        raise SetupError("this sign-in may only read", hint=hint)
    tally = Tally(around.on_event)
    around.add_gauges(tally.gauges)
    around = replace(around, on_event=tally)
    open_spool = partial(
        Spool.open, limit_bytes=settings.spool_size, free_percent=FREE_PERCENT,
        label=writes.label, any_disk=settings.any_spool_disk,
    )  # fmt: skip
    if writes.several:
        place = place_of_processes(settings.state_dir, settings.profile)
        spool = await trio.to_thread.run_sync(first_free, place, open_spool, around.owner)
    else:
        directory = writes.spool or spool_of_mount(settings.state_dir, settings.profile)
        if writes.spool is None:  # a process keeps what it took over
            await _until_left(directory)
        spool = await trio.to_thread.run_sync(open_spool, directory)
    # small files have no place among the parts, and need a connection all the same
    connections = PARTS_OF_ALL + settings.uploads
    sender = ThreadSender(ca_bundle=around.ca_bundle, connections=connections)
    try:
        sender.start()
        async with trio.open_nursery() as nursery:
            writing = await _join(settings, writes, around, spool, sender, nursery)
            try:
                yield writing
            finally:
                with trio.CancelScope(shield=True):
                    await writing.settler.orders.uploader.finish(FINISH_S)
                nursery.cancel_scope.cancel()
    finally:
        with trio.move_on_after(CLOSE_S, shield=True):
            await in_thread(sender.close)
        with trio.move_on_after(CLOSE_S, shield=True):
            await spool.close()


async def _until_left(directory: Path) -> None:
    """A drive that was just taken away has its spool still, while it ends: wait for it. Who has it
    for longer is named in the refusal that follows."""
    for look in range(int(LEAVING_S / LEAVING_LOOK_S)):
        if not await in_thread(partial(is_leaving, directory / "lock")):
            break
        if not look:
            log.info("another process is about to give the spool back: waiting for it")
        await trio.sleep(LEAVING_LOOK_S)


async def _join(
    settings: Settings, writes: Writes, around: Around, spool: Spool, sender: PartSender,
    nursery: trio.Nursery,
) -> Writing:  # fmt: skip
    listings, client = around.listings, around.client
    uploads = Uploads(client, around.tokens, x_user_id=settings.x_user_id)
    deleted = DeletedItems(client, around.tokens, x_user_id=settings.x_user_id)
    user_id = await user_id_of(settings)
    adopted = AdoptedVersions(spool)
    overlay = Overlay(adopted, around.owner)
    overlay.path_of = around.path_of
    spool.on_refused = overlay.refused
    overlay.listed = partial(_listed, listings)
    around.add_gauges(overlay.gauges)
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
    landing = Landing(spool, overlay, drafts)
    orders = UploadOrders(overlay, drafts, landing, listings, nursery, around.on_event)
    service = _Service(uploads, sender, user_id)
    orders.uploader = _uploader(settings, around, service, spool, orders, overlay, nursery)
    name_calls = NameCalls(uploads, listings.list_again, partial(_beside, around.person))
    settler = Settler(
        overlay, drafts, orders, spool, name_calls, listings, nursery, rules, around.on_event
    )
    drop = adopted.load(spool.rows.get("adopted", {}))
    drop += drafts.load(spool.rows.get("draft", {}), spool.rows.get("upload", {}))
    overlay.load(spool.rows.get("name", {}), spool.rows.get("made", {}))
    earlier = spool.rows.get("upload", {})
    known = {*drafts.by_id, *drafts.others}
    drop += [Change("upload", key, None) for key in earlier if key not in known]
    await _drop(spool, drop)
    drafts.mend_names()
    listings.show_as(overlay.shown)
    orders.load(earlier)
    settler.start()
    nursery.start_soon(settler.run)
    nursery.start_soon(_tend, spool)
    writing = Writing(
        Tools(listings, uploads, deleted, around.person), spool, overlay, drafts, settler,
        Rights(listings, drafts, settler, Permissions(uploads, nursery), user_id=user_id),
        FolderCalls(uploads, listings.list_again),
        name_calls, moves=writes.moves, sync=writes.sync,
    )  # fmt: skip
    client.breaker.subscribe(on_close=writing.nudge)
    nursery.start_soon(writing.folders.make_later)
    return writing


class _Service(NamedTuple):
    """The service, as uploads use it."""

    uploads: Uploads
    sender: PartSender
    user_id: str


def _beside(person: Callable[[], str], name: str, taken: Collection[str]) -> str:
    return conflict_name(name, person(), local_now(), taken)


def _listed(listings: Listings, directory: Directory) -> Listing | None:
    cached = listings.cache.get(directory.identity)
    return None if cached is None else cached.listing


def _uploader(
    settings: Settings, around: Around, service: _Service, spool: Spool, orders: UploadOrders,
    overlay: Overlay, nursery: trio.Nursery,
) -> Uploader:  # fmt: skip
    async def list_again(place: Place) -> Listing:
        directory: Directory = overlay.of(place).directory
        await around.listings.list_again(directory)
        found = await around.listings.recall(directory)
        assert found is not None
        return found

    limit = 0 if settings.rates == "off" else 50
    return Uploader(
        spool, service.uploads, service.sender, list_again, nursery,
        rules=replace(
            UploadRules(staging=spool.directory),
            uploads_at_once=settings.uploads,
            parts_of_all=PARTS_OF_ALL,
            new_items_a_minute=limit,
        ),
        hooks=Hooks(
            on_state=orders.on_state,
            on_posted=orders.on_posted,
            on_event=around.on_event,
            conflict_name=partial(_beside, around.person),
            overtaken_name=overtaken_name,
            my_user_id=lambda: service.user_id,
            version_of=service.uploads.version_of,
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

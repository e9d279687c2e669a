"""The task that sees to it that what is pinned is whole, newest, and on disk.

One keeper works for all mounts and processes of a person: the others look every few seconds whether
its lock is free. A pass lists what is unknown below the pins, plans, holds what is wanted, fetches
what is missing, and lets go of what is not wanted any more. A pass over a complete and unchanged
pin costs no call: the poller's call for the project shows by its rollups whether anything changed.

The order of each change is: held in the index, then recorded, then fetched, then recorded as whole
(the old version as leaving), then let go. A kill anywhere leaves something held too much at most,
and that is let go by the next pass.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar

import trio

from dmfs.blocks.whole.fetch import fetch_whole, wrong_bytes_words
from dmfs.blocks.whole.window import Window
from dmfs.errors import DriveError
from dmfs.model import File, StorageId
from dmfs.pins.holdings import Holdings
from dmfs.pins.keeper_lock import Courtesy, KeeperLock
from dmfs.pins.pin_plan import Plan, Survey, arrived, make_plan, progress_of_all, survey
from dmfs.pins.pinned_listings import PinnedListings
from dmfs.pins.pins import Pins
from dmfs.pins.records import Contents, Key, PinnedFile, Progress, with_error
from dmfs.pins.retries import RETRY_FIRST_S, RETRY_MAX_S, Retries, is_everybodys, what
from dmfs.pins.whereabouts import Whereabouts
from dmfs.ratelimit.limits import Priority
from dmfs.ratelimit.priority import RequestPriority, at_priority
from dmfs.system.backoff import Cooldown
from dmfs.system.concurrency import bare_errors, computed, in_thread

log = logging.getLogger(__name__)

LOOK_S = 1.0
"""How often is looked for intentions of another process, and for a lock that became free."""
FILES_AT_ONCE = 12
"""Each waits for its signing first; what is under way in bytes is the window's."""
REPORT_S = 0.5
"""Between two reports of progress to other processes."""
OFFLINE = "the service cannot be reached"
HELD_S = 30.0
"""How often is looked whether the index still holds what it should: the cache may be deleted."""
MANY_FILES = 5000
"""A plan of so many takes some 20 ms."""
T = TypeVar("T")
PASS_S = 300.0
"""A pass at least so often, whether anything is known to have changed or not."""


class Keeper:
    """``start`` it; it ends with its nursery."""

    def __init__(self, pins: Pins, lock: KeeperLock, nursery: trio.Nursery) -> None:
        self._pins = pins
        self._nursery = nursery
        self._runs = False
        self._tools = pins.tools
        self._lock = lock
        self._window = Window()
        self._files: dict[Key, PinnedFile] = {}
        self._retries = Retries()
        tools = pins.tools
        self._listings = PinnedListings(
            tools.listings, tools.listing_store, tools.is_offline, self._retries
        )
        self._where = Whereabouts(pins, self._retries)
        self._holdings = Holdings(pins.store.path.parent, pins.scope, tools.blocks.disk)
        self._reported: dict[int, Progress] = {}
        self._report_pause, self._held_pause = Cooldown(REPORT_S), Cooldown(HELD_S)
        self._at_rest_checked = self._taken_over = self._was_offline = False
        self._pass_pause = Cooldown(PASS_S)
        self._courtesy = Courtesy(tools.is_offline, tools.is_forced)
        self._warned = ""
        self._unshown = False
        self._owed = False
        """Whether a pass is wanted that did not come to its end yet."""
        self._trouble = ""
        """What keeps all files from being fetched: signed out, no answer."""
        self.works = False
        """Whether this is the keeper of all."""

    def start(self) -> None:
        """From now on, if not before already."""
        if not self._runs:
            self._runs = True
            self._nursery.start_soon(self._run)

    async def _run(self) -> None:
        try:
            while True:
                try:
                    await self._step()
                except (DriveError, OSError) as error:
                    if str(error) != self._warned:
                        self._warned = str(error)
                        log.warning("pins: %s", error)
                    await trio.sleep(RETRY_FIRST_S)
                except Exception:  # a bug of ours must not end the drive
                    log.exception("the keeper of pins failed")
                    await trio.sleep(RETRY_MAX_S)
                await trio.sleep(LOOK_S)
        finally:
            self._lock.release()

    async def _step(self) -> None:
        self._owed = await self._is_written() or self._owed
        if self._unshown:  # a pass ended in an error
            self._owed = True
            await self._pins.reload()
            self._unshown = False
        contents = self._pins.contents
        idle = not (contents.pins or contents.unread or contents.files or contents.leaving)
        if idle and not await self._holdings.any():
            await self._release()
            return
        if self._courtesy.makes_way(self.works, lambda: self._owed or self._is_due()):
            await self._release()
            return
        self.works = self.works and await in_thread(self._lock.is_good)
        if not self.works:
            self.works = await in_thread(self._lock.acquire)
            if not self.works:
                return
            self._at_rest_checked = self._taken_over = False
            self._owed = True
        if not self._taken_over:
            await self._holdings.load()
            await self._pins.reload()  # what the one before wrote last
            self._taken_over = True
        self._files = dict(self._pins.contents.files)
        if self._pass_pause.is_over:  # blocks may have been lost since, one by one
            self._at_rest_checked = False
        if not (await self._check_at_rest() or self._owed or self._is_due()):
            return
        self._owed = True
        while await self._pass():
            pass
        self._owed = False
        self._pass_pause.start()

    async def _release(self) -> None:
        if self.works:
            self.works = False
            await in_thread(self._lock.release)

    def _is_due(self) -> bool:
        """Whether there may be something to do for a pass. Cheap: it is asked each second."""
        return (
            self._pass_pause.is_over
            or (self._retries.due() and not self._tools.is_offline())
            or self._was_offline != self._tools.is_offline()
            or self._listings.is_changed()
            or self._listings.is_due()
            or self._where.due()
            or self._tools.orders.is_due()
        )

    # A pass

    async def _pass(self) -> bool:
        """Whether there is more to do at once."""
        contents = self._pins.contents
        self._files = dict(contents.files)
        self._was_offline = self._tools.is_offline()
        for pin in contents.pins:
            self._tools.poller.watch(pin.top)
        await self._check_at_rest()
        listings = self._listings
        await listings.recall(contents.pins)
        await listings.refresh_changed(contents.pins)
        await self._where.follow_folders(contents.pins)
        found = await listings.list_unknown(survey(contents.pins, listings.look), contents.pins)
        if not self._tools.is_offline():
            self._tools.orders.see(found.designs)
        room_bytes = await self._room_bytes(contents.others)
        waiting = listings.waiting(found)
        spared = self._where.spared(contents.pins, found, self._files, waiting=bool(waiting))
        if contents.unread:  # they may want any of the files
            spared = set(self._files)
        plan = await _planned(found, partial(
            make_plan, found, dict(self._files), self._size_of, room_bytes, contents.others, spared
        ))  # fmt: skip
        await self._apply(plan, contents)
        await listings.keep(contents.pins, found)
        await self._report(found, plan, room_bytes)
        listings.remember(contents.pins, found)
        fetched = {what(file) for file in plan.fetch}
        self._retries.keep(waiting | fetched | {("gone", each) for each in found.gone})
        again = await self._fetch(plan, found, room_bytes)
        await self._report(found, plan, room_bytes, at_once=True)
        gone = [pin for pin in contents.pins if pin.id in found.gone]
        return await self._where.follow(gone) or again

    def _size_of(self, file: File) -> int:
        return self._tools.sizes.of(file)

    async def _check_at_rest(self) -> bool:
        """Once in a while, and when the index was made anew: what counts as whole must be there.
        Whether something is not."""
        disk, files = self._tools.blocks.disk, self._files
        if self._at_rest_checked and not self._held_pause.is_over:
            return False
        held = await self._holdings.look()
        self._held_pause.start()
        mine = {each for file in files.values() for each in file.storage_ids}
        if self._at_rest_checked and mine <= held:
            return False
        wholes = {f.whole.storage_id for f in files.values() if f.whole and self._size_of(f.whole)}
        at_rest = await disk.at_rest([*wholes])
        lost = {each for each in wholes if each not in at_rest or not at_rest[each].whole}
        put = [
            replace(file, whole=None, coming=file.coming or file.whole)
            for file in files.values()
            if file.whole is not None and file.whole.storage_id in lost
        ]
        if put:
            log.info(
                "%d pinned files are not in the cache any more; they are fetched anew", len(put)
            )
            await self._change(put)
            self._show()
        self._at_rest_checked = True
        return bool(put) or not mine <= held

    async def _room_bytes(self, others: Collection[StorageId]) -> int:
        """For the files of this sign-in."""
        disk = self._tools.blocks.disk
        room = await disk.room()
        sizes = (await disk.at_rest([*others])).values() if others else ()
        return min(room.most_bytes, room.disk_bytes) - sum(each.size_bytes for each in sizes)

    async def _apply(self, plan: Plan, contents: Contents) -> None:
        """Hold what is wanted, record it, let go of what is not."""
        holdings, leaving = self._holdings, contents.leaving
        still = {each for file in plan.files.values() for each in file.storage_ids}
        await holdings.hold(still)
        if plan.put or plan.drop or plan.leaving:
            await self._change(plan.put, plan.drop, plan.leaving)
            self._show()
        go = leaving | plan.leaving
        if not contents.unread:
            go |= holdings.strays()
        go -= still | contents.others
        if go or leaving:
            await self._let_go(go)
            await self._pins.do(partial(self._pins.store.left, set(leaving)))
            await self._pins.reload()
        if not contents.unread:
            await holdings.settle(still)

    async def _let_go(self, storage_ids: Collection[StorageId]) -> None:
        await self._holdings.let_go(storage_ids)
        await self._pins.do(partial(self._pins.store.left, storage_ids))

    async def _change(
        self,
        put: Collection[PinnedFile],
        drop: Collection[Key] = (),
        leaving: Collection[StorageId] = (),
    ) -> None:
        pins = self._pins
        await pins.do(partial(pins.store.change, pins.scope, put, drop, leaving))
        for file in put:
            self._files[file.key] = file
        for key in drop:
            self._files.pop(key, None)
        self._unshown = True

    def _show(self) -> None:
        """The drive's doors see what was changed. Not with each file: that looks at all of them."""
        pins = self._pins
        pins.use(replace(pins.contents, files=dict(self._files)))
        self._unshown = False

    # Bytes

    async def _fetch(self, plan: Plan, found: Survey, room_bytes: int) -> bool:
        """Fetch until nothing more can be, or something changed; whether to go on at once."""
        for file in plan.fetch:
            if file.coming is not None and file.error == wrong_bytes_words(file.coming):
                self._retries.was_wrong(what(file))
        ready = [file for file in plan.fetch if self._retries.may_try(what(file))]
        if not ready or self._tools.is_offline():
            return False
        with bare_errors():
            return await self._fetch_files(ready, plan, found, room_bytes)

    async def _fetch_files(
        self, files: Sequence[PinnedFile], plan: Plan, found: Survey, room_bytes: int
    ) -> bool:
        interrupted = False
        queue = iter(files)
        async with trio.open_nursery() as nursery:
            ended = trio.Event()
            left = min(FILES_AT_ONCE, len(files))

            async def work() -> None:
                nonlocal left
                for file in queue:
                    await self._fetch_file(file)
                    await self._report(found, plan, room_bytes)
                left -= 1
                if not left:
                    ended.set()

            for _ in range(left):
                nursery.start_soon(work)
            while not ended.is_set():
                with trio.move_on_after(LOOK_S):
                    await ended.wait()
                await self._report(found, plan, room_bytes)
                if not ended.is_set() and await self._is_changed():
                    interrupted = True
                    break
            nursery.cancel_scope.cancel()
        return interrupted

    async def _is_changed(self) -> bool:
        """Whether this pass's plan is out of date."""
        return await self._is_written() or self._listings.is_changed()

    async def _is_written(self) -> bool:
        """Whether there are other intentions, of this process or another."""
        changed = await self._pins.refresh() or self._pins.touched
        self._pins.touched = False
        if changed:
            self._files = dict(self._pins.contents.files)
        return changed

    async def _fetch_file(self, file: PinnedFile) -> None:
        version = file.coming
        if version is None or self._tools.is_offline():
            return
        try:
            with at_priority(RequestPriority(Priority.AHEAD)):
                await fetch_whole(
                    self._tools.blocks, self._tools.sizes, version, self._window, prove=True
                )
        except DriveError as error:
            self._retries.failed(what(file), error)
            log.info("pinned %r: %s", version.name, error.message)
            changed = with_error(self._files.get(file.key, file), error.message)
            if is_everybodys(error):
                self._trouble = error.message
            elif changed.coming == version:
                await self._change([changed])
            return
        self._trouble = ""
        self._retries.worked(what(file))
        now = self._files.get(file.key)
        if now is None or now.coming != version:
            return  # not wanted any more
        swapped, leaving = arrived(now, version)
        leaving -= {each for f in self._files.values() if f is not now for each in f.storage_ids}
        leaving -= set(self._pins.contents.others)
        await self._change([swapped], leaving=leaving)
        if leaving:
            await self._let_go(leaving)

    # Words

    async def _report(
        self, found: Survey, plan: Plan, room_bytes: int, *, at_once: bool = False
    ) -> None:
        """Tell who looks from another process how far it is."""
        if not at_once and not self._report_pause.is_over:
            return
        self._report_pause.start()
        pins, plan = self._pins, replace(plan, files=dict(self._files))
        self._show()
        progress = await _planned(found, partial(
            progress_of_all, pins.contents.pins, found, plan, self._size_of, room_bytes,
            trouble=OFFLINE if self._tools.is_offline() else self._trouble,
            errors=dict(self._listings.errors),
            designs={pin.id: self._tools.orders.of(pin.id) for pin in pins.contents.pins},
        ))  # fmt: skip
        changed = {each: p for each, p in progress.items() if self._reported.get(each) != p}
        if changed:
            await pins.do(partial(pins.store.report, pins.scope, changed))
            self._reported = progress
            now = [
                replace(pin, progress=progress.get(pin.id, pin.progress))
                for pin in pins.contents.pins
            ]
            pins.use(replace(pins.contents, pins=now))


async def _planned(found: Survey, work: Callable[[], T]) -> T:
    """Done in a thread where there are so many files that all else would wait."""
    return await computed(work) if len(found.wanted) > MANY_FILES else work()

"""The spool: what is written and not on the service yet, safe on this machine.

    <state>/spool/<profile>/  journal.db  lock  <draft>/data  <draft>/card.json  discarded/

After ``Content.confirm`` returned, its bytes survive kill -9 and power loss. The loop never waits
for the disk: every call to it runs in a thread, and is given up when the disk hangs.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import trio

from dmfs.errors import DriveError, SetupError
from dmfs.system.clock import iso_seconds, wall_time_s
from dmfs.system.disk_threads import DiskThreads
from dmfs.write.records import Change, DraftId, Row
from dmfs.write.spool.card import write_card
from dmfs.write.spool.content import Content
from dmfs.write.spool.data_file import DataFile, Services, close_all
from dmfs.write.spool.disk import (
    PATIENCE_S,
    Disk,
    OpenFiles,
    failures,
    fit_directory,
    remove_files,
    sync_directory,
)
from dmfs.write.spool.journal import DISCARD, REMOVE, Contents, DamagedError, Journal, Pieces
from dmfs.write.spool.owner import Owner
from dmfs.write.spool.recovery import (
    DISCARDED,
    Recovered,
    all_names,
    move_to_discarded,
    prune_discarded,
    recover,
)
from dmfs.write.spool.room import Room, RoomCount
from dmfs.write.spool.snapshot import KIND

log = logging.getLogger(__name__)

_NAME = re.compile(r"[0-9A-Za-z_-]{1,64}")
GONE = "the draft was removed"


class Spool:
    """Of one profile, owned by this process. ``open`` makes one."""

    def __init__(
        self, directory: Path, disk: Disk, room: RoomCount, owner: Owner, journal: Journal,
        patience_s: float,
    ) -> None:  # fmt: skip
        self.directory = directory
        self._disk, self._room, self._owner, self._journal = disk, room, owner, journal
        self._commits = DiskThreads(1, patience_s)
        self._services = Services(directory, disk, room, OpenFiles(), self._commit_bytes)
        self._contents: dict[DraftId, Content] = {}
        self.rows: Mapping[str, Mapping[str, Row]] = {}
        """Kind → key → row, as found at the start."""
        self.on_refused: Callable[[Sequence[Change]], None] = lambda _: None
        """The journal did not take these."""
        self.damaged = ""
        """What was found damaged at the start, in words for a person; '' if nothing was."""

    @classmethod
    def open(
        cls, directory: Path, *, limit_bytes: int, free_percent: float, label: str,
        any_disk: bool = False, patience_s: float = PATIENCE_S,
    ) -> Spool:  # fmt: skip
        """Own the spool and recover what was confirmed; blocks. SetupError says why not.
        ``label``: the mountpoint, for whoever is refused. ``any_disk``: also one in memory or of
        another machine. ``patience_s``: after which the disk hangs."""
        fit_directory(directory, any_disk=any_disk)
        owner = Owner(directory / "lock", label)
        owner.take()
        journal = Journal(directory)
        try:
            disk = Disk(directory, patience_s)
            room = RoomCount(disk, limit_bytes, free_percent)
            room.look(directory)
            spool = cls(directory, disk, room, owner, journal, patience_s)
            spool._start()
        except BaseException as error:
            journal.close()
            owner.release()
            if isinstance(error, OSError):
                raise SetupError(f"cannot use the spool {directory}: {error}") from error
            if isinstance(error, DriveError) and not isinstance(error, SetupError):
                raise SetupError(error.message, hint=error.hint) from error
            raise
        return spool

    def _start(self) -> None:
        words = []
        try:
            found = self._journal.open()
        except DamagedError as error:
            stamp = iso_seconds(wall_time_s()).replace(":", "")
            aside = self._journal.set_aside(stamp)
            words.append(
                f"the journal was damaged ({error}) and is now {aside.name}, a new one is begun"
            )
            self._journal.open()
            # none of these directories may go, whatever the new journal says of them
            stays = all_names(self.directory)
            self._journal.commit([], (), stays, durable=True)
            found = Contents({}, {}, {each: str(how) for each, how in stays.items()})
        recovered = recover(found, self._services)
        self._contents, self.rows = recovered.contents, found.rows
        if recovered.left:
            sync_directory(self.directory)
            self._journal.commit([], (), dict.fromkeys(recovered.left), durable=False)
        prune_discarded(self.directory)
        self.damaged = "; ".join(words + _damage_in_words(recovered, self.directory))
        if self.damaged:
            log.warning("%s", self.damaged)

    # Drafts

    def create(self, draft_id: DraftId) -> Content:
        """An empty one; the disk sees nothing of it before its first bytes."""
        if not _NAME.fullmatch(draft_id) or draft_id == DISCARDED or draft_id in self._contents:
            raise ValueError(f"no name for a new draft: {draft_id!r}")
        content = self._contents[draft_id] = Content(draft_id, self._services)
        return content

    def content(self, draft_id: DraftId) -> Content | None:
        """The bytes of a draft that was recovered or created; None if there is none."""
        return self._contents.get(draft_id)

    async def commit(self, changes: Sequence[Change], *, durable: bool = False) -> None:
        """One transaction, in the order of the calls. ``durable``: it survives a power loss when
        this returns, with all before it; else the end of the process. SpoolError, NoRoomError.
        Runs to its end whatever is cancelled."""
        if any(each.kind == KIND for each in changes):
            raise ValueError("rows of contents are the spool's own")
        await self._commit(changes, durable=durable)
        for change in changes:
            if change.kind == "draft" and (content := self._contents.get(DraftId(change.key))):
                content.note([change])

    async def remove(self, draft_id: DraftId, changes: Sequence[Change] = ()) -> None:
        """Forget a draft, with ``changes``; its bytes go once that is durable."""
        directory = self.directory / draft_id
        await self._let_go(draft_id, changes, REMOVE, lambda: remove_files(directory))

    async def discard(self, draft_id: DraftId, changes: Sequence[Change] = ()) -> None:
        """Forget a draft, with ``changes``; its bytes can be had back by hand for 7 days."""
        content = self._contents.get(draft_id)
        if content is not None and content.generation:
            card, place = content.discarded_card(), self.directory / draft_id
            await self._disk.run(lambda: _last_card(place, card), "discard a draft")
        await self._let_go(
            draft_id, changes, DISCARD, lambda: move_to_discarded(self.directory, draft_id)
        )

    async def _let_go(
        self, draft_id: DraftId, changes: Sequence[Change], how: str, work: Callable[[], None]
    ) -> None:
        content = self._contents.get(draft_id)
        if content is not None and not content.generation:  # nothing that anybody could miss
            how, work = REMOVE, partial(remove_files, self.directory / draft_id)
        with trio.CancelScope(shield=True):
            if content is None:
                await self._forget(draft_id, changes, how)
            else:
                async with content.ending(GONE):
                    await self._forget(draft_id, changes, how)
                del self._contents[draft_id]
            try:
                await self._disk.run(work, "remove a draft")
                # before the row goes that would have it done at the next start
                await self._disk.run(lambda: sync_directory(self.directory), "remove a draft")
                await self._commit([], leaving={draft_id: None}, durable=False)
            except DriveError as error:
                log.warning("%s goes at the next start: %s", draft_id, error.message)

    async def _forget(self, draft_id: DraftId, changes: Sequence[Change], how: str) -> None:
        await self._commit(
            [*changes, Change(KIND, draft_id, None)], [Pieces(draft_id, clear=True)],
            {draft_id: how}, durable=True,
        )  # fmt: skip

    async def tend(self) -> None:
        """Give back room that nobody needs: of old generations, of what was overwritten, of what
        was discarded long ago. To be called now and then; it may take long, and gives way."""
        for content in list(self._contents.values()):
            await content.tend()
        await self._disk.run(lambda: prune_discarded(self.directory), "prune")

    # Room

    def room(self) -> Room:
        """What statfs(2) shows; never waits for the disk."""
        return self._room.room()

    @property
    def used_bytes(self) -> int:
        return self._room.used_bytes

    async def close(self) -> None:
        """Let another process own the spool. What was not confirmed is gone."""
        with trio.CancelScope(shield=True):
            files: list[DataFile] = []
            for content in self._contents.values():
                await content.at_rest()
                files += content.end("the spool is closed: the drive is ending")
            try:
                await self._commits.run(self._journal.close)
                await self._disk.run(lambda: close_all(files), "close the spool")
            except (OSError, DriveError) as error:
                log.warning("the spool is not closed: %s", error)
            if self._commits.hangs or self._disk.hangs:
                # what hangs may still write: nobody else may before this process is gone
                return
            try:
                await self._disk.run(self._owner.release, "close the spool")
            except DriveError as error:
                log.warning("the spool's lock goes with this process: %s", error)

    # The journal, in its one thread

    async def _commit_bytes(self, changes: Sequence[Change], pieces: Sequence[Pieces]) -> None:
        await self._commit(changes, pieces, durable=True)

    async def _commit(
        self, changes: Sequence[Change], pieces: Sequence[Pieces] = (),
        leaving: Mapping[DraftId, str | None] | None = None, *, durable: bool,
    ) -> None:  # fmt: skip
        def work() -> None:
            self._owner.check()
            self._journal.commit(changes, pieces, leaving, durable=durable)

        try:
            with trio.CancelScope(shield=True), failures(self.directory, "write the journal"):
                await self._commits.run(work)
        except DriveError:
            self.on_refused(changes)
            raise


def _last_card(directory: Path, card: Mapping[str, object]) -> None:
    if directory.exists():
        write_card(directory, card)


def _damage_in_words(recovered: Recovered, directory: Path) -> list[str]:
    words = [f"draft {each}: {what}" for each, what in sorted(recovered.damaged.items())]
    if recovered.strays:
        words.append(
            f"{len(recovered.strays)} saved drafts are not in the journal; their bytes are in"
            f" {directory}, each with its card.json: {', '.join(recovered.strays[:5])}"
        )
    return words

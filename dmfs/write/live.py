"""One file that programs have open, with what they wrote: all handles of an inode share it.

A handle is of content, never of a name: renames and deletions pass it by.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import trio

from dmfs.blocks.cache import Data
from dmfs.blocks.reader import AnyReader
from dmfs.model import Directory, File, WrittenFile
from dmfs.system.clock import wall_time_ns, wall_time_s
from dmfs.write.records import Base, Change, Draft, DraftId, Place, State
from dmfs.write.spool.content import Content
from dmfs.write.spool.snapshot import Confirmed

FoundIn = tuple[Directory, str]
"""Directory and name that a file was opened by: what is read ahead follows from it."""


SETTLED = frozenset({State.CLEAN, State.CONFLICT, State.FAILED})
"""What a draft was until it was written to again."""


class Surroundings(Protocol):
    """What a live file needs of the drive around it."""

    async def reader(self, file: File, found_in: FoundIn | None = None) -> AnyReader:
        """The bytes of a version, as ``Drive.open`` gives them."""
        ...

    async def size_of(self, file: File) -> int:
        """The real size of a version; a signing at most."""
        ...

    def begin(self, live: LiveFile, base: Base | None) -> tuple[Draft, Content]:
        """Content of its own, from now on."""
        ...

    def changed(self, live: LiveFile) -> None:
        """What stands under its name is not what the service has."""
        ...

    def rows(self, live: LiveFile, draft: Draft) -> Sequence[Change]:
        """What is to be known when a generation is confirmed."""
        ...

    async def note(self, live: LiveFile) -> None:
        """Write down what is known of a draft whose bytes have not changed. Never raises."""
        ...

    def on_event(self, live: LiveFile) -> None:
        """A generation was confirmed, or the last handle that may write was closed."""
        ...

    def on_unused(self, live: LiveFile) -> None:
        """The last handle was closed."""
        ...


class BaseBytes:
    """Bytes of the version beneath a draft. Its reader is opened at first use, also after a
    ``close``."""

    def __init__(self, surroundings: Surroundings, file: File) -> None:
        self._surroundings = surroundings
        self._file = file
        self._reader: AnyReader | None = None
        self._opening = trio.Lock()

    async def read(self, offset: int, length: int) -> bytes:
        """Fewer only at the version's end."""
        async with self._opening:
            if self._reader is None:
                self._reader = await self._surroundings.reader(self._file)
            reader = self._reader
        found = bytearray()
        while len(found) < length:
            data, _ = await reader.read(offset + len(found), length - len(found))
            if not data:
                break
            found += data
        return bytes(found)

    def close(self) -> None:
        """Nobody needs it now."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None


class LiveFile:
    """Content under one inode. Changes happen between two awaits; writes of one file go one after
    the other, so that a generation never holds half of one."""

    def __init__(
        self, surroundings: Surroundings, file: File, place: Place | None, *, key: str
    ) -> None:
        """``key``: the identity behind the inode number."""
        self.file = file
        """The version that is read where nothing was written."""
        self.key = key
        self.place = place
        """Its name now; None once it was deleted."""
        self.draft: Draft | None = None
        self.content: Content | None = None
        self.synced_at: float | None = None
        """When fsync(2) confirmed what has not gone up yet; trio's clock."""
        self.mtime_ns = file.mtime_ns
        self.handles = 0
        self.writers = 0
        """Handles that may write."""
        self.unfinished = 0
        """Handles that have written: many programs hold a file open so, and never write to it."""
        self.fresh = False
        """Made here and not confirmed yet: an empty file is news, too."""
        self.times_changed = False
        self._surroundings = surroundings
        self._writing = trio.Lock()
        self._base = BaseBytes(surroundings, file)

    @property
    def draft_id(self) -> DraftId | None:
        return None if self.draft is None else self.draft.id

    @property
    def is_dirty(self) -> bool:
        """Whether a confirmation has anything to do."""
        return self.content is not None and (self.fresh or self.content.dirty or self.times_changed)

    @property
    def is_clean(self) -> bool:
        """Whether the service has all of the content."""
        return self.draft is not None and self.draft.state in (State.CLEAN, State.CONFLICT)

    def shown(self) -> WrittenFile:
        """The node of a name that this content stands under."""
        draft, place = self.draft, self.place
        assert draft is not None
        base, at = draft.base, place or draft.place
        return WrittenFile(
            item_id=base.item_id if base is not None else "",  # type: ignore[arg-type]
            version="",
            storage_id="",  # type: ignore[arg-type]
            folder_id=at.folder,
            project_id=at.project_id,
            hub_id=at.hub_id,
            name=at.name,
            size_bytes=draft.size_bytes,
            mtime_ns=draft.mtime_ns,
            created_ns=base.created_ns if base is not None else None,
            extension_type=base.extension_type if base is not None else "",
            key=self.key,
            draft_id=draft.id,
            base=base.as_file(at) if base is not None else None,
        )

    @property
    def size_bytes(self) -> int:
        return self.content.size_bytes if self.content is not None else self.file.size_bytes or 0

    # Bytes

    async def read_base(self, offset: int, length: int) -> bytes:
        """Bytes of the version that was written to."""
        return await self._base.read(offset, length)

    async def reader(self, found_in: FoundIn | None) -> AnyReader:
        """Of the version, for one handle: each has a read-ahead of its own."""
        return await self._surroundings.reader(self.file, found_in)

    async def write(self, offset: int, data: Data) -> None:
        """NoRoomError, SpoolLimitError, SpoolError: nothing is changed."""
        async with self._writing:
            content = await self._own()
            now_ns = wall_time_ns()
            await content.write(offset, bytes(data), mtime_ns=now_ns)
            self._changed(now_ns)

    def write_now(self, offset: int, data: bytes) -> bool:
        """As ``write``, where nothing has to be waited for: most of the writes of a stream. False:
        nothing is changed."""
        content = self.content
        if content is None or self._writing.locked() or self.draft is None:
            return False
        if self.draft.state in SETTLED:
            return False
        now_ns = wall_time_ns()
        if not content.write_now(offset, data, mtime_ns=now_ns):
            return False
        self.mtime_ns = now_ns
        return True

    async def truncate(self, size_bytes: int) -> None:
        """Shrink it, or grow it by a hole. Nothing happens to a file of that size."""
        async with self._writing:
            now_ns = wall_time_ns()
            if size_bytes == await self._size_before(size_bytes):
                return
            if size_bytes == 0:
                self._begin_anew()
            else:
                content = await self._own()
                await content.truncate(size_bytes, mtime_ns=now_ns)
            self._changed(now_ns)

    def _begin_anew(self) -> None:
        """Empty, and nothing of the version beneath is needed any more. What was confirmed stays
        that until the next confirmation."""
        if self.content is None:
            self._begin(0)
        else:
            self.content.start_over(0)

    def _changed(self, now_ns: int) -> None:
        """What was written may differ from what the service has."""
        self.mtime_ns = now_ns
        if self.is_clean:
            self.note_change()

    async def _size_before(self, size_bytes: int) -> int | None:
        """What is emptied needs no word of the service."""
        if self.content is not None:
            return self.content.size_bytes
        if size_bytes == 0:
            return self.file.size_bytes
        return await self._surroundings.size_of(self.file)

    async def _own(self) -> Content:
        """Content of ours, which is the version's to begin with."""
        if self.content is None:
            size_bytes = await self._surroundings.size_of(self.file)
            if self.content is None:
                self._begin(size_bytes)
        assert self.content is not None
        return self.content

    async def take_all(self) -> None:
        """Content of its own, of all bytes of the version, and confirmed."""
        async with self._writing:
            await self._own()
            if self.is_clean:
                self.note_change()
        await self.confirm()

    def _begin(self, base_bytes: int) -> None:
        """From now on the content is ours: the first ``base_bytes`` of the version, to begin
        with."""
        base = Base.of(self.file, base_bytes) if self.file.version_id else None
        self.draft, self.content = self._surroundings.begin(self, base)
        if base_bytes:
            self.content.start_over(base_bytes)
        self._surroundings.changed(self)

    def note_change(self) -> None:
        """The content is not what the service has."""
        if self.draft is not None and self.draft.state in SETTLED:
            self.to_go_up()
        self._surroundings.changed(self)

    def to_go_up(self) -> None:
        """Whatever became of it before."""
        if self.draft is not None:
            self.draft = replace(self.draft, state=State.WAITING, reason="")

    def adopt(self, draft: Draft, content: Content) -> None:
        """Content of an earlier run, or the next draft of the same inode."""
        self.draft, self.content, self.mtime_ns = draft, content, draft.mtime_ns

    async def confirm(self, *, stays_open: bool = False) -> Confirmed | None:
        """Make safe on this machine what was written so far. None if there is nothing of ours.
        Returns only after the bytes and the journal are on the disk. ``stays_open``: by fsync."""
        content = self.content
        if content is None or not self.is_dirty:
            return None
        async with self._writing:
            if self.content is not content or not self.is_dirty:
                return None
            if not (self.fresh or content.dirty):
                await self._confirm_times()
                return content.confirmed
            if self.draft is not None and self.draft.state in SETTLED:
                self.note_change()
            times_changed, self.times_changed = self.times_changed, False
            try:
                confirmed = await content.confirm(self._rows)
            except BaseException:
                self.times_changed |= times_changed
                raise
            self.fresh, self.draft = False, self._confirmed(confirmed)
            if stays_open and self.synced_at is None:
                self.synced_at = trio.current_time()
            self._surroundings.on_event(self)
            return confirmed

    async def _confirm_times(self) -> None:
        assert self.draft is not None
        self.times_changed = False
        self.draft = replace(self.draft, mtime_ns=self.mtime_ns)
        await self._surroundings.note(self)

    def _rows(self, confirmed: Confirmed) -> Sequence[Change]:
        return self._surroundings.rows(self, self._confirmed(confirmed))

    def _confirmed(self, confirmed: Confirmed) -> Draft:
        """The draft as it is when these bytes are safe. Of what it is by then: names and states
        change while the disk works."""
        assert self.draft is not None
        if self.draft.state is State.FAILED:  # other bytes, or another name: it is tried anew
            self.to_go_up()
        return replace(
            self.draft,
            place=self.place or self.draft.place,
            generation=confirmed.generation,
            size_bytes=confirmed.size_bytes,
            mtime_ns=self.mtime_ns,
            changed_at_s=wall_time_s(),
            orphan=self.place is None,
        )

    @property
    def at_rest(self) -> trio.Lock:
        """Whoever has it sees neither half a write nor half a confirmation."""
        return self._writing

    # Handles

    def opened(self, *, writes: bool) -> None:
        """One more open(2)."""
        self.handles += 1
        self.writers += writes

    def closed(self, *, writes: bool, wrote: bool) -> None:
        """A handle is gone."""
        self.handles -= 1
        self.writers -= writes
        self.unfinished -= wrote
        if wrote and self.unfinished == 0:
            self._surroundings.on_event(self)
        if self.handles == 0:
            self._base.close()
            self._surroundings.on_unused(self)

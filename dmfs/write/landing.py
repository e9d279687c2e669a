"""What becomes of a draft when the service has it: its name, its state and what is written down."""

from __future__ import annotations

from dataclasses import replace

import trio

from dmfs.model import File
from dmfs.write.drafts import KIND, Drafts
from dmfs.write.live import LiveFile
from dmfs.write.overlay.adopted import plain
from dmfs.write.overlay.overlay import Overlay
from dmfs.write.records import Base, Change, State
from dmfs.write.settle.nouns import UploadNewItem, UploadNewVersion
from dmfs.write.spool.spool import Spool

Upload = UploadNewItem | UploadNewVersion


class Landing:
    """See above. Each may come twice for one version, and ends before the upload is forgotten."""

    def __init__(self, spool: Spool, overlay: Overlay, drafts: Drafts) -> None:
        self._spool = spool
        self._overlay = overlay
        self._drafts = drafts

    async def posted(self, step: Upload, generation: int, file: File, size_bytes: int) -> None:
        """The service has a generation, as this version. Awaited before the upload is forgotten;
        may come twice for one version. ``size_bytes``: of the generation."""
        live = self._drafts.by_id.get(step.draft)
        if live is not None:
            async with live.at_rest:
                await self._posted(live, step, generation, file, size_bytes)
        await self._drafts.trim()

    async def _posted(
        self, live: LiveFile, step: Upload, generation: int, file: File, size_bytes: int
    ) -> None:
        draft, content, now = live.draft, live.content, trio.current_time()
        if draft is None or content is None:
            return
        at = live.place or draft.place
        file = replace(plain(file), folder_id=at.folder, hub_id=at.hub_id)
        all_up = draft.generation == generation and not content.dirty
        adopted = self._drafts.adopted
        changes = adopted.left(draft.base, at, live.key, file)
        if live.place is not None:  # else the inode is that of a file without a name
            changes += adopted.add(file, live.key, live.mtime_ns)
        live.draft = replace(
            draft,
            base=Base.of(file, size_bytes),
            state=State.CLEAN if all_up else State.WAITING,
            uploaded_generation=generation,
            mtime_ns=live.mtime_ns,
            reason="",
        )
        live.synced_at = None
        live.times_changed = False
        view = self._overlay.of(at)
        view.done(step, now, file, more=not all_up)
        changes += [*view.rows(), Change(KIND, draft.id, live.draft.as_row())]
        await self._spool.commit(changes, durable=True)

    async def went_beside(
        self, step: Upload, name: str, generation: int, file: File, size_bytes: int
    ) -> None:
        """Ours went up as another item of this name, because the service's has changed: theirs
        is seen again where it was."""
        live = self._drafts.by_id.get(step.draft)
        if live is None:
            return
        async with live.at_rest:
            if live.draft is None:
                return
            view = self._overlay.of(live.place or live.draft.place)
            if live.place is not None and live.place.name == step.place:
                view.goes_beside(step, step.place, name)
                live.place = view.place(name)
            else:  # renamed here meanwhile: it keeps that name
                view.failed(step)
            if isinstance(step, UploadNewVersion):  # before any wait: its name is never empty
                view.parts(step.draft, step.item.item_id)
            beside = UploadNewItem(step.draft, name, name)
            await self._posted(live, beside, generation, file, size_bytes)
            if live.draft.state is State.CLEAN:
                self._drafts.set_state(
                    live, State.CONFLICT, f"somebody else changed {step.place!r}"
                )
            await self._spool.commit(self._drafts.rows(live, live.draft), durable=True)
        await self._drafts.trim()

    async def renamed_there(
        self, step: UploadNewVersion, name: str, generation: int, file: File, size_bytes: int
    ) -> None:
        """Ours went up as the next version of its item, which somebody has renamed: it has that
        name here, too, unless it was renamed here as well. ``name``: as the mount shows it."""
        live = self._drafts.by_id.get(step.draft)
        if live is not None and live.place is not None:
            view = self._overlay.of(live.place)
            if live.place.name == step.place and view.names.at(name) is None:
                view.goes_beside(step, step.place, name)
                live.place = view.place(name)
            else:
                view.failed(step)
        await self.posted(replace(step, place=name, name=file.name), generation, file, size_bytes)

    async def moved_there(
        self, step: UploadNewVersion, name: str, generation: int, file: File, size_bytes: int
    ) -> None:
        """The same, for one that somebody has moved to another folder: it is seen there, and bytes
        that came meanwhile go up there."""
        await self.posted(step, generation, file, size_bytes)
        live = self._drafts.by_id.get(step.draft)
        if live is None or live.place is None or live.draft is None:
            return
        view = self._overlay.of(live.place)
        view.moved_away(live.place.name, step.item)
        live.place = replace(live.place, folder=file.folder_id, name=name)
        live.draft = replace(live.draft, place=live.place)
        changes = self._drafts.adopted.add(plain(file), live.key, live.mtime_ns)
        if not live.is_clean:
            self._overlay.of(live.place).written(live)
        changes += [*view.rows(), *self._drafts.rows(live, live.draft)]
        await self._spool.commit(changes)
        self._drafts.on_change(live.place.folder)

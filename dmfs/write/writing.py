"""Everything that a door may change in a drive.

A change of a file is seen at once and is safe on this machine when close(2) or fsync(2) says so;
what it means for the service is decided when its folder has come to rest (``settler``). A change of
a folder is the service's own, made at once: its refusal is the caller's.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from dmfs.aps.history.deleted import DeletedItems
from dmfs.aps.uploads import Uploads
from dmfs.errors import (
    AccessError,
    DriveError,
    ExistsError,
    IsADirectory,
    NotFoundError,
    NotPermittedError,
    OtherFolderError,
    ReadOnlyError,
)
from dmfs.model import (
    Child,
    Directory,
    File,
    Folder,
    Listing,
    Marker,
    OldVersion,
    Shortcut,
    View,
    WrittenFile,
)
from dmfs.names import check_name, printable
from dmfs.namespace.listings import Listings
from dmfs.write.calls.folder_calls import FolderCalls
from dmfs.write.calls.folders import Folders
from dmfs.write.calls.name_calls import NameCalls
from dmfs.write.drafts import Drafts
from dmfs.write.handle import Handle
from dmfs.write.live import LiveFile
from dmfs.write.overlay.overlay import Overlay
from dmfs.write.records import State, is_account, is_unlinked, place_of
from dmfs.write.rights import Rights
from dmfs.write.settler import Settler
from dmfs.write.spool.room import Room
from dmfs.write.spool.spool import Spool

log = logging.getLogger(__name__)

COPY_IT = "old versions can be read and copied, and are never changed"


@dataclass(frozen=True, slots=True)
class Tools:
    """What writing uses of the drive around it."""

    listings: Listings
    uploads: Uploads
    deleted: DeletedItems
    person: Callable[[], str]


class Writing:
    """See above. One for each drive that was opened to write."""

    def __init__(
        self,
        tools: Tools,
        spool: Spool,
        overlay: Overlay,
        drafts: Drafts,
        settler: Settler,
        rights: Rights,
        folder_calls: FolderCalls,
        name_calls: NameCalls,
        *,
        moves: bool,
        sync: bool,
    ) -> None:
        self.tools = tools
        self.spool = spool
        self.overlay = overlay
        self.drafts = drafts
        self.settler = settler
        self.rights = rights
        self.folders = Folders(self, rights, tools.listings, spool, overlay, drafts, folder_calls)
        self._file_calls = name_calls
        self._moves = moves
        self._sync = sync

    # What is seen

    def content_of(self, file: File) -> LiveFile | None:
        """What was written under the inode of a node and is not the service's yet."""
        return self.drafts.content_of(file)

    def now(self, file: File) -> File:
        """The version that the inode of a node stands for now."""
        return self.drafts.adopted.latest(file)

    def room(self) -> Room:
        """The spool's."""
        return self.spool.room()

    def state(self, file: File) -> State:
        """As ``user.dmfs.state`` has it."""
        live = self.content_of(file)
        if live is None or live.draft is None:
            return State.CLEAN
        return live.draft.state

    def is_clean(self, file: File) -> bool:
        """Whether the service has what is read under it."""
        return self.state(file) is State.CLEAN

    # Files

    async def open(
        self, node: File, found_in: tuple[Directory, str] | None, *, writes: bool, truncate: bool
    ) -> Handle:
        """A handle; what was written is read by all. AccessError if a write would be refused
        later."""
        place = None if found_in is None else place_of(*found_in)
        live = self.drafts.live(node, place)
        handle = Handle(live, writes=writes)  # before any wait: another close would forget it
        try:
            if writes and live.content is None:
                await self._require_write(live.file, found_in)
            if truncate:
                await handle.truncate(0)
            else:
                await handle.prepare(found_in)
        except BaseException:
            handle.close()
            raise
        if live.place is not None:
            self.settler.touched(live.place.folder)
        return handle

    async def _require_write(self, file: File, found_in: tuple[Directory, str] | None) -> None:
        try:
            await self.rights.require_write(file)
        except AccessError:
            if found_in is not None:
                self._show_bits(found_in[0])
            raise

    async def create(
        self, directory: Directory, name: str, *, exclusive: bool, truncate: bool
    ) -> tuple[WrittenFile | File, Handle]:
        """A new empty file, or the one that is there. BadNameError, AccessError, NotPermittedError
        if the service would not take it."""
        found = await self.child(directory, name)
        if found is None:
            place = await self.rights.require_place(directory, name, is_file=True)
            listing, view = await self.raw(directory), self.overlay.view(directory)
            found = view.shown(listing).entries.get(name)  # another program may have been quicker
            if found is None:  # nothing is awaited until it is there, with its name and a handle
                live = self.drafts.create(place)
                view.create(name, live, listing)
                self.settler.touched(place.folder)
                return live.shown(), Handle(live, writes=True)
        if exclusive:
            raise ExistsError(f"there is a {printable(name)!r} already")
        if not isinstance(found, File):
            raise IsADirectory(f"{printable(name)!r} is no file that can be written")
        handle = await self.open(found, (directory, name), writes=True, truncate=truncate)
        return found, handle

    async def make_empty(self, directory: Directory, name: str) -> WrittenFile | File:
        """mknod(2): a new file that is safe on this machine, or none."""
        node, handle = await self.create(directory, name, exclusive=True, truncate=False)
        try:
            await handle.confirm()
        except DriveError:
            handle.close()
            await self.unlink(directory, name)  # else it waits for ever to be saved
            raise
        finally:
            handle.close()
        return node

    async def truncate(
        self, node: File, found_in: tuple[Directory, str] | None, size_bytes: int
    ) -> None:
        """truncate(2): as an open, a change and a close."""
        handle = await self.open(node, found_in, writes=True, truncate=size_bytes == 0)
        try:
            await handle.truncate(size_bytes)
            await handle.confirm()
        finally:
            handle.close()

    async def set_mtime(self, node: File, mtime_ns: int) -> None:
        """utimensat(2): shown on this machine; no bytes change, and no version follows. AccessError
        for an old version: programs that were refused to write to it would take this for success.
        """
        if isinstance(node, OldVersion):
            raise AccessError(f"{node.name!r} is an old version", hint=COPY_IT)
        live = self.content_of(node)
        if live is not None:
            live.mtime_ns, live.times_changed = mtime_ns, True
            if live.is_clean:
                await self.drafts.adopted.set_mtime(self.now(node), mtime_ns)
            if live.writers == 0:
                await live.confirm()
        elif self.rights.why_not(node) == "" and not is_unlinked(node.identity):
            await self.drafts.adopted.set_mtime(self.now(node), mtime_ns)

    async def sync(self, live: LiveFile) -> None:
        """With ``-o sync``: wait until the service has what was confirmed, and raise its error."""
        if self._sync and live.unfinished <= 1:
            await self.settler.sync(live)

    def nudge(self) -> None:
        """The service can be reached again."""
        self.settler.orders.uploader.nudge()
        self.folders.nudge()

    def on_lost_close(self, live: LiveFile) -> None:
        """Bytes that came after the last close are not safe, and no program hears of it."""
        log.error("what was written last to %s is not safe", printable(str(live.place)))
        self.drafts.fail(live, "the spool did not take what was written last")

    async def sync_names(self) -> None:
        """fsync(2) of a directory: renames and deletions before it outlive a power loss."""
        await self.spool.commit((), durable=True)

    # Names

    async def unlink(self, directory: Directory, name: str) -> None:
        """Delete a file; handles of it go on. Its item is deleted when the folder has come to rest
        without it."""
        found = await self.there(directory, name)
        if not isinstance(found, File | Shortcut):
            raise IsADirectory(f"{printable(name)!r} is a directory")
        view = self.overlay.view(directory)
        await self.rights.require_delete(view, found)
        await self.drafts.unlink(view, name, await self.raw(directory))
        self.settler.touched(view.folder_id)

    async def rename(
        self, directory: Directory, old: str, target: Directory, new: str, *, replace: bool
    ) -> Child:
        """rename(2); what stood at ``new`` is deleted. OtherFolderError if it would have to move an
        item to another folder."""
        node = await self.there(directory, old)
        there = await self.child(target, new)
        same_folder = directory.identity == target.identity
        if there is not None and not replace:
            raise ExistsError(f"there is a {printable(new)!r} already")
        if same_folder and old == new:
            return node
        if isinstance(node, Folder):
            return await self.folders.rename(directory, node, target, new, there)
        if not isinstance(node, File):
            raise NotPermittedError("only files and folders can be renamed")
        if there is not None and not isinstance(there, File):
            raise IsADirectory(f"{printable(new)!r} is a directory")
        if not same_folder and not self.drafts.may_move(node):
            return await self._move(node, directory, old, target, new, there)
        if reason := self.rights.why_not(node):
            raise AccessError(f"cannot rename {printable(old)!r}: {reason}")
        if there is None:
            await self.rights.require_place(
                target, new, is_file=True, besides=old if same_folder else ""
            )
        else:
            await self.rights.require_write(there)
        live = self.content_of(node)
        if live is not None:  # else a crash leaves neither these bytes nor those that were there
            await live.confirm()
        view = self.overlay.view(directory)
        goal = self.overlay.view(target)
        shown = await self.drafts.rename(
            view, old, goal, new, await self.raw(directory), await self.raw(target)
        )
        self.settler.touched(view.folder_id)
        self.settler.touched(goal.folder_id)
        return shown

    # Checks

    async def raw(self, directory: Directory) -> Listing:
        """What the service shows in a directory, as last listed."""
        found = await self.tools.listings.recall(directory)
        if found is not None:
            return found
        await self.tools.listings.get(directory)
        found = await self.tools.listings.recall(directory)
        if found is None:
            raise DriveError(f"cannot tell what is in {printable(directory.name)!r}")
        return found

    async def child(self, directory: Directory, name: str) -> Child | None:
        """What stands under a name. BadNameError for what cannot be one; ReadOnlyError for one that
        means what was: nothing can be made, renamed or deleted there."""
        check_name(name)
        if isinstance(directory, View):
            raise ReadOnlyError(f"{directory.name!r} is made of old versions", hint=COPY_IT)
        listing = await self.tools.listings.get(directory)
        found = listing.entries.get(name)
        other = None if found else await self.tools.listings.views.child(directory, name)
        if isinstance(other, Marker):
            raise ReadOnlyError(f"{printable(name)!r} is the drive's own", hint="-o no_markers")
        if other is not None:
            raise ReadOnlyError(f"{printable(name)!r} stands for old versions", hint=COPY_IT)
        return found

    async def there(self, directory: Directory, name: str) -> Child:
        """What stands under a name. NotFoundError."""
        found = await self.child(directory, name)
        if found is None:
            raise NotFoundError(f"there is no {printable(name)!r}")
        return found

    def _show_bits(self, directory: Directory) -> None:
        """The permission bits of what is in a directory follow what was learned just now."""
        known = self.tools.listings.known(directory)
        if known is not None:
            self.tools.listings.shown_anew(directory, known.names)

    async def _move(
        self, node: File, directory: Directory, old: str, target: Directory, new: str,
        there: Child | None,
    ) -> File:  # fmt: skip
        """With ``-o moves=copy``: a copy by the service, and a deletion when the folder has come to
        rest. Its history stays with the deleted item."""
        goal = place_of(target, new)
        live = self.content_of(node)
        can = self._moves and goal is not None and is_account(node) and there is None
        if not can or goal is None or goal.project_id != node.project_id:
            raise OtherFolderError("the service does not move a file to another folder")
        if live is not None and not live.is_clean:
            raise OtherFolderError("what was written to the file has not gone up yet")
        await self.rights.require_place(target, new, is_file=True)
        await self.rights.require_delete(self.overlay.view(directory), node)
        copied = await self._file_calls.copy(self.now(node), target, goal)
        goal_view = self.overlay.view(target)
        goal_view.shows(new, copied)
        await self.spool.commit(goal_view.rows())
        await self.unlink(directory, old)
        return copied

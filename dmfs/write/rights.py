"""What this user may do with a file or a folder of the drive, and whether a name can be had there:
as far as listings and remembered permissions tell, and with one call where they do not."""

from __future__ import annotations

from dmfs.errors import AccessError, NotPermittedError, SpoolLimitError
from dmfs.exports.records import ExportedFile
from dmfs.model import (
    LOCAL_FOLDER,
    Directory,
    File,
    Folder,
    OldVersion,
    Project,
    Shortcut,
    WrittenFile,
)
from dmfs.names import printable
from dmfs.namespace.listings import Listings
from dmfs.write.calls.permissions import Permissions
from dmfs.write.drafts import Drafts
from dmfs.write.overlay.view import FolderView
from dmfs.write.records import Place, is_account, place_of
from dmfs.write.settle.service_names import check_new_name
from dmfs.write.settler import Settler

FILE_TYPES = frozenset({
    "items:autodesk.bim360:File", "items:autodesk.core:File",
    "versions:autodesk.bim360:File", "versions:autodesk.core:File",
})  # fmt: skip
"""What can be written: all other kinds of items have makers of their own."""
FILES_MAX = 10_000
"""In a folder."""


class Rights:
    """See above. What is refused later is refused here: many programs ignore the error of a
    close."""

    def __init__(
        self, listings: Listings, drafts: Drafts, settler: Settler, permissions: Permissions,
        *, user_id: str,
    ) -> None:  # fmt: skip
        self._listings = listings
        self._drafts = drafts
        self._settler = settler
        self._permissions = permissions
        self._user_id = user_id

    def may_change(self, node: object) -> bool:
        """Whether the permission bits say so: as far as is known without a word to the service."""
        if isinstance(node, File):
            return self.why_not(node) == "" and self._permissions.known(node.folder_id)
        if isinstance(node, Folder):
            return not node.no_files and self._permissions.known(node.id)
        return (
            isinstance(node, Project) and node.root_folder_id is not None and not is_account(node)
        )

    def why_not(self, file: File) -> str:
        """Why this user may not write to a version, as far as is known; '' if they may."""
        return why_not(file, self._user_id)

    async def require_write(self, file: File) -> None:
        """AccessError if a version must not be written to."""
        reason = self.why_not(file)
        if reason:
            raise AccessError(f"cannot write {file.name!r}: {reason}")
        await self._permissions.require_update(file)

    async def require_delete(self, view: FolderView, node: File | Shortcut) -> None:
        """AccessError, NotPermittedError if the service would not delete it. ``view``: of its
        folder: where nothing can be deleted, a save that goes on may all the same."""
        if isinstance(node, Shortcut | ExportedFile):
            raise AccessError(f"cannot delete {node.name!r}: other programs make and delete it")
        live = self._drafts.content_of(node)
        if live is not None and live.draft is not None and live.draft.base is None:
            return
        if is_account(node):
            await self._permissions.require_update(node)
        elif not self._settler.is_dancing(view):
            raise NotPermittedError("the service does not delete files of such a hub")

    async def require_place(
        self, directory: Directory, name: str, *, is_file: bool, besides: str = ""
    ) -> Place:
        """Where a new name may be; the errors say why it may not. ``besides``: the name that it
        takes the place of."""
        place = place_of(directory, name)
        if place is None:
            raise NotPermittedError(
                f"nothing can be made in {printable(directory.name or '/')!r}",
                hint="files and folders go into the folders of a project",
            )
        if is_file and isinstance(directory, Folder) and directory.no_files:
            raise AccessError(
                f"{printable(directory.name)!r} takes no plain files",
                hint="sheets come there by publishing; put files into another folder",
            )
        if place.folder.startswith(LOCAL_FOLDER) or (is_file and self._settler.is_local(name)):
            return place
        listing = await self._listings.get(directory)
        if is_file and len(listing.names) >= FILES_MAX:
            raise SpoolLimitError(f"a folder of the service takes {FILES_MAX} files")
        siblings = (each for each in listing.names if each != besides)
        check_new_name(name, siblings, folds_case=is_account(place))
        await self._permissions.require_create(place.project_id, place.folder)
        return place


def why_not(file: File, me: str = "") -> str:
    """Why no program may write to a version, as far as its description tells; '' if it may.
    ``me``: a user's id, whose own lock is none to them."""
    if isinstance(file, WrittenFile) and file.draft_id:
        return ""
    if isinstance(file, OldVersion):
        return "it is an old version"
    user_id, _, name = file.reserved_by.partition(" ")
    if user_id and user_id != me:
        return f"it is locked by {printable(name)}"
    if not file.storage_id:
        return "the service does not say what is in it"
    if file.extension_type and file.extension_type not in FILE_TYPES:
        return f"it is a {file.extension_type.rpartition(':')[2]}, which has a maker of its own"
    return ""

"""What this user may do in a folder, as far as the service tells beforehand.

What would be refused later is refused at open and at create: many programs ignore the error of a
close. One call tells it for a folder; what cannot be learned now is allowed.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import cachetools
import trio

from dmfs.aps.uploads import Uploads
from dmfs.errors import AccessError, DriveError, SignedOutError
from dmfs.model import LOCAL_FOLDER, File, FolderId, ProjectId, Shortcut
from dmfs.system.concurrency import SingleFlight

log = logging.getLogger(__name__)

REMEMBER_S = 900.0
FOLDERS_MAX = 4096
PATIENCE_S = 5.0
"""A person who saves does not wait longer for this; the service says it again when it matters."""
ACTIONS: Sequence[str] = ("create", "upload", "updateMetaData", "admin", "write")
TO_CREATE = frozenset({"create", "upload", "write", "admin"})
TO_UPDATE = frozenset({"create", "upload", "write", "updateMetaData", "admin"})


class Permissions:
    """Remembered for a quarter of an hour."""

    def __init__(self, uploads: Uploads, nursery: trio.Nursery) -> None:
        self._uploads = uploads
        self._known: cachetools.TTLCache[str, frozenset[str]] = cachetools.TTLCache(
            FOLDERS_MAX, REMEMBER_S, timer=trio.current_time
        )
        self._flights: SingleFlight[str, frozenset[str]] = SingleFlight(nursery)

    def known(self, folder_id: FolderId) -> bool:
        """Whether nothing speaks against writing in a folder, as far as is known. Never waits."""
        found = self._known.get(folder_id)
        return found is None or bool(found & TO_UPDATE)

    async def require_create(self, project_id: ProjectId, folder_id: FolderId) -> None:
        """AccessError if this user may make nothing in a folder."""
        allowed = await self._of(project_id, folder_id)
        if allowed is not None and not allowed & TO_CREATE:
            raise AccessError(
                "you may not make anything in this folder",
                hint="ask an admin of the project for the permission to upload",
            )

    async def require_update(self, node: File | Shortcut) -> None:
        """AccessError if this user may not change the files of a folder."""
        if not node.folder_id:
            return
        allowed = await self._of(node.project_id, node.folder_id)
        if allowed is not None and not allowed & TO_UPDATE:
            raise AccessError(
                f"you may read {node.name!r} and not change it",
                hint="ask an admin of the project for the permission to edit",
            )

    def forget(self, folder_id: FolderId) -> None:
        """The service said something else."""
        self._known.pop(folder_id, None)

    async def _of(self, project_id: ProjectId, folder_id: FolderId) -> frozenset[str] | None:
        """None where it cannot be learned now."""
        found = self._known.get(folder_id)
        if found is not None or folder_id.startswith(LOCAL_FOLDER):
            return found

        async def ask() -> frozenset[str]:
            answers = await self._uploads.permissions(project_id, [folder_id], ACTIONS)
            return answers.get(folder_id, frozenset())

        with trio.move_on_after(PATIENCE_S):
            try:
                found = await self._flights.join(folder_id, ask).wait()
            except SignedOutError:
                return None
            except DriveError as error:
                log.info("what may be done in a folder is not known: %s", error.message)
                return None
            self._known[folder_id] = found
            return found
        return None

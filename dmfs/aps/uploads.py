"""The service's calls that change something: ``Uploads``.

Each call of a POST or PATCH is sent once (``Call.once``). What a caller has to know of each error:

- UnknownOutcomeError: it may have happened. Look before it is sent again; where a call says how,
  its docstring does. It is an UnreachableError: catch it first. **DeadlineError means the same**:
  the caller's own deadline may have passed while the request was on its way.
- UnreachableError else, BusyError, TokenRefusedError, SignedOutError, StalledError: not sent, or
  refused before anything happened. Send it again when it may work.
- LockedError, AccessError, GoneError, NameTakenError, InUseError, BadInputError,
  PartsRefusedError, NotPermittedError: refused; nothing happened.

Calls count at ``Priority.WRITE``, but for a task with a priority of its own (a person waits).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import trio

from dmfs.aps.change import documents
from dmfs.aps.change.answers import (
    NO_ITEM,
    Details,
    PartUrls,
    Posted,
    Tip,
    check_tombstone,
    decode_completion,
    decode_details,
    decode_earlier,
    decode_new_item,
    decode_new_version,
    decode_part_urls,
    decode_permissions,
    decode_storage,
    decode_tip,
)
from dmfs.aps.contents import decode_folder
from dmfs.aps.json_values import Json
from dmfs.aps.sending import DATA_TYPE, Sending
from dmfs.aps.signed_in import path_id
from dmfs.aps.signed_urls import bucket_and_key
from dmfs.errors import BadInputError, BadNameError, GoneError
from dmfs.http.json_client import Call
from dmfs.model import (
    File,
    Folder,
    FolderId,
    HubId,
    ItemId,
    Project,
    ProjectId,
    StorageId,
    VersionId,
)
from dmfs.system.clock import wall_time_s

URLS_MAX = 25
"""Part URLs of one call; the service refuses more."""
URL_MINUTES = 60
"""Life of a part's URL: the longest that the service gives. Their PUT has to begin within it."""
URL_MARGIN_S = 60.0
PERMISSIONS_MAX = 50
COMPLETE_S = 300.0
"""Thousands of parts are put together before the answer comes."""
NAME_MAX_BYTES = 255
NO_HUB = HubId("")
VERSION_MARK = "?version="


class Uploads(Sending):
    """Made like ``aps.client.Aps``, of the same JsonClient and source of tokens."""

    async def storage(
        self, project_id: ProjectId, target: FolderId | ItemId, name: str
    ) -> StorageId:
        """A new place for bytes; its name has the extension of the file that it becomes. After an
        unknown outcome make another: one that is never used harms nobody."""
        action = f"make room for {name!r}"
        body = documents.storage(target, _checked(name))
        path = f"/data/v1/projects/{path_id(project_id)}/storage"
        return await self._post(
            action, "storage", path, body, lambda answer: decode_storage(answer, action)
        )

    async def part_urls(
        self,
        storage_id: StorageId,
        *,
        first: int,
        count: int,
        upload_key: str = "",
        accelerate: bool = True,
    ) -> PartUrls:
        """URLs for the parts ``first`` … ``first + count - 1`` (numbered from 1; ``count`` ≤ 25).

        Without an ``upload_key`` an upload begins; with it, it goes on. (Docs promise that for an
        upload that began with more than one URL.) ``accelerate``: on a host that some networks do
        not let through. Asking again changes nothing: it may be repeated, and is.
        """
        if not (1 <= count <= URLS_MAX and first >= 1):
            raise ValueError("parts are numbered from 1, and 25 URLs are the most")
        action = "get the addresses for an upload"
        params = {
            "parts": str(count), "firstPart": str(first), "minutesExpiration": str(URL_MINUTES),
            "useAcceleration": "true" if accelerate else "false",
        }  # fmt: skip
        if upload_key:
            params["uploadKey"] = upload_key
        expires_at = trio.current_time() + URL_MINUTES * 60 - URL_MARGIN_S
        now_s = wall_time_s()
        return await self._get(
            action, "upload_urls", _object_path(storage_id, "signeds3upload"), params,
            lambda answer: decode_part_urls(answer, action, count, expires_at, now_s),
        )  # fmt: skip

    async def complete(
        self, storage_id: StorageId, upload_key: str, size_bytes: int, etags: Sequence[str]
    ) -> int:
        """Put the parts together; the size as the service tells it, which is ``size_bytes``.

        ``etags``: of each part in order, without quotes; not sent where one is '' (unknown).
        PartsRefusedError, whatever status it came with, and for another size. After an unknown
        outcome: ``details`` with our size says that it is done; else complete again.
        """
        action = "complete an upload"
        body: dict[str, Any] = {"uploadKey": upload_key, "size": size_bytes}
        if all(etags):
            body["eTags"] = list(etags)
        path = _object_path(storage_id, "signeds3upload")
        return await self._post(
            action, "complete", path, body,
            lambda answer: decode_completion(answer, action, size_bytes), silence_s=COMPLETE_S,
        )  # fmt: skip

    async def details(self, storage_id: StorageId) -> Details | None:
        """Size and sha1 of a stored object; None if there is no such object (yet). One call."""
        action = "look at an uploaded object"
        try:
            return await self._get(
                action, "details", _object_path(storage_id, "details"), {},
                lambda answer: decode_details(answer, action),
            )  # fmt: skip
        except GoneError:
            return None

    async def copy_object(self, source: StorageId, target: StorageId) -> int:
        """A stored object's bytes into a new place, without coming here; their size. Both lie in
        one bucket, which is one region's: BadInputError else. After an unknown outcome ``details``
        of the new place tell."""
        action = "copy an object"
        (bucket, key), (other, new_key) = bucket_and_key(source), bucket_and_key(target)
        if bucket != other:
            raise BadInputError(f"cannot {action}: it would have to go to another region")
        path = f"/oss/v2/buckets/{path_id(bucket)}/objects/{path_id(key)}/copyto/{path_id(new_key)}"
        call = Call(action, "copy_object", "PUT", path, once=True, silence_s=COMPLETE_S)
        return (await self._send(call, lambda answer: decode_details(answer, action))).size_bytes

    async def item(self, project: Project, item_id: ItemId) -> Tip:
        """An item with its newest version, who has it reserved, and whether it is there at all.
        One call."""
        action = "look at the newest version"
        path = f"/data/v1/projects/{path_id(project.id)}/items/{path_id(item_id)}"
        try:
            return await self._get(
                action, "item", path, {}, lambda answer: decode_tip(answer, action, project)
            )
        except GoneError:
            return NO_ITEM

    async def version_of(self, tip: File, number: int) -> File | None:
        """Another version of the same item; None if there is none, or it is a tombstone."""
        action, (stem, mark, _) = "look at a version", tip.version_id.rpartition(VERSION_MARK)
        if not mark:
            return None
        path = f"/data/v1/projects/{path_id(tip.project_id)}/versions/"
        project = _project(tip.project_id, tip.hub_id)
        try:
            return await self._get(
                action, "item", path + path_id(f"{stem}{mark}{number}"), {},
                lambda answer: decode_earlier(answer, action, project, tip.item_id),
            )  # fmt: skip
        except GoneError:
            return None

    async def new_item(
        self,
        project_id: ProjectId,
        folder_id: FolderId,
        name: str,
        storage_id: StorageId,
        *,
        hub_id: HubId = NO_HUB,
    ) -> Posted:
        """A file that was not there before. ``hub_id`` is for the node alone.

        The storage id is what makes it one: after an unknown outcome list the folder for that
        storage or that name, and post the same storage again only if there is neither.
        """
        action = f"create {name!r}"
        body = documents.item(project_id, folder_id, _checked(name), storage_id)
        path, project = (
            f"/data/v1/projects/{path_id(project_id)}/items",
            _project(project_id, hub_id),
        )
        return await self._post(
            action, "new_item", path, body,
            lambda answer: decode_new_item(answer, action, project),
        )  # fmt: skip

    async def new_version(
        self,
        project_id: ProjectId,
        item_id: ItemId,
        name: str,
        storage_id: StorageId,
        *,
        hub_id: HubId = NO_HUB,
    ) -> Posted:
        """The next version of an item, whatever its newest one is by now: nothing tells the service
        which one is expected, so look before, and compare the number after.

        After an unknown outcome look at the tip: it is ours if it has this storage. Else wait, look
        again, and post the same storage: what is refused then (400, 409) had arrived.
        """
        action = f"save {name!r}"
        body = documents.version(project_id, item_id, _checked(name), storage_id)
        return await self._new_version(action, project_id, item_id, body, {}, hub_id)

    async def copy_version(
        self,
        project_id: ProjectId,
        item_id: ItemId,
        version_id: VersionId,
        name: str = "",
        *,
        hub_id: HubId = NO_HUB,
    ) -> Posted:
        """In a ``b.`` project: a version becomes the newest one once more, under ``name``; ''
        restores what was deleted. After an unknown outcome the tip tells: the next number, and the
        name. InUseError while the version is being processed."""
        action = f"rename to {name!r}" if name else "restore a version"
        body = documents.copied_version(_checked(name) if name else "")
        copied = {"copyFrom": version_id}
        return await self._new_version(action, project_id, item_id, body, copied, hub_id)

    async def copy_item(
        self,
        project_id: ProjectId,
        folder_id: FolderId,
        version_id: VersionId,
        name: str,
        *,
        hub_id: HubId = NO_HUB,
    ) -> Posted:
        """In a ``b.`` project: a new item of a version's bytes, in any folder of the project. After
        an unknown outcome list the folder for the name."""
        action = f"copy to {name!r}"
        body = documents.item(project_id, folder_id, _checked(name), None)
        path, project = (
            f"/data/v1/projects/{path_id(project_id)}/items",
            _project(project_id, hub_id),
        )
        return await self._post(
            action, "new_item", path, body,
            lambda answer: decode_new_item(answer, action, project),
            params={"copyFrom": version_id},
        )  # fmt: skip

    async def rename_in_place(
        self, project_id: ProjectId, item_id: ItemId, version_id: VersionId, name: str
    ) -> None:
        """In an ``a.`` project: the item and its version get another name. Two calls, of which only
        the first may have happened; both may be repeated until they have."""
        action = f"rename to {name!r}"
        top = f"/data/v1/projects/{path_id(project_id)}"
        item = documents.item_name(item_id, _checked(name))
        await self._patch(action, f"{top}/items/{path_id(item_id)}", item)
        version = documents.version_name(version_id, name)
        await self._patch(action, f"{top}/versions/{path_id(version_id)}", version)

    async def delete_item(self, project_id: ProjectId, item_id: ItemId) -> int:
        """In a ``b.`` project: a tombstone becomes the item's newest version, of the number that is
        returned (0: nobody knows); ``copy_version`` of the one before restores it. After an unknown
        outcome ``item`` tells: its file is None."""
        action = "delete a file"
        path = f"/data/v1/projects/{path_id(project_id)}/versions"
        return await self._post(
            action, "new_version", path, documents.tombstone(item_id),
            lambda answer: check_tombstone(answer, action),
        )  # fmt: skip

    async def new_folder(
        self, project_id: ProjectId, parent: FolderId, name: str, *, hub_id: HubId = NO_HUB
    ) -> Folder:
        """A folder. After an unknown outcome list the parent for the name: one that we made after
        our call is ours."""
        action = f"make the folder {name!r}"
        body = documents.folder(project_id, parent, _checked(name))
        path = f"/data/v1/projects/{path_id(project_id)}/folders"
        project = _project(project_id, hub_id)
        return await self._post(
            action, "new_folder", path, body, lambda answer: decode_folder(answer, action, project)
        )

    async def change_folder(
        self,
        project_id: ProjectId,
        folder_id: FolderId,
        *,
        name: str | None = None,
        parent: FolderId | None = None,
        hidden: bool | None = None,
    ) -> None:
        """Rename, move, delete (``hidden``) or restore a folder; it may be repeated.
        NotPermittedError where the service answers and does nothing."""
        action = "delete a folder" if hidden else "change a folder"
        body = documents.folder_change(
            folder_id, None if name is None else _checked(name), parent, hidden
        )
        path = f"/data/v1/projects/{path_id(project_id)}/folders/{path_id(folder_id)}"
        await self._patch(action, path, body, hidden=hidden)

    async def permissions(
        self, project_id: ProjectId, ids: Sequence[str], actions: Sequence[str]
    ) -> dict[str, frozenset[str]]:
        """What the user may do, of ``actions`` (``view``, ``upload``, ``create``,
        ``updateMetaData``, ``delete`` …), with folders, items or versions, by id. One call for each
        50 ids; ids that the service says nothing of are left out."""
        action = "look up what may be done"
        path = f"/data/v1/projects/{path_id(project_id)}/commands"
        found: dict[str, frozenset[str]] = {}
        for start in range(0, len(ids), PERMISSIONS_MAX):
            some = ids[start : start + PERMISSIONS_MAX]
            call = Call(
                action, "commands", "POST", path, content_type=DATA_TYPE,
                json=documents.permission_check(some, actions),
            )  # fmt: skip
            found |= await self._send(call, lambda answer: decode_permissions(answer, actions))
        return found

    async def _new_version(
        self, action: str, project_id: ProjectId, item_id: ItemId, body: Json,
        params: Mapping[str, str], hub_id: HubId,
    ) -> Posted:  # fmt: skip
        path = f"/data/v1/projects/{path_id(project_id)}/versions"
        project = _project(project_id, hub_id)
        return await self._post(
            action, "new_version", path, body,
            lambda answer: decode_new_version(answer, action, project, item_id), params=params,
        )  # fmt: skip


def _object_path(storage_id: StorageId, verb: str) -> str:
    bucket, key = bucket_and_key(storage_id)
    return f"/oss/v2/buckets/{path_id(bucket)}/objects/{path_id(key)}/{verb}"


def _project(project_id: ProjectId, hub_id: HubId) -> Project:
    return Project(project_id, hub_id, "")


def _checked(name: str) -> str:
    """The name, if a JSON text can have it. BadNameError."""
    try:
        size_bytes = len(name.encode())
    except UnicodeEncodeError:
        raise BadNameError(
            f"the service does not take the name {name!r}", hint="it is no valid UTF-8"
        ) from None
    if not 0 < size_bytes <= NAME_MAX_BYTES:
        raise BadNameError(
            f"the service does not take a name of {size_bytes} bytes", hint="1 to 255 are possible"
        )
    return name

"""Items that were deleted: what a folder had under a name, and its last version with bytes."""

from __future__ import annotations

from typing import NamedTuple

from dmfs.aps.contents import decode_version, is_tombstone
from dmfs.aps.json_values import Json, dig, text
from dmfs.aps.jsonapi import Tips, next_page
from dmfs.aps.paging import Query, all_pages
from dmfs.aps.signed_in import SignedIn, path_id
from dmfs.auth.token_sources import TokenSource
from dmfs.http.json_client import Call, JsonClient
from dmfs.model import File, FolderId, ItemId, Project
from dmfs.names import legal_name

LOOKS_MAX = 200


class DeletedItem(NamedTuple):
    """Its newest version is a tombstone, whose name says nothing."""

    item_id: ItemId
    name: str
    """Before that, where the tombstone tells; else ''."""
    deleted_at: str
    """As the service has it: ISO 8601."""


class DeletedItems:
    """Made like ``aps.client.Aps``, of the same JsonClient and source of tokens."""

    def __init__(self, http: JsonClient, tokens: TokenSource, *, x_user_id: str = "") -> None:
        self._service = SignedIn(http, tokens, x_user_id)

    async def last(self, project: Project, folder_id: FolderId, name: str) -> File | None:
        """The last version with bytes of the item that was deleted last of those that the drive
        showed as ``name``; None if there is none. One call for each page of the folder, and one for
        each deleted item whose name the service does not tell."""
        looks = 0
        for item in await self._all(project, folder_id, name):
            if item.name and name not in (item.name, legal_name(item.name)):
                continue
            looks += 1
            if looks > LOOKS_MAX:
                return None
            file = await self._last_version(project, item.item_id)
            if file is not None and name in (file.name, legal_name(file.name)):
                return file
        return None

    async def _all(self, project: Project, folder_id: FolderId, name: str) -> list[DeletedItem]:
        """The latest first."""
        action = f"look for a deleted {name!r}"
        path = f"/data/v1/projects/{path_id(project.id)}/folders/{path_id(folder_id)}/contents"

        async def get_page(query: Query) -> tuple[list[DeletedItem], Query | None]:
            call = Call(action, "contents", "GET", path, {**query, "includeHidden": "true"})
            return await self._service.request(
                call, lambda page: (_deleted(page), _next(page, action, path))
            )

        pages = await all_pages(action, get_page)
        found = [each for page in pages for each in page]
        return sorted(found, key=lambda each: each.deleted_at, reverse=True)

    async def _last_version(self, project: Project, item_id: ItemId) -> File | None:
        """The newest version of an item that has bytes; None if there is none."""
        action = "look for the last version"
        path = f"/data/v1/projects/{path_id(project.id)}/items/{path_id(item_id)}/versions"

        async def get_page(query: Query) -> tuple[list[File], Query | None]:
            def decode(page: Json) -> tuple[list[File], Query | None]:
                rows = page.get("data")
                files = [
                    decode_version(row, item_id, action, project)
                    for row in (rows if isinstance(rows, list) else [])
                    if not is_tombstone(row) and dig(row, "relationships", "storage", "data")
                ]
                return files, next_page(page, action, path)

            return await self._service.request(Call(action, "item", "GET", path, query), decode)

        pages = await all_pages(action, get_page)
        files = [each for page in pages for each in page]
        return max(files, key=lambda each: each.version_number or 0, default=None)


def _deleted(page: Json) -> list[DeletedItem]:
    tips, rows = Tips(page.get("included")), page.get("data")
    found = []
    for row in rows if isinstance(rows, list) else []:
        tip = tips.of(row)
        if text(row, "type") != "items" or not is_tombstone(tip):
            continue
        name = text(tip, "attributes", "extension", "data", "originalName")
        deleted_at = text(tip, "attributes", "createTime")
        found.append(DeletedItem(ItemId(text(row, "id")), name, deleted_at))
    return found


def _next(page: Json, action: str, path: str) -> Query | None:
    return without_hidden(next_page(page, action, path))


def without_hidden(following: Query | None) -> Query | None:
    """The query of the next page, as ``all_pages`` has it; ``includeHidden`` is added to each."""
    if following is None:
        return None
    return {key: value for key, value in following.items() if key != "includeHidden"}

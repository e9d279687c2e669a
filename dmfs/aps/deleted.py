"""Items that were deleted: what a folder had under a name, and its last version with bytes."""

from __future__ import annotations

from typing import NamedTuple

from dmfs.aps.contents import decode_version
from dmfs.aps.json_values import Json, dig, text
from dmfs.aps.jsonapi import Tips, next_page
from dmfs.aps.paging import Query, all_pages
from dmfs.aps.signed_in import SignedIn, path_id
from dmfs.auth.token_sources import TokenSource
from dmfs.http.json_client import Call, JsonClient
from dmfs.model import File, FolderId, ItemId, Project
from dmfs.names import legal_name

TOMBSTONE = ":Deleted"


class DeletedItem(NamedTuple):
    """A tombstone is its newest version."""

    item_id: ItemId
    name: str
    deleted_at: str
    """As the service has it: ISO 8601."""


class DeletedItems:
    """Made like ``aps.client.Aps``, of the same JsonClient and source of tokens."""

    def __init__(self, http: JsonClient, tokens: TokenSource, *, x_user_id: str = "") -> None:
        self._service = SignedIn(http, tokens, x_user_id)

    async def named(self, project: Project, folder_id: FolderId, name: str) -> list[DeletedItem]:
        """Deleted items of a folder that the drive showed as ``name``, the latest first. One call
        for each page."""
        action = f"look for a deleted {name!r}"
        path = f"/data/v1/projects/{path_id(project.id)}/folders/{path_id(folder_id)}/contents"

        async def get_page(query: Query) -> tuple[list[DeletedItem], Query | None]:
            call = Call(action, "contents", "GET", path, {**query, "includeHidden": "true"})
            return await self._service.request(
                call, lambda page: (_deleted(page, name), _next(page, action, path))
            )

        pages = await all_pages(action, get_page)
        found = [each for page in pages for each in page]
        return sorted(found, key=lambda each: each.deleted_at, reverse=True)

    async def last_version(self, project: Project, item_id: ItemId) -> File | None:
        """The newest version of an item that has bytes; None if there is none."""
        action = "look for the last version"
        path = f"/data/v1/projects/{path_id(project.id)}/items/{path_id(item_id)}/versions"

        async def get_page(query: Query) -> tuple[list[File], Query | None]:
            def decode(page: Json) -> tuple[list[File], Query | None]:
                rows = page.get("data")
                files = [
                    decode_version(row, item_id, action, project)
                    for row in (rows if isinstance(rows, list) else [])
                    if not _is_tombstone(row) and dig(row, "relationships", "storage", "data")
                ]
                return files, next_page(page, action, path)

            return await self._service.request(Call(action, "item", "GET", path, query), decode)

        pages = await all_pages(action, get_page)
        files = [each for page in pages for each in page]
        return max(files, key=lambda each: each.version_number or 0, default=None)


def _deleted(page: Json, name: str) -> list[DeletedItem]:
    tips, rows = Tips(page.get("included")), page.get("data")
    found = []
    for row in rows if isinstance(rows, list) else []:
        tip = tips.of(row)
        if text(row, "type") != "items" or not _is_tombstone(tip):
            continue
        called = text(tip, "attributes", "name") or text(row, "attributes", "displayName")
        if name in (called, legal_name(called)):
            deleted_at = text(tip, "attributes", "createTime")
            found.append(DeletedItem(ItemId(text(row, "id")), called, deleted_at))
    return found


def _next(page: Json, action: str, path: str) -> Query | None:
    following = next_page(page, action, path)
    if following is None:
        return None
    return {key: value for key, value in following.items() if key != "includeHidden"}


def _is_tombstone(version: Json | None) -> bool:
    return text(version, "attributes", "extension", "type").endswith(TOMBSTONE)

"""The service's search: files below a folder, out of an index that trails what is there.

It tells tip versions, and neither their paths nor folders. Its pages have no size that one could
ask for, and there are 50 of them at most.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from dmfs.aps.contents import decode_folder
from dmfs.aps.json_values import Json, dig, text
from dmfs.aps.jsonapi import next_page
from dmfs.aps.signed_in import SignedIn, path_id
from dmfs.errors import BadResponseError
from dmfs.http.json_client import Call
from dmfs.model import Folder, FolderId, ItemId, Project

SCOPE = "data:search"
PAGES_MAX = 50
Query = Mapping[str, str]


@dataclass(slots=True)
class Hits:
    """What an index knows; any of it may be gone by now."""

    folder_ids: set[FolderId] = field(default_factory=set)
    """Where the hits are."""
    homeless: set[ItemId] = field(default_factory=set)
    """Hits of which the answer does not tell the folder."""
    count: int = 0
    pages: int = 0
    is_whole: bool = True
    """False where there are more pages than the service gives."""


@dataclass(frozen=True, slots=True)
class FolderAbove:
    """A folder by its id, and where it is."""

    folder: Folder
    parent_id: FolderId
    """'' for the top of a project."""
    is_hidden: bool
    """Deleted, or no longer shown."""


class Search:
    """Asks in the name of the drive's sign-in."""

    def __init__(self, service: SignedIn) -> None:
        self._service = service

    async def may(self, requested: str) -> bool:
        """Whether the sign-in has the scope, as far as is known. No call but for a token."""
        return SCOPE in await self._service.scopes(requested)

    async def hits(
        self, folder: Folder, query: Query, on_page: Callable[[Hits], object] = lambda _: None
    ) -> Hits:
        """All hits below a folder, by the filters in ``query``. A call for each page.
        BadResponseError for pages in a circle."""
        action = f"search {folder.name!r}"
        path = f"/data/v1/projects/{path_id(folder.project_id)}/folders/{path_id(folder.id)}/search"
        found = Hits()

        def decode(page: Json) -> Query | None:
            _take(page, action, found)
            return next_page(page, action, path)

        sent: set[tuple[tuple[str, str], ...]] = set()
        following: Query | None = query
        while following is not None:
            key = tuple(sorted(following.items()))
            if key in sent:
                raise BadResponseError(f"cannot {action}: the answer pages in a circle")
            if found.pages == PAGES_MAX:
                found.is_whole = False
                break
            sent.add(key)
            call = Call(action, "search", "GET", path, following)
            following = await self._service.request(call, decode)
            found.pages += 1
            on_page(found)
        return found

    async def folder(self, project: Project, folder_id: FolderId) -> FolderAbove:
        """A folder by its id. One call. DriveErrors."""
        action = "look where a hit of the search is"
        path = f"/data/v1/projects/{path_id(project.id)}/folders/{path_id(folder_id)}"

        def decode(answer: Json) -> FolderAbove:
            row = answer.get("data")
            parent_id = text(row, "relationships", "parent", "data", "id")
            hidden = dig(row, "attributes", "hidden") is True
            return FolderAbove(decode_folder(answer, action, project), FolderId(parent_id), hidden)

        return await self._service.request(Call(action, "folder", "GET", path, {}), decode)


def _take(page: Json, action: str, found: Hits) -> None:
    """Add the hits of a page. BadResponseError for an answer that holds none nor says so."""
    rows, items = page.get("data"), page.get("included")
    if not isinstance(rows, list):
        raise BadResponseError(f"cannot {action}: the answer holds no list")
    homes = {
        text(item, "id"): text(item, "relationships", "parent", "data", "id")
        for item in (items if isinstance(items, list) else [])
    }
    for row in rows:
        item_id = text(row, "relationships", "item", "data", "id")
        if not item_id:
            raise BadResponseError(f"cannot {action}: the answer holds a version of no item")
        found.count += 1
        home = homes.get(item_id, "")
        if home:
            found.folder_ids.add(FolderId(home))
        else:
            found.homeless.add(ItemId(item_id))

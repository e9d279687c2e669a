"""Pages of listings that could not be finished, on disk beside the listings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, Protocol, TypeVar

from dmfs.model import Child, Folder, FolderId, Leaf, Project
from dmfs.namespace.listing_codec import Record
from dmfs.namespace.listing_store import ListingStore
from dmfs.system.clock import Moment


class Page(Protocol):
    """A page without lost rows (``aps.contents.Contents``)."""

    @property
    def children(self) -> list[Child]: ...

    @property
    def tipless(self) -> list[Leaf]: ...


P = TypeVar("P", bound=Page)


class PageStore(Generic[P]):
    """All pages of one folder are one record of the listing store, which bounds them."""

    def __init__(
        self, store: ListingStore, make_page: Callable[[list[Child], list[Leaf]], P]
    ) -> None:
        self._store = store
        self._make_page = make_page

    async def load(self, project: Project, folder_id: FolderId, max_age_s: float) -> list[P]:
        """The pages from the first on; empty if there are none that are young enough."""
        record = await self._store.load(_place(project, folder_id).identity)
        age_s = None if record is None else record.moment.age_s()
        if record is None or age_s is None or age_s > max_age_s:
            return []
        parts: dict[tuple[int, str], list[Any]] = {}
        for key, child in record.entries.items():
            number, kind = key.split(" ")[:2]
            parts.setdefault((int(number), kind), []).append(child)
        count = int(record.parent) if record.parent.isdecimal() else 0
        return [
            self._make_page(parts.get((number, "c"), []), parts.get((number, "t"), []))
            for number in range(count)
        ]

    async def save(self, project: Project, folder_id: FolderId, pages: Sequence[P]) -> None:
        """In place of what was saved; none forgets it."""
        place = _place(project, folder_id)
        if not pages:
            await self._store.forget(place.identity)
            return
        entries: dict[str, Child] = {}
        for number, page in enumerate(pages):
            for kind, children in (("c", page.children), ("t", page.tipless)):
                for child in children:
                    entries[f"{number} {kind} {len(entries)}"] = child
        await self._store.save(
            Record(
                moment=Moment.now(),
                directory=place,
                parent=str(len(pages)),
                rollup_ns=None,
                entries=entries,
            )
        )


def _place(project: Project, folder_id: FolderId) -> Folder:
    """Under this identity the pages lie; no real folder has it."""
    return Folder(FolderId(f"pages of {folder_id}"), project.id, project.hub_id, "")

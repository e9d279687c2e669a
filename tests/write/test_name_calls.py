"""A step that is not wanted any more by the time that its item was looked at."""

from __future__ import annotations

from typing import Any

import pytest

from dmfs.aps.change.answers import Tip
from dmfs.model import File, FolderId, HubId, ItemId, Listing, ProjectId, StorageId, VersionId
from dmfs.write.calls.name_calls import NameCalls
from dmfs.write.records import Place
from dmfs.write.settle.nouns import DeleteItem, Item, RenameItem
from tests.support.helpers import real

ITEM = Item(ItemId("item"), VersionId("v?version=1"), "plan.dwg", 1)
FILE = File(
    ItemId("item"), "v?version=1", StorageId("s"), FolderId("f"), ProjectId("b.p"), HubId("b.h"),
    "plan.dwg", 4, version_number=1,
)  # fmt: skip


class Service:
    """Its one item, and what was asked of it."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def item(self, *_: Any) -> Tip:
        self.asked.append("item")
        return Tip(FILE, "", "plan.dwg", exists=True)

    async def delete_item(self, *_: Any) -> None:
        self.asked.append("delete")

    async def copy_version(self, *_: Any) -> None:
        self.asked.append("rename")


class View:
    """The folder, as far as a step needs it."""

    folder_id = FolderId("f")

    def place(self, name: str) -> Place:
        return Place(HubId("b.h"), ProjectId("b.p"), self.folder_id, name)


@pytest.mark.parametrize("step", [DeleteItem(ITEM, "plan.dwg"), RenameItem(ITEM, "new", "new")])
@real
async def test_what_was_taken_back_while_it_was_looked_at_is_not_done(step: Any) -> None:
    service = Service()

    async def list_again(*_: Any) -> Listing:
        raise AssertionError("nothing was asked")

    calls = NameCalls(service, list_again, lambda name, _taken: name)  # type: ignore[arg-type]
    done, file = await calls.carry_out(View(), step, lambda: False)  # type: ignore[arg-type]
    assert (done, file) == (False, None)
    assert service.asked == ["item"]

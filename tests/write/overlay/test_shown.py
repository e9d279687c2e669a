"""What is seen, against the plain rule that goes through all entries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from dmfs.model import Child, File, Folder, FolderId, Listing, WrittenFile
from dmfs.write.overlay.merging import merged
from dmfs.write.overlay.view import FolderView
from dmfs.write.records import DraftId
from dmfs.write.settle.nouns import DeleteItem, DraftState, Item, RenameItem
from tests.write.overlay.folders import Folders, a_folder, a_listing, file_in, pass_by

NAMES = "abcdef"


def plainly(folders: Folders, view: FolderView, listing: Listing) -> Mapping[str, Child]:
    """Entry by entry."""
    entries: dict[str, Child] = {}
    for name, child in listing.entries.items():
        if isinstance(child, File):
            if not view.names.hides(child.item_id, name):
                entries[name] = folders.adopted.shown(child)
        elif not view.made.hides(child):
            entries[name] = child
    for name in view.names.touched():
        content = view.names.at(name)
        if isinstance(content, Item):
            file = view.file_of(content)
            assert file is not None, content
            entries[name] = folders.adopted.shown(file)
        elif content is not None:
            node, item = folders.drafts[content].shown(), view.names.continued(name)
            assert isinstance(node, WrittenFile)
            base = node.base or (None if item is None else view.file_of(item))
            entries[name] = replace(node, base=base)
    return {**entries, **view.made.shown}


class Walk:
    """A service whose listings lag, a user, and somebody else."""

    def __init__(self, data: st.DataObject) -> None:
        self.data, self.folders, self.directory = data, Folders(), a_folder()
        self.there: dict[str, Child] = {}
        self.number = 0
        for name in NAMES[:4]:
            self.appears(name)
        self.listing = self.old = a_listing(self.directory, self.there.values())
        self.view = self.folders.view(self.directory)

    def appears(self, name: str) -> None:
        self.number += 1
        if self.number % 5 == 0:
            self.there[name] = Folder(
                FolderId(f"{name}{self.number}"), self.directory.project_id,
                self.directory.hub_id, name,
            )  # fmt: skip
        else:
            self.there[name] = file_in(self.directory, name, self.number)

    def step(self) -> None:
        pass_by(1)
        steps = (
            *(self.appears_there, self.goes_there, self.is_listed, self.saves, self.unlinks),
            *(self.renames, self.makes, self.removes, self.sets_mtime, self.done),
        )
        name, other = (self.data.draw(st.sampled_from(NAMES)) for _ in range(2))
        self.data.draw(st.sampled_from(steps))(name, other)

    @property
    def seen(self) -> Mapping[str, Child]:
        return self.view.shown(self.listing).entries

    def appears_there(self, name: str, _other: str) -> None:
        if name not in self.there:
            self.appears(name)

    def goes_there(self, name: str, _other: str) -> None:
        self.there.pop(name, None)

    def is_listed(self, _name: str, _other: str) -> None:
        self.old, self.listing = self.listing, a_listing(self.directory, self.there.values())

    def saves(self, name: str, _other: str) -> None:
        if not isinstance(self.seen.get(name), Folder):
            draft = self.folders.save(self.directory, name, self.listing)
            if self.data.draw(st.booleans()):
                file = self.folders.goes_up(self.directory, name, draft)
                self.folders.adopted.add(file, f"draft {draft}", 7)

    def unlinks(self, name: str, _other: str) -> None:
        if isinstance(self.seen.get(name), File):
            self.view.unlink(name, self.listing)

    def renames(self, name: str, other: str) -> None:
        if isinstance(self.seen.get(name), File) and not isinstance(self.seen.get(other), Folder):
            self.view.rename(name, other, self.listing)

    def makes(self, name: str, _other: str) -> None:
        if name not in self.seen:
            self.view.shows(name, a_folder(f"made {name}"))

    def removes(self, name: str, _other: str) -> None:
        child = self.seen.get(name)
        if isinstance(child, Folder):
            self.view.hides_folder(child)

    def sets_mtime(self, name: str, _other: str) -> None:
        child = self.seen.get(name)
        if isinstance(child, File) and child.version_id:
            self.folders.adopted.add(child, child.identity, 9)

    def done(self, _name: str, _other: str) -> None:
        for each in self.view.names.state("b", Anything()).absent[:1]:
            self.view.done(DeleteItem(each.item, each.name), trio.current_time(), None)
        for name in list(self.view.names.touched())[:1]:
            content = self.view.names.at(name)
            if isinstance(content, Item):
                file = self.view.file_of(content)
                assert file is not None
                self.view.done(RenameItem(content, name, name), trio.current_time(), file)

    def check(self) -> None:
        for listing in (self.listing, self.old):
            shown = self.folders.overlay.shown(listing)
            wanted = plainly(self.folders, self.view, listing)
            assert dict(shown.entries) == wanted
            assert list(shown.names) == sorted(wanted)
        self.view.see(self.listing)


class Anything(dict[DraftId, DraftState]):
    """The state of any draft."""

    def __missing__(self, key: DraftId) -> DraftState:
        return DraftState(key, 1, 1)


@given(data=st.data())
def test_what_is_seen_is_what_the_plain_rule_says(data: st.DataObject) -> None:
    async def body() -> None:
        walk = Walk(data)
        for _ in range(data.draw(st.integers(1, 25))):
            walk.step()
            walk.check()

    trio.run(body, clock=MockClock())


def test_a_name_that_is_new_finds_its_place() -> None:
    async def body() -> None:
        directory = a_folder()
        listing = a_listing(directory, [file_in(directory, name) for name in "ace"])
        assert merged(listing, {}) is listing
        found = merged(listing, {"b": file_in(directory, "b"), "c": None, "d": None})
        assert list(found.names) == ["a", "b", "e"]

    trio.run(body, clock=MockClock())

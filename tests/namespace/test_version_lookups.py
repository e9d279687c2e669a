"""Names of versions as ``Views`` answers them, out of listings at hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
import trio

from dmfs.errors import AccessError, UnreachableError
from dmfs.model import (
    Child,
    Directory,
    File,
    Folder,
    FolderId,
    Histories,
    HubId,
    Listing,
    OldVersion,
    ProjectId,
    VersionList,
    WithDeleted,
)
from dmfs.namespace.views.views import Views
from tests.support.helpers import a_file

FOLDER = Folder(FolderId("folder"), ProjectId("b.project"), HubId("b.hub"), "Plans")


def version(number: int, name: str = "plan.dwg") -> File:
    return replace(
        a_file(name), version=f"vf.{name}?version={number}", version_number=number,
        mtime_ns=number * 10**9,
    )  # fmt: skip


class Lists:
    """One folder, and the versions of what is in it; counts what is asked."""

    def __init__(self, **entries: Child) -> None:
        self.entries = {name.replace("_", "."): child for name, child in entries.items()}
        self.asked: list[str] = []
        self.away = False

    def _listing(self, directory: Directory) -> Listing:
        if not isinstance(directory, VersionList):
            return Listing(directory, self.entries, 0.0)
        if self.away:
            raise UnreachableError("the service is away")
        self.asked.append(directory.name)
        tip = directory.tip
        versions = [version(n, tip.name) for n in range(1, (tip.version_number or 0) + 1)]
        return Listing(directory, {each.version: each for each in versions}, 0.0)

    async def get(self, directory: Directory) -> Listing:
        await trio.lowlevel.checkpoint()
        return self._listing(directory)

    async def recall(self, directory: Directory) -> Listing | None:
        await trio.lowlevel.checkpoint()
        return None if isinstance(directory, VersionList) else self._listing(directory)

    def known(self, directory: Directory) -> Listing | None:
        return None if isinstance(directory, VersionList) else self._listing(directory)

    async def since(self, source: WithDeleted, at_s: float) -> Listing:
        raise AssertionError((source, at_s))

    async def keep(self, listing: Listing) -> None:
        await trio.lowlevel.checkpoint()


async def number_of(views: Views, name: str) -> int | None:
    found = await views.child(FOLDER, name)
    return found.version_number if isinstance(found, File) else None


def test_a_number_is_answered_from_the_list_and_the_tip_without_it() -> None:
    lists = Lists(plan_dwg=version(3))
    views = Views(lists)

    async def main() -> None:
        assert await number_of(views, "plan@v3.dwg") == 3
        for name in ("plan@v4.dwg", "plan@v0.dwg", "plan@v1.txt", "other@v1.dwg", "plan@v3"):
            assert await views.child(FOLDER, name) is None
        assert lists.asked == []
        assert await views.child(FOLDER, "plan@v1.dwg", without_call=True) is None
        assert await number_of(views, "plan@v1.dwg") == 1
        assert lists.asked == ["plan.dwg"]

    trio.run(main)


def test_an_item_without_details_may_have_versions() -> None:
    """Failure never looks like absence."""
    lists = Lists(plan_dwg=replace(version(3), version="", version_number=None))
    views = Views(lists)

    async def main() -> None:
        for name in ("plan@v1.dwg", "plan@v99.dwg", "plan@2020-05-01.dwg"):
            with pytest.raises(AccessError):
                await views.child(FOLDER, name)
        with pytest.raises(AccessError):
            await views.child(Histories(FOLDER), "plan.dwg")
        assert await views.child(FOLDER, "other@v1.dwg") is None

    trio.run(main)


def test_a_list_that_cannot_be_had_is_an_error() -> None:
    lists = Lists(plan_dwg=version(3))
    lists.away = True

    async def main() -> None:
        with pytest.raises(UnreachableError):
            await Views(lists).child(FOLDER, "plan@v1.dwg")
        assert await number_of(Views(lists), "plan@v3.dwg") == 3

    trio.run(main)


def test_names_that_were_cut_find_their_file() -> None:
    base = "L" * 251 + ".dwg"
    lists = Lists(plan_dwg=version(3))
    lists.entries[base] = version(12, base)

    async def main() -> None:
        for number, found in ((1, 1), (11, 11), (12, 12), (13, None)):
            mark = f"@v{number}.dwg"
            assert await number_of(Views(lists), "L" * (255 - len(mark)) + mark) == found

    trio.run(main)


def test_where_files_are_written_versions_are_nodes_of_their_own() -> None:
    lists = Lists(plan_dwg=version(3))

    async def main() -> None:
        for written_to in (False, True):
            views = Views(lists)
            views.written_to = written_to
            for name in ("plan@v3.dwg", "plan@v1.dwg"):
                found = await views.child(FOLDER, name)
                assert isinstance(found, File)
                assert isinstance(found, OldVersion) == written_to
                as_tip = version(found.version_number or 0)
                assert (found.identity == as_tip.identity) == (not written_to)

    trio.run(main)

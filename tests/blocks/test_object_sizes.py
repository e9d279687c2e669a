"""Sizes that the listing left out: which failure to find one out counts."""

from __future__ import annotations

from typing import cast

import pytest

from dmfs.blocks.object_sizes import ObjectSizes
from dmfs.blocks.store.block_store import BlockStore
from dmfs.errors import (
    AccessError,
    BusyError,
    DriveError,
    GoneError,
    SignedOutError,
    UnreachableError,
)
from dmfs.fetch.object_client import ObjectClient
from dmfs.model import File
from tests.support.helpers import a_file, no_thread, real, virtual


class Source:
    """Cannot tell the size, at first."""

    def __init__(self, error: DriveError) -> None:
        self.error: DriveError | None = error

    async def size(self, file: File) -> int:
        if self.error is not None:
            raise self.error
        return 7


@pytest.mark.parametrize("error", [UnreachableError, BusyError, SignedOutError])
def test_a_size_that_cannot_be_told_now_is_an_error_and_heals(error: type[DriveError]) -> None:
    @virtual
    async def body() -> None:
        source = Source(error("made up"))
        sizes = ObjectSizes(cast(ObjectClient, source), None)
        with pytest.raises(error):
            await sizes.learn(a_file("x", None))
        source.error = None
        await sizes.learn(a_file("x", None))
        assert sizes.of(a_file("x", None)) == 7

    body()


@pytest.mark.parametrize("error", [AccessError, GoneError])
def test_a_file_that_may_not_be_read_needs_no_size(error: type[DriveError]) -> None:
    @virtual
    async def body() -> None:
        sizes = ObjectSizes(cast(ObjectClient, Source(error("made up"))), None)
        await sizes.learn(a_file("x", None))
        assert sizes.of(a_file("x", None)) == 0

    body()


class Store:
    def sizes(self) -> dict[str, int]:
        return {a_file("x").storage_id: 9}


@real
async def test_sizes_that_no_thread_can_read_are_asked_for_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The drive starts all the same."""
    sizes = ObjectSizes(
        cast(ObjectClient, Source(UnreachableError("x"))), cast(BlockStore, Store())
    )
    with no_thread(monkeypatch):
        await sizes.load()
    assert sizes.of(a_file("x", 5)) == 5
    await sizes.load()
    assert sizes.of(a_file("x", 5)) == 9

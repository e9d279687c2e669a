"""A block store in a directory of the test's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dmfs.blocks.store.block_store import BlockStore
from tests.support.caches import store_in


@pytest.fixture
def store(tmp_path: Path) -> Iterator[BlockStore]:
    with store_in(tmp_path) as opened:
        yield opened

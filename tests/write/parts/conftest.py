"""A file to send pieces of."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

MIB = 1024 * 1024


@pytest.fixture
def descriptor(tmp_path: Path) -> Iterator[int]:
    """Of a file of 8 MiB whose bytes tell their place."""
    path = tmp_path / "data"
    path.write_bytes(b"".join(number.to_bytes(8, "big") for number in range(MIB)))
    opened = os.open(path, os.O_RDONLY)
    yield opened
    os.close(opened)

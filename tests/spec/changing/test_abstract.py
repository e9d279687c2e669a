"""fsspec's own tests of what every filesystem does."""

from __future__ import annotations

import pytest
from fsspec.tests import abstract

from dmfs.spec.filesystem import DmfsFileSystem


class Fixtures(abstract.AbstractFixtures):
    @pytest.fixture
    def fs(self, writer: DmfsFileSystem) -> DmfsFileSystem:
        return writer

    @pytest.fixture
    def fs_path(self, folder: str) -> str:
        return folder


class TestCopy(abstract.AbstractCopyTests, Fixtures):
    pass


class TestGet(abstract.AbstractGetTests, Fixtures):
    pass


class TestPut(abstract.AbstractPutTests, Fixtures):
    pass


class TestOpen(abstract.AbstractOpenTests, Fixtures):
    pass


class TestPipe(abstract.AbstractPipeTests, Fixtures):
    pass

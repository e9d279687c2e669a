"""fsspec's own tests of what every filesystem does: all of them in the nightly, on folders of the
service; else on folders of this machine, and without patterns."""

from __future__ import annotations

import os

import pytest
from fsspec.tests import abstract

from dmfs.spec.filesystem import DmfsFileSystem

NIGHTLY = os.environ.get("HYPOTHESIS_PROFILE", "").startswith("nightly")


@pytest.fixture(autouse=True)
def in_its_time(request: pytest.FixtureRequest) -> None:
    name = f"{request.cls.__name__} {request.node.name}"
    if not NIGHTLY and ("glob" in name or "TestGet" in name):
        pytest.skip("all of them take a minute: the nightly runs them")


class Fixtures(abstract.AbstractFixtures):
    @pytest.fixture
    def fs(self, writer: DmfsFileSystem) -> DmfsFileSystem:
        return writer

    @pytest.fixture
    def fs_path(self, folder: str) -> str:
        if NIGHTLY:
            return folder
        return f"{folder}/.git"


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

"""fsspec's own tests of a filesystem, against the drive."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fsspec.tests import abstract

from dmfs.emulator.process import EmulatorProcess
from dmfs.spec.filesystem import DmfsFileSystem
from tests.spec.conftest import BENCH, WRITE_SCOPES, environment_of

_numbers = itertools.count()


@pytest.fixture(scope="module")
def writing(
    running: EmulatorProcess, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[DmfsFileSystem]:
    """One drive for all, which sends nothing before its end: these tests are about names."""
    directory = tmp_path_factory.mktemp("abstract")
    with pytest.MonkeyPatch.context() as patch:
        for key, text in environment_of(running, directory).items():
            patch.setenv(key, text)
        fs = DmfsFileSystem(
            rw=True, settings={"upload_delay": 3600, "rates": "off", "scopes": WRITE_SCOPES},
            skip_instance_cache=True,
        )  # fmt: skip
    yield fs
    fs.close()


class Fixtures(abstract.AbstractFixtures):
    @pytest.fixture
    def fs(self, writing: DmfsFileSystem) -> DmfsFileSystem:
        return writing

    @pytest.fixture
    def fs_path(self, fs: DmfsFileSystem) -> Iterator[str]:
        path = f"{BENCH}/abstract {next(_numbers)}"
        fs.mkdir(path)
        yield path
        fs.rm(path, recursive=True)

    @pytest.fixture
    def local_path(self, tmp_path: Path) -> Any:
        return str(tmp_path)


class TestCopy(Fixtures, abstract.AbstractCopyTests):
    pass


class TestGet(Fixtures, abstract.AbstractGetTests):
    pass


class TestPut(Fixtures, abstract.AbstractPutTests):
    pass


class TestPipe(Fixtures, abstract.AbstractPipeTests):
    pass


class TestOpen(Fixtures, abstract.AbstractOpenTests):
    pass

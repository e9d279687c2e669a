"""Drives as filesystems of fsspec that can be changed: one for the tests of a module."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from dmfs.emulator.process import EmulatorProcess
from dmfs.spec.filesystem import DmfsFileSystem
from tests.spec.conftest import FILES, environment_of
from tests.support.fixtures import running_emulator

WRITES = {
    "scopes": "data:read data:create data:write", "upload_delay": "200ms",
    "version_interval": 0, "any_spool_disk": True, "ttl": "10m", "hub_ttl": "10m", "poll": 0,
    "rates": "off",
}  # fmt: skip
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def service() -> Iterator[EmulatorProcess]:
    """An emulator of its own: what is written stays there."""
    with running_emulator(world="sample") as started:
        yield started


@pytest.fixture(scope="module")
def writer(
    service: EmulatorProcess, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[DmfsFileSystem]:
    """A drive that can be changed."""
    directory = tmp_path_factory.mktemp("writer")
    with pytest.MonkeyPatch.context() as patch:
        for key, text in environment_of(service, directory).items():
            patch.setenv(key, text)
        fs = DmfsFileSystem(settings=WRITES, rw=True, auto_mkdir=True, skip_instance_cache=True)
        yield fs
        fs.close()


@pytest.fixture
def folder(writer: DmfsFileSystem) -> str:
    """A new folder of the service."""
    path = f"{FILES}/folder {next(_numbers)}"
    writer.mkdir(path)
    return path

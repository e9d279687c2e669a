"""Pictures of what is written on the drive: none until the service has it, then of that version."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from dmfs.emulator.thumbnails.pictures import png
from tests.support.fixtures import drives
from tests.support.mounts import wait_until
from tests.thumbnails.conftest import FOLDER
from tests.write.conftest import WRITES

ATTRIBUTE = "user.dmfs.thumbnail"


def has_none(path: Path) -> bool:
    try:
        os.getxattr(path, ATTRIBUTE)
    except OSError as error:
        return error.errno == errno.ENODATA
    return False


def state(path: Path) -> bytes:
    return os.getxattr(path, "user.dmfs.state")


@pytest.mark.mount
def test_what_is_only_here_has_no_picture_and_each_version_has_its_own(emulator, tmp_path):
    made = []
    with drives(tmp_path, emulator, source=FOLDER, options=["rw"], config=WRITES) as make:
        path = make().point / "Saved.rvt"
        for text in (b"first", b"second"):
            path.write_bytes(text)
            assert has_none(path) or state(path) == b"clean"
            wait_until(lambda: state(path) == b"clean")
            version = os.getxattr(path, "user.dmfs.version_id").decode()
            wait_until(lambda: os.getxattr(path, "user.dmfs.version_id").decode() not in made)
            made.append(version)
            assert os.getxattr(path, ATTRIBUTE) == png(version, 200)
    assert len(set(made)) == 2
    emulator.change("hide", path=f"{FOLDER[1:]}/Saved.rvt")

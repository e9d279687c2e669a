"""One emulator and one mount for the tests of what file managers do."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from dmfs.desktop.share_files import SHARE
from dmfs.desktop.types import file_types
from dmfs.emulator.process import EmulatorProcess
from tests.support.fixtures import running_emulator
from tests.support.mounts import Drive

MODELS, FEW = 1000, 20
OTHERS = "dwg dxf iges igs stl gltf glb 3mf pln pla blend pdf xlsx docx csv txt png jpg mp4 zip"
"""Known to shared-mime-info, each as one type."""
FOLDER = "Bench/Bench Project/Project Files/models"
CONTROL = "Bench/Bench Project/Project Files/few"


@pytest.fixture(scope="package")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drive]:
    """A mount whose folder ``models`` has 1000 files of every type that we know, and the types
    that shared-mime-info knows; it has been listed once."""
    with running_emulator(world="small:files=1,min=10,max=20") as emulator:
        fill(emulator, FOLDER, MODELS)
        fill(emulator, CONTROL, FEW)
        config = {"ttl": "10m", "hub_ttl": "10m"}
        with Drive(tmp_path_factory.mktemp("models"), emulator, config=config) as drive:
            for folder in (FOLDER, CONTROL):
                drive.call("listdir", drive.path(folder))
            yield drive


def fill(emulator: EmulatorProcess, folder: str, count: int) -> None:
    """Add a folder with so many files, of one type after the other."""
    ends = [end for each in file_types() for end in each.extensions] + OTHERS.split()
    parent, _, name = folder.rpartition("/")
    emulator.change("add_folder", path=parent, name=name)
    emulator.changes(
        *(
            {"op": "add_item", "path": folder, "size": 3_000_000 + number,
             "name": f"Plan {number:04d}.{ends[number % len(ends)]}"}
            for number in range(count)
        )
    )  # fmt: skip


@pytest.fixture(scope="package")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A person's share directory with the types installed. Tests that take it are marked
    ``tool("update-mime-database")``."""
    data = tmp_path_factory.mktemp("data")
    (data / "mime/packages").mkdir(parents=True)
    shutil.copy(SHARE / "mime/packages/dmfs.xml", data / "mime/packages")
    done = subprocess.run(
        ["update-mime-database", str(data / "mime")], capture_output=True, text=True, timeout=60,
        env={"PATH": "/usr/bin:/bin", "XDG_DATA_HOME": str(data)}, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "arning" not in done.stdout
    return data

"""A folder of 1000 models as GIO lists it for Nautilus, Nemo, Caja, Thunar and file choosers."""

from __future__ import annotations

import errno
import re

import pytest

from tests.desktop.files.conftest import CONTROL, FEW, FOLDER
from tests.support.mounts import Drive

pytestmark = [pytest.mark.mount, pytest.mark.tool("gio")]
SHOWN = (
    "standard::name,standard::type,standard::size,standard::content-type,standard::icon,"
    "standard::is-hidden,standard::is-backup,time::modified,access::can-trash,thumbnail::path,"
    "metadata::*"
)
"""About what a file manager wants of each file of a folder that it shows."""


def listed(drive: Drive, folder: str, data: str) -> tuple[dict[str, str], int]:
    """Types by the ends of the names, and how often a file was opened."""
    before = drive.log().count(" open /")
    done = drive.tool(
        "gio", "list", "--hidden", "-a", SHOWN, drive.path(folder), environ={"XDG_DATA_HOME": data}
    )
    assert (done.returncode, done.stderr) == (0, b"")
    found = {}
    lines = done.stdout.decode().splitlines()
    assert lines
    for line in lines:
        match = re.search(r"\.(\w+)\t.*standard::content-type=(\S+)", line)
        assert match is not None, line
        found[match[1]] = match[2]
    return found, drive.log().count(" open /") - before


@pytest.mark.tool("update-mime-database")
def test_a_folder_of_a_thousand_models_costs_nothing(models: Drive, database):
    models.emulator.reset()
    found, opens = listed(models, FOLDER, str(database))
    assert (opens, models.counts()) == (0, {})
    assert len(found) > 100
    assert "application/octet-stream" not in found.values()


def test_without_the_types_it_opens_what_it_does_not_know(models: Drive, tmp_path):
    """The control. Its reads make the drive ask for files at the service."""
    models.emulator.reset()
    _, opens = listed(models, CONTROL, str(tmp_path))
    assert opens == FEW
    counts = models.counts()
    assert counts["sign"] == FEW
    assert counts["cdn_get"] >= FEW


def test_markers_and_trash_cost_nothing(models: Drive):
    """What GIO looks for beside the files: ``.hidden``, ``.Trash-1000`` …"""
    models.emulator.reset()
    for name in (".hidden", ".Trash-0", ".Trash", f"{FOLDER}/.hidden", f"{FOLDER}/.directory"):
        assert models.call("errno_of", "stat", models.path(name)) == errno.ENOENT
    assert models.counts() == {}
    done = models.tool("gio", "info", "-a", "trash::*,access::*,filesystem::*", models.path(FOLDER))
    assert done.returncode == 0, done.stderr
    assert models.counts() == {}


def test_what_emblems_ask_costs_nothing(models: Drive):
    """Without a call, and without opening the file."""
    models.emulator.reset()
    attributes = "xattr::dmfs.pinned,xattr::dmfs.cached,xattr::dmfs.state"
    before = models.log().count(" open /")
    done = models.tool("gio", "list", "-a", attributes, models.path(CONTROL))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(b"xattr::dmfs.cached=") == FEW
    assert models.log().count(" open /") == before
    assert models.counts() == {}

"""The table of types, and the file for shared-mime-info that is made of it."""

from __future__ import annotations

import re
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from dmfs.desktop import types
from dmfs.desktop.mime_xml import NAMESPACE, mime_xml
from dmfs.desktop.share_files import SHARE
from dmfs.desktop.types import file_types

SYSTEM = Path("/usr/share/mime")
FIELD = (
    "rvt rfa rte rft nwd nwc nwf ifc ifczip ifcxml f3d f3z f2d dwf dwfx skp step stp stpz ipt iam"
    " idw ipn sldprt sldasm slddrw 3dm rcp rcs e57 las laz fbx dgn dwt dws catpart catproduct prt"
    " asm par psm x_t x_b sat smt jt max usdz"
).split()


def test_the_file_is_what_the_table_says():
    assert (SHARE / "mime/packages/dmfs.xml").read_text("utf-8") == mime_xml()


def test_every_type_of_the_field_is_there_once():
    ends = [end for each in file_types() for end in each.extensions]
    assert len(ends) == len(set(ends))
    assert set(FIELD) - set(ends) == set()
    names = [each.name for each in file_types()]
    assert len(names) == len(set(names))
    for each in file_types():
        assert re.fullmatch(r"(application|model|image)/[a-z0-9.+-]+", each.name)
        assert all(re.fullmatch(r"[a-z0-9_]+", end) for end in each.extensions), each.name
        assert set(each.words) == {"en", "de", "fr"}
        assert all(text.strip() == text and text for text in each.words.values())


def test_aliases_and_kinds_are_of_types_that_are_there():
    names = {each.name for each in file_types()}
    assert set(types.ALIASES) <= names
    assert set(types.KIND_OF) <= names
    aliases = [alias for each in types.ALIASES.values() for alias in each]
    assert len(aliases) == len(set(aliases))
    assert not set(aliases) & names
    assert set(types.UNSURE) <= {end for each in file_types() for end in each.extensions}


def test_no_type_is_taken_for_an_archive_or_a_text():
    parents = ET.fromstring(mime_xml()).findall(f".//{{{NAMESPACE}}}sub-class-of")
    assert {each.get("type") for each in parents} == {
        "application/vnd.autodesk.revit",
        "application/vnd.autodesk.navisworks",
        "image/vnd.dwg",
    }


def test_every_icon_is_there_and_small():
    pictures = SHARE / "icons/hicolor/scalable"
    for icon in {each.icon for each in file_types()}:
        picture = (pictures / f"mimetypes/{icon}.svg").read_text()
        assert len(picture) <= 2048
        assert ET.fromstring(picture).get("viewBox") == "0 0 64 64"
    for path in pictures.rglob("*.svg"):
        assert not re.search(r"script|href", path.read_text())


@pytest.mark.skipif(not (SYSTEM / "globs2").exists(), reason="there is no shared-mime-info")
def test_what_the_system_knows_is_not_claimed():
    ours = {f"*.{end}" for each in file_types() for end in each.extensions}
    mine = {each.name for each in file_types()}
    for line in (SYSTEM / "globs2").read_text().splitlines():
        if not line.startswith("#"):
            _, name, pattern, *_ = line.split(":")
            assert pattern.lower() not in ours or name in mine, line


@pytest.mark.tool("gio", "update-mime-database")
def test_gio_is_certain_of_each_type_in_upper_case_too(database, tmp_path):
    """Whether it had to read: the files hold what would make it say text/plain."""
    for each in file_types():
        for end in each.extensions:
            (tmp_path / f"Plan 1.2.{end.upper()}").write_text("plain words\n")
    done = subprocess.run(
        ["gio", "list", "-a", "standard::content-type", str(tmp_path)],
        capture_output=True, text=True, timeout=60, check=True,
        env={"PATH": "/usr/bin:/bin", "XDG_DATA_HOME": str(database), "LC_ALL": "C.UTF-8"},
    )  # fmt: skip
    found = {}
    for line in done.stdout.splitlines():
        name, *_, attributes = line.split("\t")
        end = name.rpartition(".")[2].lower()
        match = re.search(r"content-type=(\S+)", attributes)
        assert match is not None
        found[end] = match[1]
    assert found == {end: each.name for each in file_types() for end in each.extensions}
    shown = subprocess.run(
        ["gio", "info", "-a", "standard::icon", str(tmp_path / "Plan 1.2.RVT")],
        capture_output=True, text=True, timeout=60, check=True,
        env={"PATH": "/usr/bin:/bin", "XDG_DATA_HOME": str(database), "LC_ALL": "C.UTF-8"},
    ).stdout  # fmt: skip
    assert "standard::icon: dmfs-model," in shown

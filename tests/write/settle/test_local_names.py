"""The table of local names: what programs make, and what people would be surprised to miss."""

from __future__ import annotations

import pytest

from dmfs.names import aside_name
from dmfs.write.settle.local_names import Kind, LocalNames, Role, is_local_folder

TABLE = LocalNames()


def test_no_setting_sends_up_a_file_that_is_being_written_aside():
    name, names = aside_name("a draft"), LocalNames(("!*.partial", "!.*"))
    assert names.find("film.partial") is None
    assert names.find(name) is not None


@pytest.mark.parametrize(
    ("name", "program"),
    [
        (".~lock.a.ods#", "LibreOffice"),
        ("lu8012kd9x.tmp", "LibreOffice"),
        ("~$report.docx", "Office"),
        ("~WRD0001.tmp", "Word"),
        ("plan.dwl", "AutoCAD"),
        ("plan.DWL2", "AutoCAD"),
        ("plan_1_2_3456.sv$", "AutoCAD"),
        ("atmp1.ac$", "AutoCAD"),
        ("sav1A2B.tmp", "AutoCAD"),
        ("a.20260504-093015.FCBak", "FreeCAD"),
        ("a.FCStd1", "FreeCAD"),
        ("a.FCStd.01234567-89ab-cdef-0123-456789abcdef", "FreeCAD"),
        ("a.blend1", "Blender"),
        ("a.blend@", "Blender"),
        ("a.blend32", "Blender"),
        (".plan.txt.swp", "vim"),
        (".plan.txt.swx", "vim"),
        ("4913", "vim"),
        ("plan.txt~", "vim"),
        ("#plan.txt#", "emacs"),
        (".#plan.txt", "emacs"),
        (".goutputstream-A1B2C3", "GLib"),
        (".plan.dwg.Xy12Zz", "rsync"),
        ("a.zip.part", "Firefox"),
        ("a.zip.crdownload", "Chromium"),
        ("a.py___jb_tmp___", "JetBrains"),
        ("a.py___jb_old___", "JetBrains"),
        (".DS_Store", "macOS"),
        ("._plan.dwg", "macOS"),
        ("Thumbs.db", "Windows"),
        ("desktop.ini", "Windows"),
        (".directory", "KDE"),
        (".fuse_hidden0000001200000001", "removed"),
        (".nfs000000000a1b2c3d00000001", "removed"),
        (".Trash-1000", "trash"),
        ("tmp_obj_a1B2c3", "git"),
        ("model.rvt.slog", "Revit"),
        ("house.rhl", "Rhino"),
    ],
)
def test_always_local(name: str, program: str) -> None:
    found = TABLE.find(name)
    assert found is not None
    assert found.row.kind is Kind.ALWAYS
    assert not found.row.beside
    assert program in found.row.program


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("plan.bak", Role.BACKUP),
        ("house.0001.rvt", Role.BACKUP),
        ("acad12.tmp", Role.TEMPORARY),
        ("x.temp", Role.TEMPORARY),
        ("1A2B3C4D.tmp", Role.TEMPORARY),
        ("1A2B3C4D", Role.TEMPORARY),
        ("sedAbC12d", Role.TEMPORARY),
        ("ziAbC12d", Role.TEMPORARY),
        ("5036", Role.SCRATCH),
        ("qX3b9Z", Role.TEMPORARY),
        ("tmpab12_xyz", Role.TEMPORARY),
    ],
)
def test_local_in_a_dance(name: str, role: Role) -> None:
    found = TABLE.find(name)
    assert found is not None
    assert (found.row.kind, found.row.role) == (Kind.IN_DANCE, role)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("plan.dwg.aBcDeF", "plan.dwg"),
        ("a.db-journal", "a.db"),
        ("a.db-wal", "a.db"),
        ("config.lock", "config"),
    ],
)
def test_local_beside_its_file(name: str, file: str) -> None:
    found = TABLE.find(name)
    assert found is not None
    assert found.row.beside
    assert found.file == file


@pytest.mark.parametrize(
    "name",
    [
        *("plan.dwg", "README", "LICENSE", "report.backup", "plan.200101", "20260504"),
        *("Makefile", "notes.final", "sedan.dwg", "a.blend", "part.ipt", "tempel.rvt"),
        *("house.rvt", "drawing #4", "~plan.dwg", "lunch.txt", ".profile", "a.FCStd"),
        *("Zürich.pdf", "plan.dwg.backup", "journal", "lock", "x" * 255, "swp", ".sw"),
    ],
)
def test_ordinary(name: str) -> None:
    assert TABLE.find(name) is None


def test_a_user_adds_patterns_and_takes_out_others() -> None:
    names = LocalNames(("*.scratch", "!Thumbs.db"))
    found = names.find("a.scratch")
    assert found is not None
    assert found.row.kind is Kind.ALWAYS
    assert names.find("Thumbs.db") is None
    assert names.find("plan.dwl") is not None


def test_folders() -> None:
    assert is_local_folder(".git")
    assert is_local_folder(".Trash-1000")
    assert not is_local_folder("git")
    assert not is_local_folder(".github")

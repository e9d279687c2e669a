"""What cannot have a picture is known without a question."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dmfs.model import DeletedItem, Folder, FolderId, HubId, ProjectId, Root, VersionId
from dmfs.thumbnails.subjects import subject_of
from tests.thumbnails.subjects import a_file, a_shortcut


@pytest.mark.parametrize("name", ["a.rvt", "a.DWG", "x.ifc", "plan", ".rvt", "a.new", "ä.pdf"])
def test_files_are_worth_a_question(name: str):
    assert subject_of(a_file(name)) == (a_file(name).version_id, "b.1", "b.2")


@pytest.mark.parametrize("name", ["a.txt", "LOG.TXT", "a.csv", "all.zip", "film.mp4", "k.pem"])
def test_names_that_cannot_have_one(name: str):
    assert subject_of(a_file(name)) is None


def test_deleted_and_unreadable_items_have_none():
    assert subject_of(a_file(kind=DeletedItem)) is None
    assert subject_of(replace(a_file(), version="")) is None


def test_of_shortcuts_only_designs_and_models():
    design = a_shortcut("versions:autodesk.fusion360:Design")
    assert subject_of(design) == (VersionId("urn:v?version=1"), "a.1", "a.2")
    assert subject_of(a_shortcut("versions:autodesk.bim360:C4RModel")) is not None
    assert subject_of(a_shortcut("versions:autodesk.bim360:Document")) is None
    assert subject_of(a_shortcut("versions:autodesk.fusion360:Design", None)) is None


def test_directories_have_none():
    folder = Folder(FolderId("urn:f"), ProjectId("b.1"), HubId("b.2"), "Plans.rvt")
    assert subject_of(folder) is None
    assert subject_of(Root()) is None

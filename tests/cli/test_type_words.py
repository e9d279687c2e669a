"""What an entry is, in words."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmfs.cli.exploring.type_words import model_words, schema_words, type_words, words_of
from dmfs.model import (
    File,
    Folder,
    FolderId,
    Histories,
    History,
    Hub,
    HubId,
    ItemId,
    Past,
    Project,
    ProjectId,
    Root,
    StorageId,
)

DAY_NS = 86_400 * 10**9


@pytest.mark.parametrize(
    ("extension_type", "words"),
    [
        ("items:autodesk.bim360:File", "file"),
        ("versions:autodesk.core:File", "file"),
        ("items:autodesk.bim360:C4RModel", "Revit cloud model"),
        ("versions:autodesk.fusion360:Design", "Fusion design"),
        ("items:autodesk.fusion360:Drawing", "Fusion drawing"),
        ("items:autodesk.bim360:Document", "BIM 360 sheet"),
        ("hubs:autodesk.a360:PersonalHub", "personal hub"),
        ("items:autodesk.bim360:HoloDeck", "BIM 360 holo deck"),
        ("items:autodesk.fusion360:CAMSetup2", "Fusion CAM setup 2"),
        ("items:autodesk.core:PlantModel", "plant model"),
        ("items:acme.pipes:RunOfPipe", "pipes run of pipe"),
        ("", ""),
        ("File", "file"),
        ("items:autodesk.bim360:", ""),
        ("items:autodesk.bim360:\n\x1b", ""),
    ],
)
def test_types(extension_type: str, words: str) -> None:
    assert type_words(extension_type) == words


@given(st.text(max_size=40) | st.from_regex(r"items:autodesk\.\w+:\w+", fullmatch=True))
def test_any_type_is_short_and_on_one_line(extension_type: str) -> None:
    words = type_words(extension_type)
    assert words == " ".join(words.split())
    assert len(words) <= 250


def project(web_url: str) -> Project:
    return Project(ProjectId("b.1"), HubId("b.2"), "P", None, "projects:autodesk.bim360:Project",
                   web_url)  # fmt: skip


def file(**more: Any) -> File:
    values: dict[str, Any] = {
        "item_id": ItemId("urn:i"), "version": "urn:v?version=1", "storage_id": StorageId("urn:s"),
        "folder_id": FolderId("urn:f"), "project_id": ProjectId("b.1"), "hub_id": HubId("b.2"),
        "name": "a.dwg", "size_bytes": 1, "extension_type": "versions:autodesk.bim360:File",
    }  # fmt: skip
    return File(**(values | more))


def test_nodes() -> None:
    assert words_of(Root()) == "all hubs"
    assert words_of(Hub(HubId("b.1"), "H", "hubs:autodesk.bim360:Account")) == (
        "BIM 360 or ACC account"
    )
    assert words_of(Hub(HubId("b.1"), "H")) == "hub"
    acc = "https://acc.autodesk.com/docs/files/projects/1"
    assert words_of(project(acc)) == "ACC project"
    assert words_of(project(acc.replace(".com", ".eu"))) == "ACC project"
    assert words_of(project("https://docs.b360.autodesk.com/projects/1")) == "BIM 360 project"
    for nothing in ("", "https://elsewhere.example/acc.autodesk.com", "http://["):
        assert words_of(project(nothing)) == "BIM 360 or ACC project"
    folder = Folder(FolderId("urn:f"), ProjectId("b.1"), HubId("b.2"), "F", service=True)
    assert words_of(folder) == "folder of a tool"
    assert words_of(Past(folder, 0)) == "folder of a tool, as it was at a moment"
    assert words_of(Histories(folder)) == "files with former versions"
    assert words_of(History(file(), "a.dwg")) == "versions of a file"
    assert words_of(file()) == "file"
    assert words_of(file(version="")) == "file that the service does not let you read"


@pytest.mark.parametrize(
    ("state", "published_ns", "changed_ns", "words"),
    [
        ("published", DAY_NS, 2 * DAY_NS, "published as it is now"),
        ("needs publishing", DAY_NS, 4 * DAY_NS, "published 3 days before its last change"),
        ("unknown", DAY_NS, 2 * DAY_NS, "published 1 day before its last change"),
        ("needs publishing", DAY_NS, DAY_NS, "with changes that are not published"),
        ("needs publishing", DAY_NS, None, "with changes that are not published"),
        ("needs publishing", DAY_NS, DAY_NS + 7200 * 10**9,
         "published 2 hours before its last change"),
        ("publishing", DAY_NS, 9 * DAY_NS, "being published now"),
        ("publishing failed", DAY_NS, 9 * DAY_NS, "whose last publishing failed"),
        ("unknown", DAY_NS, None, "published"),
        ("needs publishing", None, DAY_NS, "never published"),
    ],
)  # fmt: skip
def test_models(state: str, published_ns: int | None, changed_ns: int | None, words: str) -> None:
    assert model_words(state, published_ns, changed_ns) == f"Revit cloud model, {words}"


def test_the_schema_services_own_words() -> None:
    assert schema_words({"description": " A deck. ", "title": "HoloDeck"}) == "A deck."
    assert schema_words({"description": None, "title": "HoloDeck"}) == "HoloDeck"
    assert schema_words({"type": "object"}) == ""

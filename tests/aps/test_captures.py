"""Answers as captured from the real service."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dmfs.aps.contents import decode_contents
from dmfs.aps.hubs import decode_projects
from dmfs.aps.jsonapi import next_page
from dmfs.model import File, Folder, HubId
from tests.support.answers import PROJECT

HERE = Path(__file__).resolve().parents[2]
CAPTURES = next(
    (p for p in (HERE.parent / "shared/api/captures", Path("/work/shared/api/captures"))
     if p.is_dir()), None,
)  # fmt: skip


def capture(name: str) -> Any:
    assert CAPTURES is not None
    return json.loads((CAPTURES / name).read_bytes())  # bytes: some begin with a BOM


needs_captures = pytest.mark.skipif(CAPTURES is None, reason="the captures are not beside us")
CONTENTS = sorted(p.name for p in CAPTURES.glob("*Contents*.json")) if CAPTURES else []


@needs_captures
@pytest.mark.parametrize("name", CONTENTS)
def test_every_captured_folder_reads_without_losing_an_entry(name: str) -> None:
    answer = capture(name)
    contents = decode_contents(answer, "list", PROJECT)
    shown = {getattr(child, "item_id", None) or child.id for child in contents.children}  # type: ignore[union-attr]
    wanted = {
        row["id"]
        for row in answer["data"]
        if not row["attributes"].get("hidden")
    }  # fmt: skip
    assert shown | {leaf.item_id for leaf in contents.tipless} == wanted
    for child in contents.children:
        assert child.name
        if isinstance(child, File):
            assert child.size_bytes is not None or not name.startswith("Recursion_")
            assert child.mtime_ns > 1_400_000_000 * 10**9
            assert child.storage_id.startswith("urn:adsk.objects:os.object:wip.dm.prod/")
        elif isinstance(child, Folder):
            assert child.rollup_ns
            assert child.rollup_ns >= (child.created_ns or 0)


@needs_captures
def test_the_captures_hold_what_they_held_when_looked_at() -> None:
    sizes = {name: len(decode_contents(capture(name), "x", PROJECT).children) for name in CONTENTS}
    assert sizes["Recursion_GetFolderContents_4.json"] == 0
    assert sizes["Recursion_GetFolderContents_6.json"] == 0
    assert sizes["Recursion_GetFolderContents_3.json"] > 5


@needs_captures
@pytest.mark.parametrize("name", ["ProjectsResponse.json", "ProjectsResponseWithPagination.json"])
def test_captured_projects(name: str) -> None:
    answer = capture(name)
    projects = decode_projects(answer, "list", HubId("b.h"))
    assert [project.id for project in projects] == [row["id"] for row in answer["data"]]
    assert all(project.name and project.root_folder_id for project in projects)
    following = answer["links"].get("next")
    assert bool(following) == ("WithPagination" in name)


@needs_captures
def test_captured_pagination_link_is_followed() -> None:
    answer = capture("FolderContentsResponseWithPagination.json")
    href = answer["links"]["next"]["href"]
    path = href.split("?")[0].split("autodesk.com", 1)[1]
    query = next_page(answer, "list", path)
    assert query is not None
    assert query["page[number]"].isdigit()

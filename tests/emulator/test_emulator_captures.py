"""Every key of real captured answers is in ours, for the same kind of thing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[2]
_PLACES = (Path("/work/shared/api/captures"), _ROOT.parent / "shared" / "api" / "captures")
CAPTURES = next((place for place in _PLACES if place.is_dir()), None)
pytestmark = pytest.mark.skipif(CAPTURES is None, reason="the captured answers are not here")

ALLOWED: dict[str, str] = {}
"""Key paths of captures that ours may lack, with the reason. None so far."""


def key_paths(value, prefix=""):
    """``{"a.b[].c": "str"}``: key paths and the JSON type of what is there."""
    if isinstance(value, dict):
        found = {}
        for key, inner in value.items():
            found[f"{prefix}.{key}"] = "dict"
            found |= key_paths(inner, f"{prefix}.{key}")
        return found
    if isinstance(value, list):
        found = {prefix: "list"}
        for inner in value:
            found |= key_paths(inner, f"{prefix}[]")
        return found
    return {prefix: type(value).__name__}


def load(name):
    assert CAPTURES is not None
    return json.loads((CAPTURES / name).read_text(encoding="utf-8-sig"))


def by_kind(documents):
    """Key paths of folders, items and versions by extension type."""
    kinds: dict[str, dict[str, str]] = {}
    for document in documents:
        for node in document["data"] + document.get("included", []):
            kind = node["attributes"]["extension"]["type"]
            kinds.setdefault(kind, {}).update(key_paths(node))
    return kinds


def contents_of(api, facts, *folders):
    project = facts.project("Sample Project")
    folder = facts.folder(project, "Project Files", *folders)
    return api.contents(project["id"], folder["id"])[0]


def test_contents(api, facts):
    assert CAPTURES is not None
    names = sorted(path.name for path in CAPTURES.glob("Recursion_GetFolderContents_*.json"))
    assert names
    real = by_kind([load(name) for name in names])
    assert len(real) == 3
    ours = by_kind([contents_of(api, facts), contents_of(api, facts, "Documents")])
    for kind, paths in real.items():
        missing = {path: type_ for path, type_ in paths.items() if path not in ours[kind]}
        assert set(missing) <= set(ALLOWED), kind
        wrong = {
            path: (type_, ours[kind][path]) for path, type_ in paths.items()
            if path in ours[kind] and ours[kind][path] != type_
        }  # fmt: skip
        assert not wrong, kind
        assert not set(ours[kind]) - set(paths), "keys that no captured answer has"


def test_documents(api, facts):
    real = load("Recursion_GetFolderContents_5.json")
    ours = contents_of(api, facts)
    assert set(real) == set(ours)
    assert set(real["links"]) <= set(ours["links"])
    empty = load("Recursion_GetFolderContents_4.json")
    project = facts.project("Quirks")
    folder = facts.folder(project, "Project Files", "Folders", "empty")
    assert set(api.contents(project["id"], folder["id"])[0]) == set(empty)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("Recursion_GetFolder_1.json", "folder"), ("FolderResponseRootFolder.json", "root"),
        ("ProjectResponse.json", "project"),
    ],
)  # fmt: skip
def test_single_things(api, facts, name, kind):
    project = facts.project("Sample Project")
    hub = facts.world["hubs"][0]["id"]
    folder = facts.folder(project, "Project Files")["id"]
    base = f"/data/v1/projects/{project['id']}/folders"
    path = {
        "folder": f"{base}/{folder}",
        "root": f"{base}/{project['root_folder']}",
        "project": f"/project/v1/hubs/{hub}/projects/{project['id']}",
    }[kind]
    missing = set(key_paths(load(name))) - set(key_paths(api.get(path).json))
    assert missing <= set(ALLOWED)

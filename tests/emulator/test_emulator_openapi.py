"""Answers against Autodesk's own OpenAPI files, where they lie beside the checkout.

They are inputs of generators rather than a contract: :data:`WRONG` lists where they disagree with
captured answers or with documented oddities, each with its reason.
"""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import quote

import pytest

yaml = pytest.importorskip("yaml")
validators = pytest.importorskip("openapi_schema_validator")

_ROOT = Path(__file__).resolve().parents[2]
_PLACES = (Path("/work/shared/api/openapi"), _ROOT.parent / "shared" / "api" / "openapi")
SPECS = next((place for place in _PLACES if place.is_dir()), None)
pytestmark = pytest.mark.skipif(SPECS is None, reason="the OpenAPI files are not here")

WRONG = (
    # (schema, place in the answer, keyword that fails, why ours is right)
    (r".*", r".*extension\.data\.\w+", "type",
     "the spec has a map of objects; captures hold texts, lists and flags"),
    (r".*", r".*\.(create|lastModified)User(Id|Name)", "minLength",
     "captured root folders have empty user ids and names"),
    (r".*", r"data", "minItems", "captured empty folders have data: []"),
    (r"ItemTip", r"links", "required",
     "the spec wants links.href; the tutorial's answers have links.self.href everywhere"),
)  # fmt: skip
ON_PURPOSE = (
    (r".*", r".*\.(name|displayName)", "minLength", "sample with an empty name"),
    (r".*", r".*attributes", "required",
     "samples without name, displayName or lastModifiedTime (facts 3.2, 3.3)"),
)  # fmt: skip


@pytest.fixture(scope="module")
def documents():
    assert SPECS is not None
    loaded = {}
    for name in ("datamanagement", "oss"):
        with (SPECS / f"{name}.yaml").open(encoding="utf-8") as file:
            loaded[name] = yaml.load(file, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return loaded


def complaints(document, schema, body):
    """``(place without indices, keyword that failed, message)``."""
    validator = validators.OAS30Validator(
        {"$ref": f"#/components/schemas/{schema}", "components": document["components"]}
    )
    return [
        (".".join(step for step in error.absolute_path if isinstance(step, str)),
         error.validator, error.message[:200])
        for error in validator.iter_errors(body)
    ]  # fmt: skip


def unexplained(document, schema, body, known=WRONG):
    return [
        (place, keyword, message)
        for place, keyword, message in complaints(document, schema, body)
        if not any(
            re.fullmatch(s, schema) and re.fullmatch(p, place) and k == keyword
            for s, p, k, _ in known
        )
    ]


def answers(facts, hub, name):
    """``(schema, path)`` for everything in a project, at most two items a folder."""
    node = facts.project(name, hub)
    hub_url = f"/project/v1/hubs/{quote(facts.hub(hub)['id'])}"
    data_url = f"/data/v1/projects/{quote(node['id'])}"
    yield "Hub", hub_url
    yield "Projects", f"{hub_url}/projects"
    yield "Project", f"{hub_url}/projects/{quote(node['id'])}"
    yield "TopFolders", f"{hub_url}/projects/{quote(node['id'])}/topFolders"
    waiting = [node["folders"][0]]
    while waiting:
        folder = waiting.pop()
        waiting += folder["folders"]
        yield "Folder", f"{data_url}/folders/{folder['id']}"
        yield "FolderContents", f"{data_url}/folders/{folder['id']}/contents?page[limit]=20"
        for item in folder["items"][:2]:
            version = quote(item["versions"][-1]["id"], safe="")
            yield "Item", f"{data_url}/items/{item['id']}"
            yield "ItemTip", f"{data_url}/items/{item['id']}/tip"
            yield "Versions", f"{data_url}/items/{item['id']}/versions?page[limit]=3"
            yield "Version", f"{data_url}/versions/{version}"
            yield "DownloadFormats", f"{data_url}/versions/{version}/downloadFormats"


@pytest.mark.parametrize(
    ("hub", "project", "known"),
    [
        ("Emulated Builders / Headquarters", "Sample Project", WRONG),
        ("Emulated Builders / Headquarters", "Riverside BIM 360", WRONG),
        ("Emulated Fusion Team", "Gearbox", WRONG),
        ("Emulated BIM 360 Team", "House Design", WRONG),
        ("Emulated Builders / Headquarters", "Quirks", WRONG + ON_PURPOSE),
    ],
)
def test_project_and_data(documents, api, facts, hub, project, known):
    bad = {}
    for schema, path in answers(facts, hub, project):
        reply = api.get(path)
        assert reply.status == 200, path
        found = unexplained(documents["datamanagement"], schema, reply.json, known)
        if found:
            bad[path] = found
    assert not bad


def test_hubs_and_search(documents, api, facts):
    spec = documents["datamanagement"]
    assert not unexplained(spec, "Hubs", api.get("/project/v1/hubs").json)
    project = facts.project("Sample Project")
    folder = facts.folder(project, "Project Files")
    path = f"/data/v1/projects/{project['id']}/folders/{folder['id']}/search"
    assert not unexplained(spec, "Search", api.get(path).json)


@pytest.mark.parametrize("signing", ["complete", "chunked", "fallback"])
def test_signing(documents, emulator, api, facts, signing):
    emulator.settings(signing=signing)
    folder = facts.folder(facts.project("Sample Project"), "Project Files")
    storage = facts.item(folder, "README.txt")["versions"][0]["storage"]
    body = api.sign(storage).json
    assert not unexplained(documents["oss"], "signeds3download_response", body)
    bucket, _, key = storage.removeprefix("urn:adsk.objects:os.object:").partition("/")
    details = api.get(f"/oss/v2/buckets/{bucket}/objects/{key}/details").json
    assert not unexplained(documents["oss"], "objectFullDetails", details)


def test_the_validation_has_teeth(documents, api, facts):
    project = facts.project("Sample Project")
    path = f"/data/v1/projects/{project['id']}/folders/{project['root_folder']}"
    body = api.get(path).json
    body["data"]["attributes"]["hidden"] = "no"
    del body["data"]["attributes"]["createTime"]
    found = unexplained(documents["datamanagement"], "Folder", body)
    assert {(place, keyword) for place, keyword, _ in found} == {
        ("data.attributes.hidden", "type"), ("data.attributes", "required"),
    }  # fmt: skip

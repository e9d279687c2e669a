"""The emulator's paths and answers against Autodesk's OpenAPI files."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

import pytest

from dmfs.emulator.server.routes import API_ROUTES

from . import openapi_digest
from .openapi import FILES, NO_FILES, ON_PURPOSE, WRONG, Contract, facts, whole_files

pytest.importorskip("openapi_schema_validator")
UNDOCUMENTED = {
    "POST /authentication/v2/authorize": "the form of the page on which a person consents",
    "GET /data/v1/projects/x/downloads/x/source": "a link in the documented example of a download",
    "GET /schema/v1/versions/x": "the Schema service has no such file",
    "GET /modelderivative/v2/designdata/x/thumbnail": "nor has the Model Derivative service",
}


@pytest.fixture(scope="module", params=["facts", "files"] if FILES else ["facts"])
def contract(request):
    return Contract(facts() if request.param == "facts" else whole_files())


def answers(known_facts, hub, name):
    """Paths of everything in a project, at most two items a folder."""
    node = known_facts.project(name, hub)
    hub_url = f"/project/v1/hubs/{quote(known_facts.hub(hub)['id'])}"
    data_url = f"/data/v1/projects/{quote(node['id'])}"
    yield hub_url
    yield f"{hub_url}/projects"
    yield f"{hub_url}/projects/{quote(node['id'])}"
    yield f"{hub_url}/projects/{quote(node['id'])}/topFolders"
    waiting = [node["folders"][0]]
    while waiting:
        folder = waiting.pop()
        waiting += folder["folders"]
        yield f"{data_url}/folders/{folder['id']}"
        yield f"{data_url}/folders/{folder['id']}/contents?page[limit]=20"
        for item in folder["items"][:2]:
            version = quote(item["versions"][-1]["id"], safe="")
            yield f"{data_url}/items/{item['id']}"
            yield f"{data_url}/items/{item['id']}/tip"
            yield f"{data_url}/items/{item['id']}/versions?page[limit]=3"
            yield f"{data_url}/versions/{version}"
            yield f"{data_url}/versions/{version}/downloadFormats"


def wrong_in(contract, api, path, known=WRONG):
    reply = api.get(path)
    return contract.answer_complaints("GET", urlsplit(path).path, reply.status, reply.json, known)


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
def test_project_and_data(contract, api, facts, hub, project, known):
    bad = {
        path: found
        for path in answers(facts, hub, project)
        if (found := wrong_in(contract, api, path, known))
    }
    assert not bad


def test_hubs_and_search(contract, api, facts):
    assert not wrong_in(contract, api, "/project/v1/hubs")
    project = facts.project("Sample Project")
    folder = facts.folder(project, "Project Files")
    path = f"/data/v1/projects/{project['id']}/folders/{folder['id']}/search"
    assert not wrong_in(contract, api, path)


@pytest.mark.parametrize("signing", ["complete", "chunked", "fallback"])
def test_signing(contract, emulator, api, facts, signing):
    emulator.settings(signing=signing)
    folder = facts.folder(facts.project("Sample Project"), "Project Files")
    storage = facts.item(folder, "README.txt")["versions"][0]["storage"]
    bucket, _, key = storage.removeprefix("urn:adsk.objects:os.object:").partition("/")
    for verb in ("signeds3download", "details"):
        assert not wrong_in(contract, api, f"/oss/v2/buckets/{bucket}/objects/{key}/{verb}")


def test_the_validation_has_teeth(contract, api, facts):
    project = facts.project("Sample Project")
    path = f"/data/v1/projects/{project['id']}/folders/{project['root_folder']}"
    body = api.get(path).json
    body["data"]["attributes"]["hidden"] = "no"
    del body["data"]["attributes"]["createTime"]
    body["data"]["type"] = "directories"
    found = contract.answer_complaints("GET", path, 200, body)
    assert {(place, keyword) for place, keyword, _ in found} == {
        ("data.attributes.hidden", "type"), ("data.attributes", "required"), ("data.type", "enum"),
    }  # fmt: skip
    [(_, keyword, _)] = contract.answer_complaints("GET", path, 202, body)
    assert keyword == "status"


def test_each_path_of_the_emulator_is_documented(contract):
    sample = [
        (route.method, "/" + "/".join("x" if p.startswith(":") else p for p in route.pattern))
        for route in API_ROUTES
    ]
    strange = {f"{method} {path}" for method, path in sample if contract.find(method, path) is None}
    assert strange == set(UNDOCUMENTED)


@pytest.mark.skipif(FILES is None, reason=NO_FILES)
def test_the_facts_are_those_of_the_files():
    assert FILES is not None
    found = openapi_digest.digest(openapi_digest.read_files(FILES))
    assert openapi_digest.as_text(found) == openapi_digest.FACTS.read_text("utf-8")

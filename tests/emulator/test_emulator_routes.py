"""Routes, tokens, paging and error shapes, from outside."""

from __future__ import annotations

import base64
import time
from urllib.parse import quote

import pytest

from .client import Api, fetch, token_reply

APP = {"client_id": "emulator-app", "client_secret": "emulator-secret"}
GRANT = {"grant_type": "client_credentials", "scope": "data:read"}
BASIC = {"Authorization": "Basic " + base64.b64encode(b"emulator-app:emulator-secret").decode()}


class TestTokens:
    def test_by_body_or_basic_but_not_both(self, emulator):
        by_body = token_reply(emulator.api_url, GRANT | APP)
        assert by_body.status == 200
        assert by_body.json["token_type"] == "Bearer"
        assert by_body.json["expires_in"] == 3599
        assert token_reply(emulator.api_url, GRANT, BASIC).status == 200
        assert token_reply(emulator.api_url, GRANT | APP, BASIC).status == 400

    @pytest.mark.parametrize(
        ("form", "status"),
        [
            (APP | {"grant_type": "client_credentials"}, 400),
            (APP | {"grant_type": "client_credentials", "scope": "data:nonsense"}, 400),
            (APP | {"grant_type": "password", "scope": "data:read"}, 400),
            (GRANT | APP | {"client_secret": "wrong"}, 401),
            (GRANT | {"client_id": "nobody", "client_secret": "x"}, 401),
            (GRANT, 401),
        ],
    )
    def test_refusals(self, emulator, form, status):
        reply = token_reply(emulator.api_url, form)
        assert reply.status == status
        assert {"error", "error_description"} <= set(reply.json) or reply.json["errorCode"]

    def test_gateway_shape_without_token_with_bad_token_and_with_wrong_scope(self, emulator):
        url = f"{emulator.api_url}/project/v1/hubs"
        narrow = Api(emulator, scope="viewables:read")
        for headers in (
            {},
            {"Authorization": "Bearer x"},
            {"Authorization": f"Bearer {narrow.token}"},
        ):
            reply = fetch(url, headers=headers)
            assert reply.status == 401
            assert {"developerMessage", "errorCode", "more info"} <= set(reply.json)

    def test_expiry(self, emulator):
        emulator.settings(token_ttl_s=0.3)
        api = Api(emulator)
        assert api.get("/project/v1/hubs").status == 200
        time.sleep(0.35)
        assert api.get("/project/v1/hubs").status == 401
        oss = api.sign("urn:adsk.objects:os.object:wip.dm.prod/x")
        assert oss.json["developerMessage"] == "Access token provided is invalid or expired."

    def test_expire_tokens(self, emulator, api):
        emulator.expire_tokens()
        assert api.get("/project/v1/hubs").status == 401
        assert Api(emulator).get("/project/v1/hubs").status == 200


class TestApps:
    def test_a_strict_app_sees_accounts_only(self, emulator, facts):
        api = Api(emulator, "emulator-strict", "strict-secret")
        hubs = api.get("/project/v1/hubs").json["data"]
        assert hubs
        assert all(hub["id"].startswith("b.") for hub in hubs)
        team = facts.hub("Emulated Fusion Team")
        assert api.get(f"/project/v1/hubs/{quote(team['id'])}").status == 403
        project = team["projects"][0]
        url = f"/data/v1/projects/{quote(project['id'])}/folders/{project['root_folder']}/contents"
        assert api.get(url).status == 403
        root = project["folders"][0]
        pdf = next(i for i in root["items"] if i["displayName"] == "Datasheet.pdf")
        assert api.sign(pdf["versions"][0]["storage"]).status == 403

    def test_an_unadmitted_app_gets_200_and_warnings(self, emulator, facts):
        api = Api(emulator, "emulator-unadmitted", "unadmitted-secret")
        reply = api.get("/project/v1/hubs")
        assert reply.status == 200
        assert reply.json["data"] == []
        warnings = reply.json["meta"]["warnings"]
        assert len(warnings) > 5
        assert {"HttpStatusCode", "ErrorCode", "Title", "Detail"} <= set(warnings[0])
        assert warnings[0]["HttpStatusCode"] == "403"
        account = facts.world["hubs"][0]
        assert api.get(f"/project/v1/hubs/{account['id']}").status == 403

    def test_a_viewonly_app_lists_but_does_not_download(self, emulator, facts):
        api = Api(emulator, "emulator-viewonly", "viewonly-secret")
        files = facts.folder(facts.project("Sample Project"), "Project Files")
        project = facts.project("Sample Project")["id"]
        assert api.contents(project, files["id"])[0]["data"]
        reply = api.sign(facts.item(files, "README.txt")["versions"][0]["storage"])
        assert reply.status == 403
        assert set(reply.json) == {"reason"}


class TestProjects:
    def test_hubs_of_every_kind_and_warnings_are_normal(self, api, facts):
        reply = api.get("/project/v1/hubs")
        data = reply.json["data"]
        assert [hub["id"] for hub in data] == [hub["id"] for hub in facts.world["hubs"]]
        kinds = {hub["attributes"]["extension"]["type"] for hub in data}
        assert kinds == {
            "hubs:autodesk.core:Hub", "hubs:autodesk.a360:PersonalHub",
            "hubs:autodesk.bim360:Account",
        }  # fmt: skip
        assert reply.json["meta"]["warnings"]
        assert "next" not in reply.json["links"]
        names = [hub["attributes"]["name"] for hub in data]
        assert any("/" in name for name in names)
        assert names.count("Twin Hub") == 2
        assert any(hub["id"].endswith("=") for hub in data)

    def test_projects_come_in_pages(self, api, facts):
        hub = facts.hub("Emulated Europe")["id"]
        pages = api.pages(f"/project/v1/hubs/{hub}/projects")
        assert [len(page["data"]) for page in pages] == [200, 30]
        assert "page%5Bnumber%5D=1" in pages[0]["links"]["next"]["href"]
        assert pages[0]["links"]["next"]["href"].startswith(api.url)
        small = api.pages(f"/project/v1/hubs/{hub}/projects?page[limit]=100")
        assert [len(page["data"]) for page in small] == [100, 100, 30]
        for bad in ("page[limit]=201", "page[limit]=0", "page[number]=-1", "page[number]=x"):
            assert api.get(f"/project/v1/hubs/{hub}/projects?{bad}").status == 400

    def test_one_hub_one_project_and_filters(self, api, facts):
        hub = facts.world["hubs"][0]
        project = facts.project("Sample Project")
        base = f"/project/v1/hubs/{hub['id']}"
        assert api.get(base).json["data"]["attributes"]["name"] == hub["name"]
        one = api.get(f"{base}/projects/{project['id']}").json["data"]
        assert one["attributes"]["extension"]["data"]["projectType"] == "ACC"
        assert one["relationships"]["rootFolder"]["data"]["id"] == project["root_folder"]
        found = api.get(f"{base}/projects?filter%5Battributes.name%5D=Sample%20Project").json
        assert [each["id"] for each in found["data"]] == [project["id"]]
        assert api.get(f"{base}/projects/b.nothing").status == 404
        assert api.get("/project/v1/hubs/b.nothing").status == 404
        other = facts.hub("Twin Hub")["id"]
        assert api.get(f"/project/v1/hubs/{other}/projects/{project['id']}").status == 404
        assert api.get(f"{base}/projects/{project['id']}/hub").json["data"]["id"] == hub["id"]

    def test_top_folders(self, api, facts):
        hub, project = facts.world["hubs"][0], facts.project("Quirks")
        url = f"/project/v1/hubs/{hub['id']}/projects/{project['id']}/topFolders"
        names = [each["attributes"]["name"] for each in api.get(url).json["data"]]
        assert "Deleted Top Folder" in names
        live = api.get(f"{url}?excludeDeleted=true").json["data"]
        assert [each["attributes"]["hidden"] for each in live] == [False, True]
        service = facts.project("Service Folders")
        url = f"/project/v1/hubs/{hub['id']}/projects/{service['id']}/topFolders"
        assert len(api.get(url).json["data"]) == 17
        only = api.get(f"{url}?projectFilesOnly=true").json["data"]
        assert [each["attributes"]["name"] for each in only] == ["Project Files", "For the Field"]

    def test_a_fresh_project_is_not_ready_twice(self, changing):
        from .client import Facts

        facts, api = Facts(changing), Api(changing)
        hub, project = facts.world["hubs"][0], facts.project("Fresh Project")
        url = f"/project/v1/hubs/{hub['id']}/projects/{project['id']}/topFolders"
        assert [api.get(url).status for _ in range(3)] == [404, 404, 200]

    @pytest.mark.parametrize("name", ["Archived Project", "Just Archived Project"])
    def test_an_archived_project(self, api, facts, name):
        hub, project = facts.world["hubs"][0], facts.project(name)
        listed = api.get(f"/project/v1/hubs/{hub['id']}/projects").json["data"]
        ids = [each["id"] for each in listed]
        assert (project["id"] in ids) == name.startswith("Just")
        reply = api.get(f"/project/v1/hubs/{hub['id']}/projects/{project['id']}/topFolders")
        assert reply.status == 403
        error = reply.json["errors"][0]
        assert error["code"] == "BIM360DM_ERROR"
        assert error["status"] == "403"
        assert project["id"] in error["detail"]


class TestData:
    def test_folder_with_if_modified_since(self, api, sample):
        project, folder, _ = sample
        url = f"/data/v1/projects/{project}/folders/{folder['id']}"
        reply = api.get(url)
        assert reply.json["data"]["attributes"]["name"] == "Documents"
        again = api.get(url, {"If-Modified-Since": reply.headers["last-modified"]})
        assert (again.status, again.body) == (304, b"")
        old = {"If-Modified-Since": "Mon, 01 Jan 2024 00:00:00 GMT"}
        assert api.get(url, old).status == 200
        assert api.get(url, {"If-Modified-Since": "yesterday"}).status == 200

    def test_colons_may_be_encoded(self, api, sample):
        project, folder, _ = sample
        encoded = quote(folder["id"], safe="")
        assert "%3A" in encoded
        assert api.get(f"/data/v1/projects/{project}/folders/{encoded}").status == 200

    def test_parent(self, api, facts, sample):
        project, folder, item = sample
        base = f"/data/v1/projects/{project}"
        files = facts.folder(facts.project("Sample Project"), "Project Files")
        assert api.get(f"{base}/folders/{folder['id']}/parent").json["data"]["id"] == files["id"]
        assert api.get(f"{base}/items/{item['id']}/parent").json["data"]["id"] == folder["id"]
        root = facts.project("Sample Project")["root_folder"]
        assert api.get(f"{base}/folders/{root}/parent").status == 403

    def test_item_tip_and_versions(self, api, sample):
        project, _, item = sample
        base = f"/data/v1/projects/{project}/items/{item['id']}"
        reply = api.get(f"{base}?includePathInProject=true").json
        assert reply["data"]["attributes"]["pathInProject"] == "/Project Files/Documents"
        tip = item["versions"][-1]["id"]
        assert [each["id"] for each in reply["included"]] == [tip]
        assert api.get(f"{base}/tip").json["data"]["id"] == tip
        versions = api.get(f"{base}/versions").json["data"]
        assert [each["attributes"]["versionNumber"] for each in versions] == [2, 1]
        only = api.get(f"{base}/versions?filter[versionNumber]=1").json["data"]
        assert [each["attributes"]["versionNumber"] for each in only] == [1]

    def test_versions_come_in_pages(self, api, facts):
        project = facts.project("Quirks")
        folder = facts.folder(project, "Project Files", "Versions")
        item = facts.item(folder, "250 versions.txt")
        pages = api.pages(f"/data/v1/projects/{project['id']}/items/{item['id']}/versions")
        assert [len(page["data"]) for page in pages] == [200, 50]

    def test_version_ids_must_be_encoded(self, api, sample):
        project, _, item = sample
        version = item["versions"][0]["id"]
        base = f"/data/v1/projects/{project}/versions"
        good = api.get(f"{base}/{version.replace('?', '%3F')}")
        assert good.json["data"]["id"] == version
        assert api.get(f"{base}/{quote(version, safe='')}").json["data"]["id"] == version
        assert api.get(f"{base}/{version}").status == 404
        owner = api.get(f"{base}/{quote(version, safe='')}/item").json["data"]["id"]
        assert owner == item["id"]

    def test_contents_filters(self, api, facts):
        project = facts.project("Sample Project")
        files = facts.folder(project, "Project Files")
        base = f"?{quote('filter[type]')}="
        folders = api.contents(project["id"], files["id"], f"{base}folders")[0]
        assert {each["type"] for each in folders["data"]} == {"folders"}
        assert "included" not in folders
        items = api.contents(project["id"], files["id"], f"{base}items")[0]
        assert [each["attributes"]["displayName"] for each in items["data"]] == ["README.txt"]
        by_id = api.contents(project["id"], files["id"], f"?filter[id]={items['data'][0]['id']}")
        assert len(by_id[0]["data"]) == 1
        kind = "?filter[extension.type]=items:autodesk.bim360:File"
        assert len(api.contents(project["id"], files["id"], kind)[0]["data"]) == 1
        url = f"/data/v1/projects/{project['id']}/folders/{files['id']}/contents"
        assert api.get(f"{url}?filter[type]-like=items").status == 400
        starts = "?filter[displayName]-starts=READ,NOTHING"
        assert len(api.contents(project["id"], files["id"], starts)[0]["data"]) == 1
        late = "?filter[lastModifiedTimeRollup]-ge=2099"
        assert api.contents(project["id"], files["id"], late)[0]["data"] == []

    def test_search(self, api, facts):
        project = facts.project("Sample Project")
        files = facts.folder(project, "Project Files")
        url = f"/data/v1/projects/{project['id']}/folders/{files['id']}/search"
        url += "?filter[fileType]=txt,png"
        reply = api.get(url).json
        names = [each["attributes"]["name"] for each in reply["data"]]
        assert set(names) == {"README.txt", "Minutes.txt", "Facade.png"}
        assert {each["type"] for each in reply["included"]} == {"items"}
        assert Api(api.emulator, scope="data:read").get(url).status == 401

    def test_commands(self, api, sample):
        project, _, item = sample
        reply = api.post(f"/data/v1/projects/{project}/commands", _command("ListItems", [item]))
        assert reply.status == 200
        resource = reply.json["data"]["relationships"]["resources"]["data"][0]
        assert resource["meta"]["attributes"]["displayName"] == "Minutes.txt"
        assert reply.json["included"][0]["id"] == item["versions"][-1]["id"]
        checked = api.post(
            f"/data/v1/projects/{project}/commands", _command("CheckPermission", [item])
        )
        permission = checked.json["data"]["relationships"]["resources"]["data"][0]["meta"]
        assert permission == {
            "permission": True, "details": {"view": True, "download": True}
        }  # fmt: skip
        many = _command("ListItems", [item] * 51)
        assert api.post(f"/data/v1/projects/{project}/commands", many).status == 400
        assert api.post(f"/data/v1/projects/{project}/commands", {"data": 1}).status == 400

    def test_schema(self, api):
        for spelled in ("items:autodesk.bim360:File-1.0", "items%3Aautodesk.bim360%3AFile-1.0"):
            assert api.get(f"/schema/v1/versions/{spelled}").json["type"] == "object"
        assert api.get("/schema/v1/versions/items:autodesk.bim360:HoloDeck-1.0").status == 404

    def test_404_has_the_data_services_shape(self, api, sample):
        project, folder, item = sample
        for path in (f"folders/{folder['id']}x/contents", f"items/{item['id']}x", "versions/x"):
            reply = api.get(f"/data/v1/projects/{project}/{path}")
            assert reply.status == 404
            error = reply.json["errors"][0]
            assert error["status"] == "404"
            assert error["code"].endswith("_NOT_FOUND")
        # Something of another project is not found either.
        other = api.get(f"/data/v1/projects/b.{'0' * 8}/folders/{folder['id']}/contents")
        assert other.status == 404

    def test_relations_are_there_and_empty(self, api, sample):
        project, folder, item = sample
        for path in (f"folders/{folder['id']}/refs", f"items/{item['id']}/relationships/links"):
            assert api.get(f"/data/v1/projects/{project}/{path}").json["data"] == []

    def test_unknown_paths_and_methods(self, api):
        assert api.get("/nonsense").status == 404
        assert fetch(f"{api.url}/project/v1/hubs", "DELETE").status == 404


def _command(kind, items):
    resources = [{"type": "items", "id": item["id"]} for item in items]
    extension: dict[str, object] = {"type": f"commands:autodesk.core:{kind}", "version": "1.0.0"}
    if kind == "CheckPermission":
        extension["data"] = {"requiredActions": ["view", "download"]}
    return {
        "jsonapi": {"version": "1.0"},
        "data": {
            "type": "commands",
            "attributes": {"extension": extension},
            "relationships": {"resources": {"data": resources}},
        },
    }


def hrefs(value):
    """All links within an answer."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "href":
                yield inner
            yield from hrefs(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from hrefs(inner)


def test_every_link_leads_somewhere(api, facts):
    """Absolute, on our own origin, and answered; but for other services and web pages."""
    hub, project = facts.world["hubs"][0], facts.project("Sample Project")
    files = facts.folder(project, "Project Files")
    documents = facts.folder(project, "Project Files", "Documents")
    item = facts.item(documents, "Minutes.txt")
    seen = set()
    for path in (
        "/project/v1/hubs", f"/project/v1/hubs/{hub['id']}/projects/{project['id']}",
        f"/data/v1/projects/{project['id']}/folders/{files['id']}/contents",
        f"/data/v1/projects/{project['id']}/items/{item['id']}",
        f"/data/v1/projects/{project['id']}/items/{item['id']}/versions",
    ):  # fmt: skip
        seen |= set(hrefs(api.get(path).json))
    ours = [href for href in seen if href.startswith(api.url)]
    assert len(ours) > 60
    others = seen - set(ours)
    assert all(href.startswith("https://") for href in others)
    kinds = ("/project/v1/", "/data/v1/", "/schema/v1/")
    for href in ours:
        if href.removeprefix(api.url).startswith(kinds):
            assert api.get(href).status == 200, href
    (storage,) = [href for href in ours if "/oss/" in href and href in set(
        hrefs(api.get(f"/data/v1/projects/{project['id']}/items/{item['id']}").json))]  # fmt: skip
    assert "?scopes=b360project." in storage
    assert api.get(storage.replace("?", "/details?")).status == 200

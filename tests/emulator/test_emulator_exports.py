"""Download formats, jobs and downloads of designs: delays, failures, ends, and counts of posts."""

from __future__ import annotations

import hashlib
import time
from urllib.parse import quote, urlsplit

import pytest

from dmfs.emulator.designs.rules import Course, make_rule
from dmfs.emulator.process import EmulatorError
from dmfs.emulator.world.catalog import make_world
from dmfs.emulator.world.times import offset_form

from .client import Api, Facts, fetch
from .writer import WRITE, Writer, link

HUB = "Emulated Fusion Team"


class Exporter(Writer):
    """A user in the project of the designs."""

    def post(self, version, format_="f3z", **members):
        return self.data("POST", "downloads", {
            "type": "downloads",
            "attributes": {"format": {"fileType": format_}},
            "relationships": {"source": link("versions", version)}, **members,
        })  # fmt: skip

    def job(self, version, format_="f3z"):
        """The id of a new job."""
        reply = self.post(version, format_)
        assert reply.status == 202, reply.body
        found: str = reply.json["data"][0]["id"]
        return found

    def poll(self, job):
        """Its state, or the status of another answer than 200."""
        reply = self.data("GET", f"jobs/{job}")
        return reply.json["data"]["attributes"]["status"] if reply.status == 200 else reply.status

    def download(self, job):
        return self.data("GET", f"downloads/{job}")

    def sign(self, download):
        storage = download.json["data"]["relationships"]["storage"]["data"]["id"]
        return storage, self.call("GET", f"{self.object(storage)}/signeds3download")


@pytest.fixture(scope="session")
def gearbox(facts):
    return facts.project("Gearbox", HUB)


@pytest.fixture
def ada(emulator, gearbox):
    return Exporter(emulator, gearbox["id"])


def version_of(project, kind):
    items = project["folders"][0]["items"]
    item = next(item for item in items if item["type"].endswith(kind))
    found: str = item["versions"][-1]["id"]
    return found


@pytest.fixture(scope="session")
def design(gearbox):
    return version_of(gearbox, ":Design")


@pytest.mark.parametrize(
    ("kind", "formats"),
    [
        (":Design", ["f3z", "step", "stl", "iges", "sat", "obj"]),
        (":Drawing", ["pdf", "dwg"]),
        ("core:File", ["pdf"]),
    ],
)
def test_formats_by_extension_type(ada, gearbox, kind, formats):
    version = version_of(gearbox, kind)
    path = f"versions/{quote(version, safe='')}"
    reply = ada.data("GET", f"{path}/downloadFormats")
    assert reply.status == 200
    data = reply.json["data"]
    assert (data["type"], data["id"]) == ("downloadFormats", version)
    assert [each["fileType"] for each in data["attributes"]["formats"]] == formats
    assert ada.data("GET", f"{path}/downloads").json["data"] == []


def test_what_has_no_bytes_can_be_had_as_nothing(emulator, facts):
    project = facts.project("Riverside BIM 360")
    plans = facts.folder(project, "Plans")["items"]
    sheet = next(item for item in plans if item["type"].endswith(":Document"))["versions"][0]["id"]
    ada = Exporter(emulator, project["id"])
    reply = ada.data("GET", f"versions/{quote(sheet, safe='')}/downloadFormats")
    assert reply.json["data"]["attributes"]["formats"] == []
    assert ada.post(sheet, "pdf").status == 400


def test_formats_can_be_set(emulator, ada, design):
    emulator.exports(formats={"fusion360:Design": ["f3z", "usdz"]})
    path = f"versions/{quote(design, safe='')}/downloadFormats"
    found = ada.data("GET", path).json["data"]["attributes"]["formats"]
    assert found == [{"fileType": "f3z"}, {"fileType": "usdz"}]
    assert ada.post(design, "usdz").status == 202


def test_a_job_becomes_a_download_whose_bytes_are_read(emulator, ada, design):
    emulator.exports(queue_polls=1, process_polls=2)
    reply = ada.post(design)
    assert reply.status == 202
    assert reply.headers["content-type"] == "application/vnd.api+json"
    [data] = reply.json["data"]
    assert data["type"] == "jobs"
    assert data["attributes"] == {"status": "queued"}
    assert data["links"]["self"] == reply.json["links"]["self"]
    job = data["id"]
    assert ada.download(job).status == 404  # not yet
    states = [ada.poll(job) for _ in range(4)]
    assert states == ["queued", "processing", "processing", 303]
    place = urlsplit(ada.data("GET", f"jobs/{job}").headers["location"])
    assert place.path == f"/data/v1/projects/{quote(ada.project)}/downloads/{job}"
    download = ada.call("GET", place.path)
    assert download.status == 200
    found = download.json["data"]
    assert (found["type"], found["id"]) == ("downloads", job)
    assert found["attributes"] == {"format": {"fileType": "f3z"}}
    source = found["relationships"]["source"]
    assert source["data"] == {"type": "versions", "id": design}
    at = urlsplit(source["links"]["related"]["href"]).path
    assert ada.call("GET", at).json["data"]["id"] == design
    storage, signed = ada.sign(download)
    assert storage.endswith(".f3z")
    body = fetch(signed.json["url"]).body
    assert len(body) == signed.json["size"]
    assert emulator.sha256(storage) == (hashlib.sha256(body).hexdigest(), len(body))
    assert body[7000:7100] == emulator.bytes(storage, 7000, 100)


def test_a_job_takes_its_seconds(emulator, ada, design):
    emulator.exports(queue_s=60)
    assert ada.poll(ada.job(design)) == "queued"
    emulator.exports(queue_s=0, process_s=60)
    assert ada.poll(ada.job(design)) == "processing"
    course = Course(queue_s=2, process_s=3, queue_polls=1)
    polled = [(1.9, 9), (2, 1), (2, 2), (4.9, 2), (5, 2)]
    assert [course.state(*each) for each in polled] == [
        "queued", "queued", "processing", "processing", "finished",
    ]  # fmt: skip


@pytest.mark.parametrize("outcome", ["failed", "queued", "processing"])
def test_jobs_that_come_to_nothing(emulator, ada, design, outcome):
    emulator.export_rule(match={"version": design, "format": "stl"}, outcome=outcome)
    job, other = ada.job(design, "stl"), ada.job(design, "step")
    assert [ada.poll(job) for _ in range(3)] == [outcome] * 3
    assert ada.download(job).status == 404
    assert ada.poll(other) == 303


def test_each_nth_job_fails(emulator, ada, design):
    emulator.export_rule(every=3, skip=1, times=2, outcome="failed")
    states = [ada.poll(ada.job(design)) for _ in range(12)]
    assert [n for n, state in enumerate(states, 1) if state == "failed"] == [4, 7]


def test_downloads_and_objects_that_are_gone(emulator, ada, design):
    emulator.export_rule(match={"format": "stl"}, outcome="vanished")
    emulator.export_rule(match={"format": "step"}, outcome="lost")
    vanished, lost, there = (ada.job(design, each) for each in ("stl", "step", "f3z"))
    assert [ada.poll(each) for each in (vanished, lost, there)] == [303] * 3
    assert ada.download(vanished).status == 404
    assert ada.sign(ada.download(lost))[1].status == 404
    download = ada.download(there)
    url = ada.sign(download)[1].json["url"]
    emulator.expire_downloads(there)
    assert ada.download(there).status == 404
    assert ada.sign(download)[1].status == 404
    gone = fetch(url)
    assert gone.status == 404
    assert b"<Code>NoSuchKey</Code>" in gone.body
    assert ada.poll(there) == 303  # the job does not know


def test_a_download_lives_so_long(emulator, ada, design):
    emulator.exports(download_ttl_s=0, job_ttl_s=60)
    job = ada.job(design)
    assert ada.poll(job) == 303
    assert ada.download(job).status == 404
    emulator.exports(job_ttl_s=0)
    assert ada.poll(job) == 404


def test_an_object_can_go_while_it_is_fetched(emulator, ada, design):
    job = ada.job(design)
    assert ada.poll(job) == 303
    emulator.race("sign", {"op": "expire_downloads"}, when="after")
    _, signed = ada.sign(ada.download(job))
    assert (signed.status, fetch(signed.json["url"]).status) == (200, 404)
    assert emulator.races()[0]["hits"] == 1


def test_posts_are_counted_by_version_and_format(emulator, ada, design):
    emulator.fault("reset_before_headers", route="downloads_post")
    with pytest.raises(OSError, match="reset"):
        ada.post(design)
    ada.job(design)
    ada.job(design, "step")
    assert ada.post(design, "docx").status == 400
    found = emulator.exports()
    counts = {(row["version"], row["format"]): row["count"] for row in found["posts"]}
    assert counts == {(design, "f3z"): 2, (design, "step"): 1}
    assert found["posted_again"] == 1
    assert {(row["client"], row["user"]) for row in found["jobs"]} == {
        ("emulator-desktop", "ADAEMU000001")
    }
    emulator.reset()
    assert emulator.exports()["posted_again"] == 1  # as many kills as a client likes
    emulator.clear_exports()
    assert emulator.exports()["posts"] == []


def test_a_post_after_a_bad_end_is_not_needless(emulator, ada, design):
    emulator.export_rule(outcome="failed", times=1)
    emulator.export_rule(outcome="lost", times=1)
    assert [ada.poll(ada.job(design)) for _ in range(3)] == ["failed", 303, 303]
    emulator.expire_downloads()
    emulator.exports(process_polls=2)
    job = ada.job(design)
    assert ada.poll(job) == "processing"
    found = emulator.exports()
    assert (found["posted_again"], found["posted_needlessly"]) == (3, 0)
    ada.job(design, "stl")
    ada.job(design)
    assert [ada.poll(job) for _ in range(2)] == ["processing", 303]
    ada.job(design)
    assert emulator.exports()["posted_needlessly"] == 2


def test_who_may_post(emulator, gearbox, design):
    reader = Exporter(emulator, gearbox["id"], scope="data:read")
    reply = reader.post(design)
    assert reply.status == 403
    assert reply.json["errorCode"] == "AUTH-012"
    emulator.exports(scope_status=401)
    assert reader.post(design).status == 401
    app = Exporter(emulator, gearbox["id"])
    app.token = Api(emulator, scope=WRITE).token
    assert app.post(design).status == 403
    assert emulator.exports()["posts"] == []
    emulator.exports(user_needed=False)
    job = app.job(design)
    assert app.poll(job) == 303
    emulator.exports(user_needed=True)
    assert app.data("GET", f"jobs/{job}").status == app.download(job).status == 403


def test_in_accounts_an_app_may_post_if_it_may_read(emulator, facts):
    project = facts.project("Riverside BIM 360")
    files = facts.folder(project, "Project Files")
    version = facts.item(files, "Specification.txt")["versions"][0]["id"]
    app = Exporter(emulator, project["id"])
    app.token = Api(emulator, scope=WRITE).token
    assert app.poll(app.job(version, "txt")) == 303
    app.token = Api(emulator, "emulator-viewonly", "viewonly-secret", scope=WRITE).token
    assert app.post(version, "txt").status == 403


def test_what_may_not_be_seen_any_more(written):
    path = f"{HUB}/Gearbox"
    folder = written.change("add_folder", path=path, name="to be revoked")
    [item] = written.change("add_designs", id=folder["id"])["items"]
    ada = Exporter(written, Facts(written).project("Gearbox", HUB)["id"])
    job = ada.job(item["versions"][0]["id"])
    assert ada.poll(job) == 303
    download = ada.download(job)
    written.change("revoke", id=folder["id"])
    assert ada.post(item["versions"][0]["id"]).status == 403
    assert (ada.poll(job), ada.download(job).status) == (404, 404)
    assert ada.sign(download)[1].status == 403


def test_wrong_posts(emulator, ada, design, facts):
    for reply, code in (
        (ada.post(design, "pdf"), "BAD_INPUT"),
        (ada.post(design, ""), "BAD_INPUT"),
        (ada.post(design, type="jobs"), "BAD_INPUT"),
        (ada.post(design, relationships={"source": link("items", design)}), "BAD_INPUT"),
        (ada.post(design, attributes={}), "BAD_INPUT"),
    ):
        assert (reply.status, reply.json["errors"][0]["code"]) == (400, code)
    reply = ada.post("urn:adsk.wipprod:fs.file:vf.none?version=1")
    assert (reply.status, reply.json["errors"][0]["code"]) == (404, "VERSION_NOT_FOUND")
    assert ada.poll("no-job") == ada.download("no-job").status == 404
    path = f"/data/v1/projects/{quote(ada.project)}/downloads"
    assert ada.call("POST", path, {}, content_type="text/plain").status == 415
    # jobs are those of their project
    other = Exporter(emulator, facts.project("House Design", "Emulated BIM 360 Team")["id"])
    assert other.poll(ada.job(design)) == 404


def test_published_rates(emulator, ada, design):
    emulator.settings(rate_limits="published")
    job = ada.job(design)
    statuses = [ada.post(design).status for _ in range(50)]
    assert statuses == [202] * 49 + [429]
    path = f"versions/{quote(design, safe='')}/downloadFormats"
    assert [ada.data("GET", path).status for _ in range(51)][-1] == 429
    emulator.settings(rate_limits="0.01")
    emulator.reset()
    assert [ada.poll(job) for _ in range(4)] == [303, 303, 303, 429]


def test_the_jobs_answer_can_be_the_example_s(emulator, ada, design):
    emulator.exports(job_in_list=False)
    data = ada.post(design).json["data"]
    assert ada.poll(data["id"]) == 303


def test_orders_that_make_no_sense(emulator):
    for changes in (
        {"queue_s": -1}, {"queue_polls": 1.5}, {"outcome": "lucky"}, {"formats": ["f3z"]},
        {"scope_status": 200}, {"speed": 1},
    ):  # fmt: skip
        with pytest.raises(EmulatorError, match=next(iter(changes))):
            emulator.exports(**changes)
    for order in ({"every": 0}, {"match": {"colour": "red"}}, {"outcome": "lucky"}, {"queue": 1}):
        with pytest.raises(ValueError):
            make_rule(order)
    with pytest.raises(EmulatorError, match="no job"):
        emulator.expire_downloads("none")


def test_many_designs_by_order(written):
    path = f"{HUB}/Gearbox"
    folder = written.change("add_folder", path=path, name="designs by order")
    project = Facts(written).project("Gearbox", HUB)
    assert Api(written).contents(project["id"], folder["id"])[0]["data"] == []
    found = written.change(
        "add_designs", id=folder["id"], count=200, name="Bracket", versions=2, kind="Design"
    )
    assert len(found["items"]) == 200
    assert found["lastModifiedTimeRollup"] <= offset_form(time.time())
    pages = Api(written).contents(project["id"], folder["id"])
    assert sum(len(page["data"]) for page in pages) == 200
    item = found["items"][16]
    assert item["displayName"] == "Bracket 017"
    assert [row["number"] for row in item["versions"]] == [1, 2]
    assert {row["storage"] for row in item["versions"]} == {None}
    newer = written.change("new_version", id=item["id"])["versions"][-1]
    assert (newer["number"], newer["storage"]) == (3, None)
    with pytest.raises(EmulatorError, match="kind"):
        written.change("add_designs", id=folder["id"], kind="Car")
    with pytest.raises(EmulatorError, match="folder"):
        written.change("add_designs", id=item["id"])


def test_a_world_of_designs():
    world = make_world("designs:count=3,versions=2")
    project = next(each for each in world.projects.values() if each.name == "Bench Designs")
    assert [item.display_name for item in project.root.items] == [
        "Part 001",
        "Part 002",
        "Part 003",
    ]
    assert {len(item.versions) for item in project.root.items} == {2}
    assert not project.hub.is_account
    assert time.time() > project.root.rollup_s

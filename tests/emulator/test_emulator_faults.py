"""Every kind of fault, seen from a client that looks closely."""

from __future__ import annotations

import json
import socket
import time
from urllib.parse import urlsplit

import pytest

from dmfs.emulator.process import EmulatorError
from dmfs.emulator.server.faults import KINDS

from .client import Api, fetch, raw_exchange

SIZE = 3_000_000


@pytest.fixture
def url(emulator, api, facts):
    emulator.settings(signing="complete")
    folder = facts.folder(facts.project("Quirks"), "Project Files", "Storage")
    storage = facts.item(folder, "signed in chunks.bin")["versions"][0]["storage"]
    return api.sign(storage).json["url"]


@pytest.fixture
def listing(facts):
    project = facts.project("Quirks")
    folder = facts.folder(project, "Project Files", "Folders", "450 entries")
    return f"/data/v1/projects/{project['id']}/folders/{folder['id']}/contents"


def split(raw: bytes) -> tuple[bytes, bytes]:
    head, _, body = raw.partition(b"\r\n\r\n")
    return head, body


def part(url: str, spec: str = "1000-1999"):
    return fetch(url, headers={"Range": f"bytes={spec}"})


@pytest.mark.parametrize("shape", ["jsonapi", "gateway", "oss", "xml", "html", "empty"])
def test_status_in_every_shape(emulator, api, shape):
    emulator.fault("status", route="hubs", status=503, shape=shape, retry_after=7)
    reply = api.get("/project/v1/hubs")
    assert reply.status == 503
    assert reply.headers["retry-after"] == "7"
    expected = {
        "jsonapi": b'"errors"', "gateway": b"developerMessage", "oss": b'"reason"',
        "xml": b"<Error>", "html": b"<html>", "empty": b"",
    }  # fmt: skip
    assert expected[shape] in reply.body
    assert (shape == "empty") == (reply.body == b"")
    assert api.get("/project/v1/hubs").status == 200


def test_429_as_the_gateway_writes_it(emulator, api):
    emulator.fault("status", status=429, shape="gateway", retry_after=3)
    assert api.get("/project/v1/hubs").json == {"developerMessage": "Quota limit exceeded."}
    assert emulator.calls()["status_429"] == 1


def test_resets(emulator, url):
    emulator.fault("reset_before_headers", origin="cdn")
    assert raw_exchange(url) == (b"", "rst")
    assert emulator.calls()["log"][-1]["status"] == 0
    emulator.fault("reset_after_headers", origin="cdn")
    got, end = raw_exchange(url)
    assert end == "rst"
    assert split(got)[1] == b""
    assert b"Content-Length: 3000000" in got
    emulator.fault("reset_mid_body", origin="cdn", after_bytes=5000)
    got, end = raw_exchange(url)
    assert (end, len(split(got)[1])) == ("rst", 5000)
    emulator.fault("reset_mid_body", origin="cdn")
    got, end = raw_exchange(url, "Range: bytes=0-99\r\n")
    assert (end, len(split(got)[1])) == ("rst", 50)


def test_resets_of_the_api(emulator, api):
    emulator.fault("reset_mid_body", route="hubs")
    got, end = raw_exchange(f"{api.url}/project/v1/hubs", f"Authorization: Bearer {api.token}\r\n")
    assert end == "rst"
    with pytest.raises(ValueError, match=r"."):
        json.loads(split(got)[1])


def test_stall_before_headers(emulator, url):
    emulator.fault("stall_before_headers", origin="cdn", seconds=0.05)
    assert part(url).status == 206
    emulator.fault("stall_before_headers", origin="cdn", seconds=None)
    assert raw_exchange(url, timeout_s=0.5) == (b"", "timeout")


def test_stall_mid_body(emulator, url):
    emulator.fault("stall_mid_body", origin="cdn", after_bytes=100)
    got, end = raw_exchange(url, "Range: bytes=0-999\r\n", timeout_s=0.5)
    assert (end, len(split(got)[1])) == ("timeout", 100)
    emulator.fault("stall_mid_body", origin="cdn", after_bytes=100, seconds=0.05)
    assert len(part(url).body) == 1000


def test_drip(emulator, url):
    emulator.fault("drip", origin="cdn", bytes_per_s=2000)
    got, end = raw_exchange(url, "Range: bytes=0-999\r\n")
    assert (end, len(split(got)[1])) == ("fin", 1000)
    assert emulator.faults()[0]["hits"] == 1


def test_short_body_ends_with_fin(emulator, url):
    emulator.fault("short_body", origin="cdn", after_bytes=300)
    got, end = raw_exchange(url, "Range: bytes=0-999\r\n")
    head, body = split(got)
    assert (end, len(body)) == ("fin", 300)
    assert b"Content-Length: 1000" in head


def test_damaged_json(emulator, api):
    url = "/project/v1/hubs"
    for kind in ("html_200", "truncated_json", "malformed_json", "empty_body"):
        emulator.fault(kind, route="hubs")
        reply = api.get(url)
        assert reply.status == 200
        with pytest.raises(ValueError, match=r"."):
            json.loads(reply.body)
    emulator.fault("wrong_json_types", route="hubs")
    assert isinstance(api.get(url).json["data"], dict)
    emulator.fault("huge_body", route="hubs", megabytes=20)
    reply = api.get(url)
    assert len(reply.body) > 20_000_000
    assert reply.headers["transfer-encoding"] == "chunked"


def test_lies_about_ranges(emulator, url):
    true = part(url)
    emulator.fault("wrong_content_range", origin="cdn", shift=100)
    lie = part(url)
    assert lie.headers["content-range"] == f"bytes 1100-2099/{SIZE}"
    assert lie.body == true.body
    emulator.fault("ok_200_instead_of_206", origin="cdn")
    whole = part(url)
    assert (whole.status, len(whole.body)) == (200, SIZE)
    assert "content-range" not in whole.headers
    assert whole.body[1000:2000] == true.body
    emulator.fault("long_body", origin="cdn", extra_bytes=500)
    longer = part(url)
    assert longer.headers["content-range"] == f"bytes 1000-2499/{SIZE}"
    assert longer.body[:1000] == true.body
    assert len(longer.body) == 1500
    emulator.fault("long_body", origin="cdn", extra_bytes=500)
    at_end = part(url, f"{SIZE - 100}-{SIZE - 1}")
    assert at_end.headers["content-range"] == f"bytes {SIZE - 600}-{SIZE - 1}/{SIZE}"
    assert len(at_end.body) == 600


def test_lies_about_bytes(emulator, url):
    true = part(url)
    emulator.fault("wrong_bytes", origin="cdn")
    wrong = part(url)
    assert len(wrong.body) == len(true.body)
    assert all(a != b for a, b in zip(wrong.body, true.body, strict=True))
    assert wrong.headers["etag"] == true.headers["etag"]
    emulator.fault("changed_etag", origin="cdn")
    assert part(url).headers["etag"] != true.headers["etag"]
    emulator.fault("expired_url", origin="cdn")
    assert b"Request has expired" in part(url).body
    assert part(url).body == true.body


def test_redirect_and_huge_headers(emulator, api, url):
    emulator.fault("redirect", origin="cdn", location="http://127.0.0.1:9/x", status=307)
    reply = part(url)
    assert (reply.status, reply.headers["location"]) == (307, "http://127.0.0.1:9/x")
    emulator.fault("huge_headers", route="hubs", kilobytes=32)
    assert len(api.get("/project/v1/hubs").headers["x-emulator-padding"]) == 32 * 1024


def test_paging_that_leads_astray(emulator, api, listing):
    emulator.fault("page_circle", route="contents", page=1)
    second = api.get(f"{listing}?page[number]=1").json
    assert "page%5Bnumber%5D=1" in second["links"]["next"]["href"]
    emulator.fault("page_circle", route="contents", page=1, to=0)
    second = api.get(f"{listing}?page[number]=1").json
    assert "page%5Bnumber%5D=0" in second["links"]["next"]["href"]
    assert len(second["data"]) == 200
    emulator.fault("next_other_host", route="contents", host="http://127.0.0.1:9")
    assert api.get(listing).json["links"]["next"]["href"].startswith("http://127.0.0.1:9/data/")
    # A page that has been spoilt once is whole the next time.
    assert api.get(listing).json["links"]["next"]["href"].startswith(api.url)


def test_a_spoilt_page_does_not_stay_in_the_cache(emulator, api, listing):
    clean = api.get(listing)
    for kind in ("changed_etag", "truncated_json", "wrong_json_types"):
        emulator.fault(kind, route="contents")
        spoilt = api.get(listing)
        assert (spoilt.headers, spoilt.body) != (clean.headers, clean.body)
        again = api.get(listing)
        assert (again.headers, again.body) == (clean.headers, clean.body)


def test_matching_skipping_and_counting(emulator, api, listing):
    number = emulator.fault("status", route="contents", page=1, contains="450", times=1)
    assert api.get(f"{listing}?page[number]=1").status == 200
    emulator.clear_faults()
    number = emulator.fault("status", route="contents", page=1, skip=1, times=2, status=500)
    statuses = [api.get(f"{listing}?page[number]={page}").status for page in (0, 1, 1, 1, 1)]
    assert statuses == [200, 200, 500, 500, 200]
    assert [(each["id"], each["hits"]) for each in emulator.faults()] == [(number, 2)]
    emulator.clear_faults()
    emulator.fault("status", contains="/topFolders", times=None)
    assert api.get("/project/v1/hubs").status == 200
    log = [entry for entry in emulator.calls()["log"] if entry["fault"]]
    assert [entry["fault"] for entry in log] == ["status", "status"]


@pytest.mark.parametrize("how", ["no_id", "no_name", "no_type", "number"])
def test_a_rotten_row_is_one_of_many(emulator, api, listing, how):
    whole = api.get(listing).json["data"]
    emulator.fault("rotten_row", route="contents", at=1, how=how)
    rows = api.get(listing).json["data"]
    assert [n for n, row in enumerate(rows) if row != whole[n]] == [1]
    missing = {
        "no_id": lambda row: "id" not in row, "no_type": lambda row: row["type"] is None,
        "no_name": lambda row: row["attributes"]["name"] == 5, "number": lambda row: row == 5,
    }  # fmt: skip
    assert missing[how](rows[1])
    assert api.get(listing).json["data"] == whole


def test_a_misspelt_fault_is_refused(emulator):
    with pytest.raises(EmulatorError, match="unknown fault kind"):
        emulator.fault("statsu")
    with pytest.raises(EmulatorError, match="unknown match"):
        emulator.control("POST", "faults", {"kind": "status", "match": {"rout": "hubs"}})
    with pytest.raises(EmulatorError, match="unknown setting"):
        emulator.settings(api_latency=3)
    with pytest.raises(EmulatorError, match="no control call"):
        emulator.control("GET", "nonsense")


def test_all_kinds_are_tested_here():
    import pathlib

    here = pathlib.Path(__file__)
    text = here.read_text() + here.with_name("test_emulator_writing_faults.py").read_text()
    assert [kind for kind in KINDS if f'"{kind}"' not in text] == []


def test_refuse_the_cdn(emulator, url):
    at = urlsplit(url)
    idle = socket.create_connection((at.hostname, at.port))
    idle.settimeout(2)
    emulator.refuse("cdn", 0.5)
    time.sleep(0.1)
    with pytest.raises(ConnectionRefusedError):
        part(url)
    try:
        assert idle.recv(1) == b""
    except ConnectionResetError:
        pass
    idle.close()
    time.sleep(0.6)
    assert part(url).status == 206


def test_refuse_the_api(emulator):
    emulator.refuse("api", 0.4)
    time.sleep(0.1)
    with pytest.raises(ConnectionRefusedError):
        emulator.counts()
    time.sleep(0.5)
    assert Api(emulator).get("/project/v1/hubs").status == 200

"""Signing, the CDN, ranges and bytes."""

from __future__ import annotations

import hashlib
import io
import subprocess
import threading
import time
import zipfile
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from dmfs.emulator.process import EmulatorProcess
from dmfs.emulator.world.content import TILE_BYTES, Computed, read
from dmfs.emulator.world.zip_content import ZipArchive

from .client import Api, fetch


@pytest.fixture
def storage_of(facts):
    def find(name, *folders):
        at = folders or ("Project Files", "Storage")
        folder = facts.folder(facts.project("Sample Project" if folders else "Quirks"), *at)
        return facts.item(folder, name)["versions"][-1]["storage"]

    return find


@pytest.fixture
def big(storage_of):
    return storage_of("pointcloud.rcs", "Project Files", "Large Files")


def ranged(url, spec, **headers):
    return fetch(url, headers={"Range": f"bytes={spec}"} | headers)


class TestSigning:
    def test_complete_with_sha1_that_is_true(self, emulator, api, storage_of):
        storage = storage_of("README.txt", "Project Files")
        reply = api.sign(storage, "?minutesExpiration=10").json
        assert reply["status"] == "complete"
        body = fetch(reply["url"]).body
        assert body == emulator.bytes(storage)
        assert len(body) == reply["size"]
        assert hashlib.sha1(body).hexdigest() == reply["sha1"]
        assert reply["params"]["content-type"] == "application/octet-stream"
        assert emulator.sha256(storage) == (hashlib.sha256(body).hexdigest(), len(body))

    def test_both_url_forms_and_their_expiry(self, emulator, api, big):
        emulator.settings(url_form="s3")
        s3 = parse_qs(urlsplit(api.sign(big, "?minutesExpiration=5").json["url"]).query)
        assert abs(int(s3["X-Amz-Expires"][0]) - 300) <= 1
        assert {"X-Amz-Date", "X-Amz-Signature"} <= set(s3)
        emulator.settings(url_form=None)
        cloud = parse_qs(urlsplit(api.sign(big, "?useCdn=true").json["url"]).query)
        assert {"Expires", "Signature", "Key-Pair-Id"} <= set(cloud)
        assert abs(int(cloud["Expires"][0]) - time.time() - 120) <= 2

    @pytest.mark.parametrize("minutes", ["0", "61", "x"])
    def test_minutes_are_checked(self, api, big, minutes):
        assert api.sign(big, f"?minutesExpiration={minutes}").status == 400

    @pytest.mark.parametrize("form", ["s3", "cloudfront"])
    def test_expired_and_forged_urls(self, emulator, api, big, form):
        emulator.settings(url_form=form, url_ttl_cap_s=0)
        expired = api.sign(big).json["url"]
        time.sleep(1.05)
        reply = ranged(expired, "0-9")
        assert reply.status == 403
        assert b"<Code>AccessDenied</Code><Message>Request has expired</Message>" in reply.body
        emulator.settings(url_ttl_cap_s=None)
        good = api.sign(big).json["url"]
        assert ranged(good, "0-9").status == 206
        for forged in (good.replace("Signature=", "Signature=0"), good.replace("wip.dm", "wip.xx"),
                       good.split("?")[0], good.replace("filename", "fiiename")):  # fmt: skip
            reply = ranged(forged, "0-9")
            assert (reply.status, b"SignatureDoesNotMatch" in reply.body) == (403, True)
        emulator.expire_urls()
        assert b"Request has expired" in ranged(good, "0-9").body
        assert ranged(api.sign(big).json["url"], "0-9").status == 206

    def test_expiry_counts_at_arrival_only(self, emulator, api, storage_of):
        emulator.settings(url_ttl_cap_s=1, cdn_bytes_per_s=1_500_000, signing="complete")
        storage = storage_of("signed in chunks.bin")
        reply = fetch(api.sign(storage).json["url"])  # Takes two seconds.
        assert (reply.status, len(reply.body)) == (200, 3_000_000)

    def test_chunked(self, emulator, api, storage_of):
        storage = storage_of("signed in chunks.bin")
        reply = api.sign(storage, "?minutesExpiration=5").json
        assert reply["status"] == "chunked"
        assert {"url", "sha1"}.isdisjoint(reply)
        assert len(reply["urls"]) == 3
        whole = b""
        for span, url in reply["urls"].items():
            first, last = map(int, span.split("-"))
            assert first == len(whole)
            part = fetch(url)
            assert len(part.body) == last - first + 1
            assert ranged(url, "0-4").body == part.body[:5]
            assert ranged(url, "5-9").headers["content-range"].endswith(f"/{len(part.body)}")
            whole += part.body
        assert whole == emulator.bytes(storage)
        again = api.sign(storage, "?public-resource-fallback=true").json
        assert again["status"] == "fallback"

    def test_fallback(self, emulator, api, storage_of):
        storage = storage_of("signed by fallback.bin")
        reply = api.sign(storage, "?public-resource-fallback=true").json
        assert reply["status"] == "fallback"
        assert reply["url"].startswith(f"{emulator.api_url}/oss/v2/signedresources/")
        assert reply["url"].endswith("?region=US")
        assert ranged(reply["url"], "100-199").body == emulator.bytes(storage, 100, 100)
        assert fetch(reply["url"]).body == emulator.bytes(storage)
        emulator.expire_urls()
        assert fetch(reply["url"]).status == 403
        assert fetch(f"{emulator.api_url}/oss/v2/signedresources/x?region=US").status == 404

    def test_signing_may_be_overridden(self, emulator, api, big):
        for kind in ("chunked", "fallback", "complete"):
            emulator.settings(signing=kind)
            assert api.sign(big).json["status"] == kind

    def test_refusals(self, api, storage_of):
        assert api.sign(storage_of("view only.bin")).status == 403
        gone = api.sign(storage_of("storage gone.bin"))
        assert (gone.status, set(gone.json)) == (404, {"reason"})
        assert api.sign("urn:adsk.objects:os.object:wip.dm.prod/none").status == 404
        assert "sha1" not in api.sign(storage_of("no sha1.bin")).json

    def test_object_keys_are_percent_encoded(self, emulator, api, storage_of):
        storage = storage_of("object key to be encoded.bin")
        assert "%2F" in storage
        reply = api.sign(storage).json
        assert fetch(reply["url"]).body == emulator.bytes(storage)

    def test_details_and_304(self, api, storage_of):
        storage = storage_of("README.txt", "Project Files")
        sha1 = api.sign(storage).json["sha1"]
        bucket, _, key = storage.removeprefix("urn:adsk.objects:os.object:").partition("/")
        url = f"/oss/v2/buckets/{bucket}/objects/{key}"
        details = api.get(f"{url}/details?with=createdDate").json
        assert details["sha1"] == sha1
        assert details["objectId"] == storage
        assert details["createdDate"] > 1e12
        assert api.get(f"{url}/signeds3download", {"If-None-Match": f'"{sha1}"'}).status == 304


class TestRanges:
    @pytest.fixture
    def url(self, api, storage_of):
        return api.sign(storage_of("no sha1.bin")).json["url"]  # 5000 bytes.

    @pytest.mark.parametrize(
        ("spec", "first", "last"),
        [
            ("0-0", 0, 0), ("0-99", 0, 99), ("4990-4999", 4990, 4999), ("4990-9999", 4990, 4999),
            ("4990-", 4990, 4999), ("-10", 4990, 4999), ("-9999", 0, 4999),
        ],
    )  # fmt: skip
    def test_satisfiable(self, emulator, url, storage_of, spec, first, last):
        reply = ranged(url, spec)
        assert reply.status == 206
        assert reply.headers["content-range"] == f"bytes {first}-{last}/5000"
        assert reply.headers["accept-ranges"] == "bytes"
        assert reply.body == emulator.bytes(storage_of("no sha1.bin"), first, last - first + 1)

    @pytest.mark.parametrize("spec", ["5000-", "5000-5001", "-0"])
    def test_beyond_the_end(self, url, spec):
        reply = ranged(url, spec)
        assert reply.status == 416
        assert reply.headers["content-range"] == "bytes */5000"
        assert b"InvalidRange" in reply.body

    @pytest.mark.parametrize("spec", ["9-5", "x-y", "-", "0-1,5-6"])
    def test_nonsense_is_ignored(self, url, spec):
        reply = ranged(url, spec)
        assert (reply.status, len(reply.body)) == (200, 5000)

    def test_empty_object(self, emulator, api, facts):
        folder = facts.folder(facts.project("Quirks"), "Project Files", "Versions")
        storage = facts.item(folder, "zero bytes.txt")["versions"][0]["storage"]
        url = api.sign(storage).json["url"]
        assert ranged(url, "0-0").status == 416
        whole = fetch(url)
        assert (whole.status, whole.body) == (200, b"")

    def test_conditions(self, url):
        etag = fetch(url, "HEAD").headers["etag"]
        assert len(etag) >= 36
        assert "-" in etag
        assert ranged(url, "0-9").headers["etag"] == etag
        assert ranged(url, "0-9", **{"If-Match": etag}).status == 206
        assert ranged(url, "0-9", **{"If-Match": '"x"'}).status == 412
        assert ranged(url, "0-9", **{"If-None-Match": etag}).status == 304
        assert ranged(url, "0-9", **{"If-Range": '"x"'}).status == 200
        assert ranged(url, "0-9", **{"If-Range": etag}).status == 206

    def test_head(self, url):
        reply = fetch(url, "HEAD")
        assert (reply.status, reply.body) == (200, b"")
        assert reply.headers["content-length"] == "5000"
        assert "last-modified" in reply.headers

    def test_authorization_is_refused(self, emulator, api, url):
        reply = fetch(url, headers={"Authorization": f"Bearer {api.token}"})
        assert reply.status == 400
        assert b"<Code>InvalidArgument</Code>" in reply.body
        assert emulator.calls()["log"][-1]["authorization_present"]

    def test_other_methods(self, url):
        assert fetch(url, "PUT", body=b"x").status == 403, "it is signed for reading"
        assert fetch(url, "DELETE").status == 405

    def test_counted(self, emulator, url):
        ranged(url, "0-99")
        calls = emulator.calls()
        assert calls["counts"]["cdn_get"] == 1
        assert calls["cdn_bytes"] == 100
        assert calls["log"][-1]["range"] == "bytes=0-99"


def read_much(url, done):
    ranged(url, f"0-{300 << 20}")
    done.set()


class TestBytes:
    def test_any_slice_is_the_slice_of_the_whole(self):
        content = Computed("a", 3 * TILE_BYTES + 17)
        whole = read(content, 0, content.size)
        assert len(whole) == content.size
        for start, stop in ((0, 10), (TILE_BYTES - 3, TILE_BYTES + 5), (5, 2 * TILE_BYTES + 9),
                            (content.size - 4, content.size + 10)):  # fmt: skip
            assert read(content, start, stop) == whole[start:stop]

    def test_misplaced_and_mixed_blocks_show(self):
        content, other = Computed("a", 1 << 30), Computed("b", 1 << 30)
        blocks = [read(content, n << 20, (n << 20) + 4096) for n in range(64)]
        assert len(set(blocks)) == 64
        assert read(other, 0, 4096) not in blocks

    def test_a_short_object_is_a_prefix(self):
        assert read(Computed("a", 100), 0, 100) == read(Computed("a", 1 << 40), 0, 100)

    def test_far_into_a_huge_object(self, emulator, api, big):
        url = api.sign(big).json["url"]
        start = 5 * 1024**3 - 1000
        assert ranged(url, f"{start}-").body == emulator.bytes(big, start, 1000)
        assert "sha1" not in api.sign(big).json

    def test_computed_zip_is_a_valid_archive(self):
        archive = ZipArchive("seed", 20_000_000, 16)
        assert archive.size <= 20_000_000
        data = read(archive, 0, archive.size)
        assert len(data) == archive.size
        with zipfile.ZipFile(io.BytesIO(data)) as opened:
            assert opened.testzip() is None
            assert len(opened.namelist()) == 16
        for start in (0, 29, 1_000_000, archive.size - 50):
            assert read(archive, start, start + 4096) == data[start : start + 4096]

    def test_the_sample_archive(self, emulator, api, storage_of):
        storage = storage_of("Site scan.zip", "Project Files", "Large Files")
        signed = api.sign(storage).json
        tail = ranged(signed["url"], "-100000").body
        # An archive may start with anything: the directory alone can be read from the tail.
        padded = io.BytesIO(tail)
        with zipfile.ZipFile(padded) as opened:
            assert len(opened.namelist()) >= 256

    def test_the_api_answers_while_crcs_are_computed(self, emulator, api, facts):
        """A fresh archive of 3 GB: about a second of CRCs before its first byte."""
        with EmulatorProcess(world="big:size=3000000000,count=1,zip=1") as fresh:
            asking = Api(fresh)
            files = fresh.world()["hubs"][0]["projects"][0]["folders"][0]["folders"][0]
            storage = files["folders"][0]["items"][0]["versions"][0]["storage"]
            url = asking.sign(storage).json["url"]
            first = threading.Thread(target=ranged, args=(url, "0-9"))
            first.start()
            answers = 0
            while first.is_alive():
                assert asking.get("/project/v1/hubs").status == 200
                answers += 1
        assert answers > 5

    def test_paced(self, emulator, api, storage_of):
        emulator.settings(cdn_bytes_per_s=5_000_000)
        url = api.sign(storage_of("README.txt", "Project Files")).json["url"]
        emulator.settings(signing="complete")
        url = api.sign(storage_of("signed in chunks.bin")).json["url"]
        assert len(ranged(url, "0-249999").body) == 250_000

    def test_the_api_answers_while_bytes_stream(self, emulator, api, big):
        url = api.sign(big).json["url"]
        done = threading.Event()
        streams = [threading.Thread(target=read_much, args=(url, done)) for _ in range(2)]
        for stream in streams:
            stream.start()
        answers = 0
        while not done.is_set():
            assert api.get("/project/v1/hubs").status == 200
            answers += 1
        for stream in streams:
            stream.join()
        assert answers > 5

    def test_keep_alive(self, api, storage_of):
        import http.client

        at = urlsplit(api.sign(storage_of("no sha1.bin")).json["url"])
        connection = http.client.HTTPConnection(at.netloc)
        for first in range(3):
            connection.request(
                "GET", f"{at.path}?{at.query}", headers={"Range": f"bytes={first}-9"}
            )
            response = connection.getresponse()
            assert len(response.read()) == 10 - first
        connection.close()


@pytest.mark.tool("openssl")
def test_tls(tmp_path: Path):
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", key,
         "-out", certificate, "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    with EmulatorProcess(world="big:size=50000000,count=1", tls_cert=str(certificate),
                         tls_key=str(key)) as emulator:  # fmt: skip
        assert emulator.api_url.startswith("https://")
        assert emulator.cdn_url.startswith("https://")
        storage = emulator.world()["hubs"][0]["projects"][0]["folders"][0]["folders"][0]["folders"][
            0
        ]["items"][0]["versions"][0]["storage"]
        import ssl
        import urllib.request

        context = ssl.create_default_context(cafile=str(certificate))
        form = (
            b"grant_type=client_credentials&scope=data:read&client_id=emulator-app"
            b"&client_secret=emulator-secret"
        )
        import json

        def get(url, data=None, headers=None):
            request = urllib.request.Request(url, data, headers or {})
            with urllib.request.urlopen(request, context=context) as response:
                return response.read()

        token = json.loads(get(f"{emulator.api_url}/authentication/v2/token", form))["access_token"]
        bucket, _, name = storage.removeprefix("urn:adsk.objects:os.object:").partition("/")
        where = f"{emulator.api_url}/oss/v2/buckets/{bucket}/objects/{name}/signeds3download"
        signed = json.loads(get(where, headers={"Authorization": f"Bearer {token}"}))
        digest = hashlib.sha256(get(signed["url"])).hexdigest()
        assert (digest, 50_000_000) == emulator.sha256(storage)

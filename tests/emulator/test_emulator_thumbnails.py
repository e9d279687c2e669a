"""Pictures of versions: where the link leads, sizes, kinds, scopes and regions."""

from __future__ import annotations

import struct

import pytest

from dmfs.emulator.process import EmulatorError
from dmfs.emulator.thumbnails.pictures import heavy_png, png

from .client import Api


def link_of(api: Api, project, folder, name: str) -> str:
    (page,) = api.contents(project["id"], folder["id"])
    tip = next(row for row in page["included"] if row["attributes"]["name"] == name)
    return tip["relationships"]["thumbnails"]["meta"]["link"]["href"]


@pytest.fixture
def calm(emulator):
    yield
    emulator.clear_thumbnails()


@pytest.fixture
def drawing(api, facts):
    """The link of a file in an account's project that has a picture."""
    project = facts.project("Sample Project")
    folder = facts.folder(project, "Project Files", "Drawings")
    return link_of(api, project, folder, "Ground floor.pdf")


def size_of(body: bytes) -> tuple[int, int]:
    assert body[:8] == b"\x89PNG\r\n\x1a\n"
    return struct.unpack(">II", body[16:24])


def test_a_picture_is_a_function_of_the_version():
    one, same, other = (png(f"urn:adsk:vf.x?version={n}", 200) for n in (1, 1, 2))
    assert one == same != other
    assert size_of(one) == (200, 200)
    assert len(one) < 4096
    assert len(heavy_png("x", 200)) > 65536 > len(heavy_png("x", 100))


def test_sizes_and_counts(emulator, api, drawing, calm):
    emulator.reset()
    for query, size in (("", 200), ("&width=100", 100), ("&height=400", 400)):
        reply = api.get(drawing + query)
        assert (reply.status, reply.headers["content-type"]) == (200, "image/png")
        assert size_of(reply.body) == (size, size)
    assert api.get(drawing + "&width=150").status == 400
    assert emulator.counts()["thumbnail"] == 4
    assert set(emulator.thumbnails()["calls"].values()) == {4}


def test_a_link_without_its_scopes_is_refused(emulator, api, drawing, calm):
    bare, _, _ = drawing.partition("?")
    assert api.get(bare).status == 403
    emulator.thumbnails(scopes_needed=False)
    assert api.get(bare).status == 200
    narrow = Api(emulator, scope="viewables:read")
    assert narrow.get(drawing).status == 200
    assert narrow.get(f"{emulator.api_url}/project/v1/hubs").status == 401
    assert api.get(bare.replace("designdata/", "designdata/!")).status == 400


def test_a_picture_is_in_the_region_of_its_hub(emulator, api, facts, calm):
    project = facts.project("Tram Line 001", "Emulated Europe")
    folder = facts.folder(project, "Project Files")
    link = link_of(api, project, folder, "Track 001.dwg")
    assert api.get(link).status == 404
    assert api.get(link, {"region": "EMEA"}).status == 200


@pytest.mark.parametrize(
    ("kind", "status", "start"),
    [
        ("not_yet", 202, b"{"), ("none", 404, b"{"), ("forbidden", 403, b"{"),
        ("jpeg", 200, b"\xff\xd8"), ("truncated", 200, b"\x89PNG"), ("wrong_type", 200, b"\x89PNG"),
        ("damaged", 200, b"\x89PNG"), ("empty", 200, b""), ("web_page", 200, b"<html"),
    ],
)  # fmt: skip
def test_kinds(emulator, api, drawing, calm, kind, status, start):
    emulator.thumbnails(kind=kind)
    reply = api.get(drawing)
    assert reply.status == status
    assert reply.body.startswith(start)
    assert (reply.body == b"") == (kind == "empty")


def test_settings_that_make_no_sense(emulator, calm):
    for changes in ({"kind": "svg"}, {"by_name": {"*": "svg"}}, {"not_yet_share": 2}, {"x": 1}):
        with pytest.raises(EmulatorError):
            emulator.thumbnails(**changes)

"""What entries cost in memory, and that the collector is left as it was."""

from __future__ import annotations

import gc
import json
import threading
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmfs.aps.contents import decode_contents
from dmfs.compact import MARKS, expand, shorten
from dmfs.model import Child, File, HubId, Project, ProjectId
from dmfs.names import entry_names
from dmfs.namespace.listing_codec import Record, decode, encode
from dmfs.system.gc_tuning import uncollected
from tests.support.listings import a_record

FILES = 2000
ENTRY_MAX_BYTES = 800
"""100 000 entries in 150 MiB: a third of it is the program itself, and 200 bytes of the kilobyte
that is left to each entry are the row of its inode."""


def page(files: int) -> bytes:
    """Items with their tips, as the service has them."""
    data, included = [], []
    for number in range(files):
        key = f"{number:022d}"
        item, tip = (
            f"urn:adsk.wipprod:dm.lineage:{key}",
            f"urn:adsk.wipprod:fs.file:vf.{key}?version=1",
        )
        href = (
            "https://acc.autodesk.com/docs/files/projects/0cf45b89-2e90-428f-bbef-78dcc6bba514"
            "?folderUrn=urn%3Aadsk.wipprod%3Afs.folder%3Aco.A9QX6Hv8PvKejh7tTU3OCw"
            f"&entityId=urn%3Aadsk.wipprod%3Adm.lineage%3A{key}"
        )
        data.append({
            "type": "items", "id": item,
            "attributes": {"displayName": f"file {number}.dwg",
                           "createTime": f"2024-05-01T08:00:{number % 60:02d}.{number:07d}Z",
                           "extension": {"type": "items:autodesk.bim360:File"}},
            "links": {"webView": {"href": href}},
            "relationships": {"tip": {"data": {"id": tip}},
                              "parent": {"data": {"id": "urn:adsk.wipprod:fs.folder:co."
                                                        "A9QX6Hv8PvKejh7tTU3OCw"}}},
        })  # fmt: skip
        included.append({
            "type": "versions", "id": tip,
            "attributes": {"name": f"file {number}.dwg", "versionNumber": 1,
                           "createTime": f"2024-05-02T08:00:{number % 60:02d}.{number:07d}Z",
                           "createUserName": "Noor Haddad", "storageSize": 80_000 + number,
                           "extension": {"type": "versions:autodesk.bim360:File"}},
            "relationships": {"storage": {"data": {"id": "urn:adsk.objects:os.object:wip.dm.prod/"
                                          f"39b3bdb7-8b0f-409e-b6a0-{number:012d}.dwg"}}},
        })  # fmt: skip
    return json.dumps({"data": data, "included": included}).encode()


PROJECT = Project(ProjectId("b.0cf45b89-2e90-428f-bbef-78dcc6bba514"), HubId("b.hub"), "P")


def listed(raw: bytes) -> dict[str, Child]:
    return entry_names(decode_contents(json.loads(raw), "list", PROJECT).children)


@pytest.mark.parametrize("at_rest", [False, True])
def test_an_entry_takes_less_than_a_kilobyte(at_rest: bool) -> None:
    """From an answer, and from the disk."""
    raw = page(FILES)
    entries = listed(raw)
    raw_record = encode(a_record(entries=entries)) if at_rest else b""
    del entries
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        found: Any = decode(raw_record) if at_rest else listed(raw)
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(found.entries if isinstance(found, Record) else found) == FILES
    assert (after - before) / FILES < ENTRY_MAX_BYTES


def test_links_and_ids_come_back_as_the_service_has_them() -> None:
    rows = json.loads(page(3))
    for row, tip in zip(rows["data"], rows["included"], strict=True):
        file = listed(json.dumps(rows).encode())[row["attributes"]["displayName"]]
        assert isinstance(file, File)
        assert file.web_url == row["links"]["webView"]["href"]
        assert file.version_id == tip["id"]
        again = decode(encode(a_record(entries={"x": file}))).entries["x"]
        assert isinstance(again, File)
        assert (again.web_url, again.version_id) == (file.web_url, file.version_id)


TEXTS = st.text(alphabet=st.characters(blacklist_characters=MARKS), max_size=30)


@given(TEXTS, st.lists(TEXTS, max_size=4), st.data())
def test_shorthand_comes_back(text: str, ids: list[str], data: Any) -> None:
    for _ in range(3):  # with the ids somewhere in it
        at = data.draw(st.integers(0, len(text)))
        text = text[:at] + data.draw(st.sampled_from([*ids, ""])) + text[at:]
    assert expand(shorten(text, ids), ids) == text


def test_marks_in_a_text_of_others_mean_nothing() -> None:
    assert expand(shorten("a\x01b\x04", ["one"]), ["one"]) == "ab"


def test_no_collection_while_any_thread_is_inside() -> None:
    inside, go_on = threading.Event(), threading.Event()

    def other() -> None:
        with uncollected():
            inside.set()
            go_on.wait(10)

    thread = threading.Thread(target=other)
    with uncollected():
        thread.start()
        assert inside.wait(10)
        assert not gc.isenabled()
    assert not gc.isenabled(), "the other one is not done"
    go_on.set()
    thread.join()
    assert gc.isenabled()
    gc.disable()
    try:
        with uncollected():
            pass
        assert not gc.isenabled(), "somebody's wish"
    finally:
        gc.enable()

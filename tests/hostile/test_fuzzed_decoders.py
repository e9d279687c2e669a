"""Decoders, fuzzed: any input is decoded or refused in words. The profile of hypothesis says with
how many inputs."""

from __future__ import annotations

import json
import os
import random
import sqlite3
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dmfs.aps.contents import decode_contents, decode_item
from dmfs.aps.hubs import decode_hubs, decode_projects
from dmfs.aps.json_values import parse_time_ns
from dmfs.aps.jsonapi import decode_warnings, next_page
from dmfs.aps.signed_urls import decode_signed
from dmfs.auth.tokens import decode as decode_sign_in
from dmfs.blocks.store.block_store import DIRECTORY, BlockStore
from dmfs.config import load_settings
from dmfs.errors import BadResponseError, SetupError, SignedOutError
from dmfs.fetch.curl.transfer import ETagGuard, RangeRequest, Transfer
from dmfs.http.errormap import explain, from_status, retry_after_s
from dmfs.model import HubId
from dmfs.system.clock import iso_time
from dmfs.urls import acceptable_url, check_api_url
from tests.hostile import fuzz
from tests.hostile.corpus import PROJECT
from tests.hostile.fuzz import DECODERS, run, use
from tests.hostile.mutations import HOSTILE_NAMES
from tests.support.helpers import truth

fuzzed = settings(
    database=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)  # fmt: skip


leaf = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30)
    | st.sampled_from([*HOSTILE_NAMES, "folders", "items", "versions",
                       "urn:adsk.objects:os.object:b/k", "2022-05-06T08:24:41.0000000Z",
                       "0001-01-01T00:00:00+14:00",
                       "9999-12-31T23:59:59-14:00", "items:autodesk.bim360:File"])
)  # fmt: skip
KEYS = (
    "id", "type", "attributes", "name", "displayName", "hidden", "relationships", "tip", "data",
    "storage", "item", "parent", "storageSize", "createTime", "lastModifiedTime", "extension",
    "links", "next", "href", "webView", "included", "versionNumber", "createUserName", "url",
    "urls", "size", "sha1", "status", "meta", "warnings", "Title", "Detail", "HttpStatusCode",
    "rootFolder", "lastModifiedTimeRollup", "0-9", "10-19", "errors", "detail", "reason",
)  # fmt: skip
anything = st.recursive(
    leaf,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=5), inner, max_size=7)
    ),
    max_leaves=25,
)
answers = st.dictionaries(st.sampled_from(KEYS), anything, max_size=8)


def _entry(attributes: Any, relationships: Any, kind: Any, links: Any) -> dict[str, Any]:
    return {
        "id": "urn:x", "type": kind, "attributes": attributes, "relationships": relationships,
        "links": links,
    }  # fmt: skip


entry = st.builds(
    _entry, anything, anything, st.sampled_from(["folders", "items", "versions", 5]), anything
)
plausible = st.fixed_dictionaries(
    {"data": st.lists(entry, max_size=3), "included": st.lists(entry, max_size=3)},
    optional={"links": anything, "meta": anything},
)


def nothing(_decoded: Any) -> list[Any]:
    """No entries to use: that it was decoded is all."""
    return []


@fuzzed
@given(answers | plausible)
def test_any_answer_is_decoded_or_refused(answer: dict[str, Any]) -> None:
    check_answer(answer)


def check_answer(answer: Any) -> None:
    """Every decoder gives entries that the drive can use, or says that the answer is bad."""
    if not isinstance(answer, dict):
        return  # refused by the wire
    decoders: list[Callable[[], Any]] = [
        lambda: decode_hubs(answer, "list"),
        lambda: decode_projects(answer, "list", HubId("b.h")),
        lambda: decode_contents(answer, "list", PROJECT).children,
        lambda: [decode_item(answer, "list", PROJECT)],
        lambda: nothing(next_page(answer, "list", "/x")),
        lambda: nothing(decode_signed(answer, "open", 0.0)),
        lambda: nothing(decode_warnings(answer)),
    ]
    for decode in decoders:
        try:
            for child in decode() or []:
                if child is not None:
                    use(child)
        except BadResponseError as error:
            assert error.message.isprintable()  # noqa: PT017


INPUTS = int(os.environ.get("DMFS_FUZZ_INPUTS", "2000"))
"""Plain inputs a decoder; a million in a night (``tests/hostile/fuzz.py``)."""


@pytest.mark.parametrize("name", DECODERS)
@pytest.mark.timeout(120 + INPUTS // 1000)
def test_spoilt_inputs_are_decoded_or_refused(name: str) -> None:
    """Deeper in than hypothesis, and a hundred times quicker: most of the input stays true."""
    seed = os.environ.get("DMFS_FUZZ_SEED", "7")
    assert run(DECODERS[name], INPUTS, f"{seed} {name}").failures == {}


@pytest.mark.parametrize(
    ("name", "line", "worse"),
    [
        ("item", "decode_item", lambda tree, *_: [tree["data"]["attributes"]["displayName"]]),
        ("listing on disk", "decode_record", lambda raw: json.loads(raw.split(b"\n")[0])),
        ("time", "parse_time_ns", lambda text: int(text[:4]) * 10**9),
        ("URL", "acceptable_url", lambda url: url.startswith("http")),
        ("Retry-After", "retry_after_s", lambda headers: float(headers["retry-after"])),
        ("grant", "decode_grant", lambda tree, what: tree["access_token"].upper()),
    ],
)
def test_the_fuzzer_finds_a_careless_decoder(
    name: str, line: str, worse: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fuzz, line, worse)
    assert run(DECODERS[name], 2000, "careless").failures


@fuzzed
@given(st.binary(max_size=300), st.integers(100, 599))
def test_any_error_body_becomes_one_line(body: bytes, status: int) -> None:
    assert explain(body).isprintable()
    error = from_status("open 'x'", status, body, {"x-request-id": body.decode("latin-1")})
    assert error.message.isprintable()
    assert error.request_id.isprintable()


@fuzzed
@given(st.text(max_size=60) | st.from_regex(r"\d{1,4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?Z?"))
def test_any_time_is_one_or_none(text: str) -> None:
    seen = parse_time_ns(text)
    assert seen is None or iso_time(seen)


@fuzzed
@given(st.text(max_size=40))
def test_any_url_next_page_and_retry_after(text: str) -> None:
    if acceptable_url(text):
        assert text.startswith(("https://", "http://127.0.0.1", "http://localhost", "http://[::1]"))
    waited = retry_after_s({"retry-after": text})
    assert waited is None or 0 <= waited <= 3600
    for url in (text, f"https://{text}", f"http://{text}"):
        try:
            accepted = check_api_url(url)
        except SetupError:
            continue
        assert accepted.startswith(("https://", "http://127", "http://localhost", "http://[::1"))


@fuzzed
@given(
    st.lists(st.binary(max_size=60) | st.sampled_from([
        b"HTTP/1.1 206 OK\r\n", b"HTTP/1.1 200\r\n", b"HTTP/1.1 \xb2\xb3\r\n", b"ETag: x\r\n",
        b"Content-Range: bytes 0-9/100\r\n", b"Content-Range: bytes 0-9/*\r\n",
        b"Content-Range: bytes 0-99999999999999999999/1\r\n", b"Content-Length: 10\r\n",
        b"Content-Encoding: gzip\r\n",
    ]), max_size=8),
    st.lists(st.binary(max_size=20), max_size=4),
)  # fmt: skip
def test_any_headers_never_let_a_byte_of_another_range_in(
    headers: list[bytes], body: list[bytes]
) -> None:
    sink = bytearray(10)
    from dmfs.fetch.curl.progress import Progress

    get = RangeRequest("read 'x'", "https://x/", 0, memoryview(sink), 100, ETagGuard(), Progress())
    transfer = Transfer(get, lambda _: None, lambda _: None)
    for line in headers:
        try:
            if transfer.on_header(line) is not None:
                return
        except ValueError:
            return  # libcurl aborts the transfer
    for chunk in body:
        if transfer.on_body(chunk) is not None:
            break
    transfer.finish(0, "")
    if transfer.filled:
        assert transfer.status == 206
        assert transfer.headers["content-range"] in ("bytes 0-9/100", "bytes 0-9/*")
    assert transfer.filled <= 10


@fuzzed
@given(st.text(max_size=200) | st.builds(
    "{} = {}".format, st.sampled_from(["ttl", "cache_size", "api_url", "profile", "connections"]),
    st.text(max_size=20),
))  # fmt: skip
def test_any_configuration_is_taken_or_refused_in_words(text: str) -> None:
    try:
        load_settings(text, {"HOME": "/nowhere"}, {})
    except SetupError as error:
        assert error.message  # noqa: PT017


@fuzzed
@given(st.text(max_size=100) | anything.map(json.dumps))
def test_any_sign_in_file_is_read_or_refused_in_words(text: str) -> None:
    try:
        decode_sign_in(text, "the file")
    except SignedOutError as error:
        assert error.message.startswith("the file")  # noqa: PT017


@fuzzed
@given(st.integers(0, 1 << 30))
def test_any_bytes_for_an_index_are_an_empty_cache(tmp_path_factory: Any, seed: int) -> None:
    if seed % 10:  # files are slow: a tenth of the inputs
        return
    dice = random.Random(seed)
    directory = tmp_path_factory.mktemp("index")
    store = BlockStore(directory, limit_bytes=1 << 30, free_percent=0)
    stored = store.attach("urn:a", 200_000)  # type: ignore[arg-type]
    store.write(stored, 0, memoryview(truth(0, 200_000)))
    store.close()
    index = directory / f"{DIRECTORY}/index.db"
    raw = bytearray(index.read_bytes())
    for _ in range(dice.randrange(1, 40)):
        raw[dice.randrange(len(raw))] = dice.randrange(256)
    index.write_bytes(raw)
    for _ in range(2):
        try:
            store = BlockStore(directory, limit_bytes=1 << 30, free_percent=0)
        except (OSError, sqlite3.Error, SetupError):
            continue
        try:
            stored = store.attach("urn:a", 200_000)  # type: ignore[arg-type]
            from dmfs.spans import Span

            buffer = bytearray(200_000)
            good = store.read(stored, Span(0, 2), memoryview(buffer))
            assert bytes(buffer[:good]) == truth(0, good)
        except (sqlite3.Error, OSError, TypeError, ValueError, OverflowError):
            pass  # the disk tier goes on without a cache (see BROKEN there)
        finally:
            store.close()

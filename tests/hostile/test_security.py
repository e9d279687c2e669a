"""What docs/security.md promises: hostile names, hostile answers, hostile cache directories, and
where secrets may go. Decoders are fuzzed; ``DMFS_FUZZ`` says with how many inputs."""

from __future__ import annotations

import ast
import gzip
import json
import logging
import os
import random
import re
import socket
import sqlite3
import ssl
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dmfs.aps.json_values import parse_time_ns
from dmfs.aps.jsonapi import (
    decode_contents,
    decode_hubs,
    decode_item,
    decode_projects,
    decode_warnings,
    next_page,
)
from dmfs.aps.signed_urls import decode_signed
from dmfs.assembly import open_drive
from dmfs.auth.tokens import decode as decode_sign_in
from dmfs.blocks.store.block_store import BlockStore
from dmfs.cli.browse import facts
from dmfs.config import load_settings
from dmfs.emulator.process import EmulatorProcess
from dmfs.errors import BadResponseError, DriveError, SetupError, SignedOutError
from dmfs.fetch.curl.transfer import ETagGuard, RangeRequest, Transfer
from dmfs.http.errormap import clean, explain, from_status, retry_after_s
from dmfs.model import File, Hub, HubId, Shortcut
from dmfs.names import entry_names, legal_name, printable
from dmfs.system.clock import iso_time
from dmfs.telemetry.logs import _OneLine, set_up_logging
from dmfs.urls import acceptable_url, check_api_url
from tests.hostile import fuzz
from tests.hostile.corpus import PROJECT
from tests.hostile.fuzz import DECODERS, assert_legal, run, use
from tests.hostile.matrix import settings_for, short_waits
from tests.hostile.mutations import HOSTILE_NAMES
from tests.support.helpers import truth

FUZZ = int(os.environ.get("DMFS_FUZZ", "60"))
SOURCE = Path(__file__).resolve().parents[2] / "dmfs"
fuzzed = settings(
    max_examples=FUZZ, deadline=None, database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)  # fmt: skip

# Names


def entries_of(names: tuple[str, ...]) -> dict[str, Any]:
    hubs = [Hub(HubId(f"b.{number}"), name) for number, name in enumerate(names)]
    return entry_names(hubs)


def test_no_name_leaves_its_directory() -> None:
    entries = entries_of(HOSTILE_NAMES * 2)
    assert len(entries) == len(HOSTILE_NAMES) * 2
    for name in entries:
        assert_legal(name)


@fuzzed
@given(st.lists(st.text(alphabet=st.characters(), max_size=400), max_size=8))
def test_any_names_are_legal_and_all_there(names: list[str]) -> None:
    entries = entries_of(tuple(names))
    assert len(entries) == len(names)
    for name in entries:
        assert_legal(name)
        assert legal_name(name) == name


@pytest.mark.parametrize("name", HOSTILE_NAMES, ids=ascii)
def test_names_reach_terminals_and_logs_harmless(name: str) -> None:
    assert printable(name).isprintable()
    record = logging.LogRecord("dmfs.x", logging.WARNING, "f", 1, "open %s", (name,), None)
    assert _OneLine("%(message)s").format(record).isprintable()
    try:
        raise ValueError(name)
    except ValueError:
        record.exc_info = sys.exc_info()
    lines = _OneLine("%(message)s").format(record).splitlines()
    assert all(line.isprintable() for line in lines)
    assert clean(name).isprintable()


def test_a_log_line_cannot_be_forged(tmp_path: Path) -> None:
    set_up_logging("info", tmp_path / "log")
    try:
        forged = "x\n2026-01-01 00:00:00,000 ERROR dmfs: all is lost\r\x1b[2K"
        logging.getLogger("dmfs.test").warning("cannot open %s", forged)
        lines = (tmp_path / "log").read_text().splitlines()
        assert len(lines) == 1
        assert lines[0].isprintable()
        assert (tmp_path / "log").stat().st_mode & 0o077 == 0
    finally:
        for handler in logging.getLogger("dmfs").handlers:
            handler.close()
        logging.getLogger("dmfs").handlers.clear()
        logging.getLogger("dmfs").propagate = True
        logging.getLogger("dmfs").setLevel(logging.NOTSET)


# Decoders, fuzzed

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
    index = directory / "blocks/index.db"
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


# Hostile answers over a real socket


@contextmanager
def server(answer: Callable[[bytes], bytes]) -> Iterator[tuple[str, list[bytes]]]:
    """A server of one's own words: ``answer(request head)`` → all that is sent."""
    listener = socket.create_server(("127.0.0.1", 0))
    heads: list[bytes] = []
    stop = threading.Event()

    def serve() -> None:
        while not stop.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(5)
                try:
                    head = b""
                    while b"\r\n\r\n" not in head:
                        piece = connection.recv(65536)
                        if not piece:
                            break
                        head += piece
                    heads.append(head)
                    connection.sendall(answer(head))
                except OSError:
                    continue

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", heads
    finally:
        stop.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(6)


def http(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


TOKEN = json.dumps({"access_token": "secret-token", "expires_in": 3599}).encode()
BOMBS = {
    "nested lists": b"[" * 2_000_000,
    "nested objects": b'{"data":' * 500_000,
    "a number of a million digits": b'{"data": ' + b"9" * 1_000_000 + b"}",
    "a number beyond floats": b'{"data": 1e999999}',
    "not a number": b'{"data": NaN}',
    "a million empty lists": b'{"data": [' + b"[]," * 1_000_000 + b"[]]}",
    "no text at all": bytes(range(256)) * 100,
    "another encoding": '{"data": []}'.encode("utf-32"),
    "a list": b"[]",
    "half a pair of surrogates": b'{"data": [{"id": "\\ud800", "type": "hubs"}]}',
}


@pytest.mark.parametrize("body", BOMBS.values(), ids=BOMBS)
def test_bombs_of_json_are_refused_in_time(body: bytes, tmp_path: Path) -> None:
    def answer(head: bytes) -> bytes:
        return http(TOKEN if b"/token" in head else body, "Content-Type: application/json")

    seen = _list_root(answer, tmp_path)
    assert seen is None or isinstance(seen, DriveError)


# httpx leaves its inner generators to the collector when a body is not read to its end
@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning", "ignore:Async generator:ResourceWarning"
)
def test_a_bomb_of_gzip_is_refused(tmp_path: Path) -> None:
    packed = gzip.compress(b" " * 200_000_000)

    def answer(head: bytes) -> bytes:
        return http(TOKEN) if b"/token" in head else http(packed, "Content-Encoding: gzip")

    assert isinstance(_list_root(answer, tmp_path), BadResponseError)


def test_pages_without_end_end_with_the_deadline(tmp_path: Path) -> None:
    count = 0

    def answer(head: bytes) -> bytes:
        nonlocal count
        if b"/token" in head:
            return http(TOKEN)
        if b"/projects" not in head:
            return http(json.dumps({"data": [{
                "type": "hubs", "id": "b.h", "attributes": {"name": "H"},
            }]}).encode())  # fmt: skip
        count += 1
        path = head.split()[1].decode().partition("?")[0]
        link = {"next": {"href": f"{path}?page[number]={count}&x={'y' * 500}"}}
        row = {"type": "projects", "id": f"b.{count}", "attributes": {"name": f"P{count}"}}
        return http(json.dumps({"data": [row], "links": link}).encode())

    assert isinstance(_list_root(answer, tmp_path, "/H"), DriveError)


def _list_root(answer: Callable[[bytes], bytes], tmp_path: Path, path: str = "/") -> Any:
    """What listing over a made-up service ends with: None, or the DriveError."""

    async def main(url: str) -> Any:
        fake = type("Emulator", (), {"api_url": url, "client_id": "id", "client_secret": "s3cret"})
        async with open_drive(settings_for(fake(), tmp_path, metadata_timeout=4.0)) as drive:
            try:
                with trio.fail_after(30):
                    await drive.listings.get(await drive.resolve(path))  # type: ignore[arg-type]
            except DriveError as error:
                assert "secret-token" not in error.message  # noqa: PT017
                return error
            return None

    with short_waits(), server(answer) as (url, heads):
        seen = trio.run(main, url)
    for head in heads:
        if b"/token" in head:
            assert b"secret-token" not in head
    return seen


# Where secrets go


def test_the_token_goes_to_the_api_origin_alone(tmp_path: Path) -> None:
    """Not to the object storage, not after a redirect, not to where a next link points."""
    with EmulatorProcess(world="small:files=3,min=1000,max=2000") as emulator:

        def elsewhere(head: bytes) -> bytes:
            return http(b"{}", status="404 Not Found")

        with short_waits(), server(elsewhere) as (url, heads):

            async def main() -> None:
                options: dict[str, Any] = {"ttl": 0.0, "hub_ttl": 0.0, "patience": 10.0}
                async with open_drive(settings_for(emulator, tmp_path, **options)) as drive:
                    path = "/Bench/Bench Project/Project Files/small/small-00001.txt"
                    node = await drive.resolve(path)
                    assert isinstance(node, File)
                    for kind, more in (
                        ("redirect", {"location": url + "/stolen"}),
                        ("redirect", {"location": url + "/stolen", "status": 308}),
                        ("next_other_host", {"host": url}),
                    ):
                        emulator.fault(kind, origin="api", times=6, **more)
                        try:
                            await drive.resolve(path)
                            await drive.open(node)
                        except DriveError as error:
                            assert "stolen" not in error.message  # noqa: PT017
                        emulator.clear_faults()
                    emulator.fault("redirect", origin="cdn", times=1, location=url + "/bytes")
                    reader = await drive.open(node)
                    data, _ = await reader.read(0, 100)
                    assert len(data) == 100
                    reader.close()

            trio.run(main)
        assert heads == [], "nothing at all was asked of another origin"
        cdn = [entry for entry in emulator.calls()["log"] if entry["origin"] == "cdn"]
        assert cdn
        assert not any(entry["authorization_present"] for entry in cdn)


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd", "http://169.254.169.254/latest/meta-data", "ftp://127.0.0.1/x",
        "gopher://127.0.0.1/x", "http://example.com/x", "https://user@example.com/x",
        "https://example.com/x y", "https://example.com/\r\nHost: evil", "http://127.0.0.1.evil.com/",
        "http://[::ffff:169.254.169.254]/", "dict://127.0.0.1/", "//example.com/x", "", "https://",
        "javascript:alert(1)", "http://evil[::1]/", "http://example.com[::1]:80/",
        "http://localhost.evil.com/x", "http://2130706433/",
    ],
)  # fmt: skip
def test_urls_of_other_kinds_are_never_fetched(url: str) -> None:
    assert not acceptable_url(url)


def test_tls_is_verified_on_both_planes(tmp_path: Path) -> None:
    trustme = pytest.importorskip("trustme")
    ca, stranger = trustme.CA(), trustme.CA()
    cert = ca.issue_cert("127.0.0.1")
    cert.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    with (tmp_path / "cert.pem").open("wb") as file:
        for blob in cert.cert_chain_pems:
            file.write(blob.bytes())
    for name, authority in (("right.pem", ca), ("wrong.pem", stranger)):
        authority.cert_pem.write_to_path(str(tmp_path / name))
    with EmulatorProcess(
        world="small:files=1,min=1000,max=2000",
        tls_cert=str(tmp_path / "cert.pem"), tls_key=str(tmp_path / "key.pem"),
    ) as emulator:  # fmt: skip

        async def look(api: str, ranges: str) -> int:
            config = settings_for(
                emulator, tmp_path, ca_file=str(tmp_path / api),
                metadata_timeout=20.0, data_timeout=20.0,  # a TLS handshake on a busy machine
            )  # fmt: skip
            async with open_drive(config) as drive:
                drive.fetcher._here._ca_bundle = str(tmp_path / ranges)
                path = "/Bench/Bench Project/Project Files/small/small-00000.txt"
                node = await drive.resolve(path)
                assert isinstance(node, File)
                reader = await drive.open(node)
                return len((await reader.read(0, 100))[0])

        with short_waits():
            assert trio.run(look, "right.pem", "right.pem") == 100
            with pytest.raises(DriveError, match=r"(?i)certificate|ssl"):
                trio.run(look, "wrong.pem", "right.pem")


def test_verification_is_never_switched_off() -> None:
    for path in SOURCE.glob("*.py"):
        text = path.read_text("utf-8")
        for word in ("SSL_VERIFY", "CERT_NONE", "verify=False", "check_hostname", "_unverified"):
            assert word not in text, f"{path.name}: {word}"
    context = ssl.create_default_context()
    assert context.check_hostname


def test_nothing_from_the_disk_can_run() -> None:
    """No pickle, no eval, no import by a name that is data; diskcache (pickle by default) only
    under a Disk of ours that takes bytes and refuses the rest (``tests/metadata/test_kept.py``
    hands it a pickle)."""
    allowed = {"kept.py": {"diskcache"}}
    banned = {"pickle", "marshal", "shelve", "diskcache", "dill", "yaml", "importlib.import_module"}
    for path in SOURCE.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in ("eval", "exec", "compile", "__import__"), path.name
            used = {name.partition(".")[0] for name in names} & banned
            assert used <= allowed.get(path.name, set()), path.name


def test_facts_of_a_hostile_entry_can_be_printed(capsysbinary: Any) -> None:
    from dmfs.cli import browse

    row = {
        "id": "urn:x", "type": "items", "attributes": {"displayName": "\ud800\x1b[31m"},
        "links": {"webView": {"href": "\ud800"}},
    }  # fmt: skip
    node = decode_item({"data": row}, "list", PROJECT)
    assert isinstance(node, Shortcut)
    drive: Any = type("D", (), {"size_of": lambda self, leaf: 0})()
    told = facts(drive, "name", node) | {"created_by": "\ud800\x1b[31m"}
    browse._print_json(told)
    assert b"\x1b" not in capsysbinary.readouterr().out


def test_the_cache_and_the_log_are_private(tmp_path: Path) -> None:
    open_cache = tmp_path / "cache"
    open_cache.mkdir(mode=0o777)
    open_cache.chmod(0o777)
    store = BlockStore(open_cache, limit_bytes=1 << 30, free_percent=0)
    stored = store.attach("urn:a", 1000)  # type: ignore[arg-type]
    store.write(stored, 0, memoryview(bytes(1000)))
    store.close()
    assert open_cache.stat().st_mode & 0o077 == 0
    planted = [path for path in open_cache.rglob("*") if path.is_file() and path.name.isdigit()]
    planted[0].unlink()
    planted[0].symlink_to("/etc/passwd")
    store = BlockStore(open_cache, limit_bytes=1 << 30, free_percent=0)
    try:
        with pytest.raises(OSError, match="symbolic"):
            store.attach("urn:a", 1000)  # type: ignore[arg-type]
    finally:
        store.close()


def test_secrets_are_cut_out_of_error_texts() -> None:
    for text in (
        "Bearer abc.def", "eyJhbGciOiJIUzI1NiJ9.x.y", "see https://cdn/x?Signature=abc&Expires=1",
        "client_secret=hunter2", "refresh_token=abc",
    ):  # fmt: skip
        kept = clean(f"before {text} after")
        assert kept in ("before … after", "before see … after")


def test_the_table_of_dependencies_is_the_lock() -> None:
    """Each package once, with its reason, a ground for trust, what it sees; and none that went."""
    root = SOURCE.parent.parent
    text = (root / "docs/security.md").read_text("utf-8").partition("## What we depend on")[2]
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    assert all(len(row) == 4 and all(row) for row in rows), [r for r in rows if len(r) != 4]
    lock = (root / "requirements/run.lock").read_text("utf-8")
    pinned = re.findall(r"^([A-Za-z0-9._-]+)==", lock, re.MULTILINE)
    assert len(pinned) > 20
    assert sorted(row[0] for row in rows[1:]) == sorted(pinned)

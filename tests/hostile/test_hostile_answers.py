"""Hostile answers over a real socket: bombs, pages without end, other origins, certificates."""

from __future__ import annotations

import gzip
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from dmfs.assembly import open_drive
from dmfs.emulator.process import EmulatorProcess
from dmfs.errors import BadResponseError, DriveError
from dmfs.model import File
from dmfs.urls import acceptable_url
from tests.hostile.matrix import settings_for, short_waits


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
                    await drive.parts.listings.get(await drive.resolve(path))  # type: ignore[arg-type]
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
                drive.parts.fetcher._here._ca_bundle = str(tmp_path / ranges)
                path = "/Bench/Bench Project/Project Files/small/small-00000.txt"
                node = await drive.resolve(path)
                assert isinstance(node, File)
                reader = await drive.open(node)
                return len((await reader.read(0, 100))[0])

        with short_waits():
            assert trio.run(look, "right.pem", "right.pem") == 100
            with pytest.raises(DriveError, match=r"(?i)certificate|ssl"):
                trio.run(look, "wrong.pem", "right.pem")

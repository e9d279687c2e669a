"""A plain client for the tests: http.client where it is enough, a raw socket where it is not."""

from __future__ import annotations

import http.client
import json
import socket
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from dmfs.emulator.process import EmulatorProcess

READ = "data:read data:search"


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def fetch(url: str, method: str = "GET", headers: dict[str, str] | None = None,
          body: bytes | None = None, timeout_s: float = 10.0) -> Reply:  # fmt: skip
    at = urlsplit(url)
    connection = http.client.HTTPConnection(at.netloc, timeout=timeout_s)
    try:
        target = at.path + (f"?{at.query}" if at.query else "")
        connection.request(method, target, body, headers or {})
        response = connection.getresponse()
        received = {k.lower(): v for k, v in response.getheaders() if k != "Date"}
        return Reply(response.status, received, response.read())
    finally:
        connection.close()


def token_reply(api_url: str, form: dict[str, str], headers: dict[str, str] | None = None) -> Reply:
    given = {"Content-Type": "application/x-www-form-urlencoded"} | (headers or {})
    return fetch(f"{api_url}/authentication/v2/token", "POST", given, urlencode(form).encode())


class Api:
    """One app, signed in two-legged."""

    def __init__(self, emulator: EmulatorProcess, client_id: str = "emulator-app",
                 secret: str = "emulator-secret", scope: str = READ) -> None:  # fmt: skip
        self.emulator = emulator
        self.url = emulator.api_url
        reply = token_reply(self.url, {
            "grant_type": "client_credentials", "client_id": client_id, "client_secret": secret,
            "scope": scope,
        })  # fmt: skip
        assert reply.status == 200, reply.body
        self.token = reply.json["access_token"]

    def get(self, path: str, headers: dict[str, str] | None = None) -> Reply:
        """``path`` is a path on the API or a whole URL."""
        url = path if path.startswith("http") else self.url + path
        return fetch(url, headers={"Authorization": f"Bearer {self.token}"} | (headers or {}))

    def post(self, path: str, body: Any) -> Reply:
        headers = {
            "Authorization": f"Bearer {self.token}", "Content-Type": "application/vnd.api+json"
        }  # fmt: skip
        return fetch(self.url + path, "POST", headers, json.dumps(body).encode())

    def pages(self, path: str) -> list[Any]:
        """All pages, by ``links.next`` only."""
        found = []
        url: str | None = path
        while url:
            reply = self.get(url)
            assert reply.status == 200, reply.body
            found.append(reply.json)
            url = reply.json["links"].get("next", {}).get("href")
        return found

    def contents(self, project: str, folder: str, query: str = "") -> list[Any]:
        return self.pages(f"/data/v1/projects/{project}/folders/{folder}/contents{query}")

    def sign(self, storage: str, query: str = "") -> Reply:
        bucket, _, key = storage.removeprefix("urn:adsk.objects:os.object:").partition("/")
        where = f"/oss/v2/buckets/{bucket}/objects/{quote(key, safe='')}/signeds3download"
        return self.get(where + query)


class Facts:
    """Finding things in ``GET /_emulator/world`` by raw names."""

    def __init__(self, emulator: EmulatorProcess) -> None:
        self.world = emulator.world()

    def hub(self, name: str) -> Any:
        return next(hub for hub in self.world["hubs"] if hub["name"] == name)

    def project(self, name: str, hub: str = "Emulated Builders / Headquarters") -> Any:
        return next(p for p in self.hub(hub)["projects"] if p["name"] == name)

    def folder(self, project: Any, *names: str) -> Any:
        at = project["folders"][0]
        for name in names:
            at = next(folder for folder in at["folders"] if folder["name"] == name)
        return at

    def item(self, folder: Any, name: str) -> Any:
        return next(item for item in folder["items"] if item["displayName"] == name)


def raw_exchange(url: str, headers: str = "", timeout_s: float = 10.0) -> tuple[bytes, str]:
    """All bytes that come back, and how it ended: ``fin``, ``rst`` or ``timeout``."""
    at = urlsplit(url)
    assert at.hostname
    with socket.create_connection((at.hostname, at.port or 80), timeout=timeout_s) as sock:
        target = at.path + (f"?{at.query}" if at.query else "")
        request = (
            f"GET {target} HTTP/1.1\r\nHost: {at.netloc}\r\nConnection: close\r\n{headers}\r\n"
        )
        sock.sendall(request.encode())
        got = bytearray()
        try:
            while chunk := sock.recv(1 << 16):
                got += chunk
        except ConnectionResetError:
            return bytes(got), "rst"
        except TimeoutError:
            return bytes(got), "timeout"
        return bytes(got), "fin"

"""The service of a row: the emulator for dmfs, and the shelf with the same bytes for rivals."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from dmfs.emulator.process import EmulatorProcess
from tests.bench.processes import Child, CommandFailed
from tests.bench.python import environment, python

SOURCE = "/Bench/Bench Project/Project Files"
_START_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Link:
    """A network: the API's latency, the CDN's, and what one connection carries."""

    api_ms: float = 0.0
    cdn_ms: float = 0.0
    mb_per_s: float = 0.0


EMULATED = Link(api_ms=100, cdn_ms=30, mb_per_s=50)
"""That of issue 5."""
LOCAL = Link()


@dataclass(frozen=True)
class Stored:
    """A file of the world: its name within Project Files, its storage object and size."""

    path: str
    storage: str
    size: int

    @property
    def object_key(self) -> str:
        return self.storage.partition("os.object:")[2].partition("/")[2]


class Service:
    """Both servers, and what they count."""

    def __init__(self, emulator: EmulatorProcess, shelf_url: str) -> None:
        self.emulator = emulator
        self.shelf_url = shelf_url
        project = emulator.world()["hubs"][0]["projects"][0]
        self.files = {file.path: file for file in _walk(project["folders"][0], "", skip=True)}

    def url(self, path: str) -> str:
        """Where a rival finds a file."""
        return f"{self.shelf_url}/{path}"

    def sha256(self, path: str) -> str:
        return self.emulator.sha256(self.files[path].storage)[0]

    def counts(self) -> tuple[int, int, int]:
        """Signings, GETs and bytes of the CDN since the last reset."""
        calls = self.emulator.calls()
        return calls["counts"]["sign"], calls["counts"]["cdn_get"], calls["cdn_bytes"]

    def shelf_counts(self) -> dict[str, int]:
        at = urlsplit(self.shelf_url)
        connection = http.client.HTTPConnection(at.netloc, timeout=10)
        connection.request("GET", "/_shelf/counts")
        counts: dict[str, int] = json.loads(connection.getresponse().read())
        connection.close()
        return counts


def _walk(folder: dict[str, Any], prefix: str, *, skip: bool = False) -> Iterator[Stored]:
    for item in folder["items"]:
        version = item["versions"][-1]
        yield Stored(f"{prefix}{item['displayName']}", version["storage"], version["size"])
    for child in folder["folders"]:
        yield from _walk(child, "" if skip else f"{prefix}{child['name']}/")


@contextmanager
def service(
    world: str, link: Link, log: Path, *, rate_limits: str = "off", shelf: bool = True
) -> Iterator[Service]:
    """Start both, wait until both answer, and end them."""
    emulator = EmulatorProcess(
        world=world, api_latency_ms=link.api_ms, cdn_latency_ms=link.cdn_ms,
        cdn_mb_per_s=link.mb_per_s, rate_limits=rate_limits, start_timeout_s=_START_TIMEOUT_S,
    )  # fmt: skip
    with emulator:
        if not shelf:
            yield Service(emulator, "")
            return
        arguments = [
            *python("tests.bench.shelf"), f"--world={world}", f"--latency-ms={link.cdn_ms}",
            f"--mb-per-s={link.mb_per_s}",
        ]  # fmt: skip
        with Child(arguments, log, environment()) as child:
            yield Service(emulator, _url_of(child))


def _url_of(child: Child) -> str:
    give_up = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < give_up and child.running:
        text = child.last_words()
        if text.endswith("\n") and text.startswith("http://"):
            return text.strip()
        time.sleep(0.02)
    raise CommandFailed(f"the shelf did not start: {child.last_words()}")

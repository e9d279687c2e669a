"""nginx with the bytes of a world as files: the fastest server there is, plain and over TLS."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import trustme

from dmfs.emulator.world.content import Computed
from tests.bench.processes import Child, CommandFailed
from tests.bench.service import Service, Stored

_START_TIMEOUT_S = 10.0

_CONFIGURATION = """
{user}
worker_processes auto;
daemon off;
pid {at}/nginx.pid;
error_log stderr error;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000;
    client_body_temp_path {at}/body;
    proxy_temp_path {at}/proxy;
    fastcgi_temp_path {at}/fastcgi;
    uwsgi_temp_path {at}/uwsgi;
    scgi_temp_path {at}/scgi;
    default_type application/octet-stream;
    root {www};
    autoindex on;
    server {{ listen 127.0.0.1:{http}; }}
    server {{
        listen 127.0.0.1:{https} ssl;
        ssl_certificate {at}/server.pem;
        ssl_certificate_key {at}/server.key;
        ssl_session_cache shared:tls:1m;
    }}
}}
"""


@dataclass(frozen=True)
class Web:
    """Where it listens, and whom to trust."""

    http_url: str
    https_url: str
    ca_file: Path


@contextmanager
def nginx(program: str, world: Service, at: Path, log: Path) -> Iterator[Web]:
    """Serve every file of a (small) world under its path, and as ``objects/<object key>``."""
    www = at / "www"
    (www / "objects").mkdir(parents=True)
    for file in world.files.values():
        _write(www, file, world)
    authority = trustme.CA()
    authority.cert_pem.write_to_path(at / "ca.pem")
    certificate = authority.issue_cert("127.0.0.1", "localhost")
    certificate.private_key_pem.write_to_path(at / "server.key")
    for number, blob in enumerate(certificate.cert_chain_pems):
        blob.write_to_path(at / "server.pem", append=number > 0)
    ports = _free_port(), _free_port()
    user = "user root;" if os.getuid() == 0 else ""
    configuration = at / "nginx.conf"
    configuration.write_text(
        _CONFIGURATION.format(at=at, www=www, http=ports[0], https=ports[1], user=user)
    )
    with Child([program, "-e", "stderr", "-p", str(at), "-c", str(configuration)], log) as child:
        for port in ports:
            _wait_for(port, child)
        yield Web(f"http://127.0.0.1:{ports[0]}", f"https://127.0.0.1:{ports[1]}", at / "ca.pem")


def _write(www: Path, file: Stored, world: Service) -> None:
    """The bytes of a computed object; its seed is what ``dmfs.emulator.world.bench`` gave it."""
    path = www / file.path
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as sink:
        for piece in Computed(seed_of(file.path), file.size).pieces(0, file.size):
            sink.write(piece)
    truth = world.emulator.bytes(file.storage, file.size - 1000)
    with path.open("rb") as source:
        source.seek(file.size - 1000)
        if source.read() != truth:
            raise CommandFailed(f"the bytes of {file.path} are not those of the emulator")
    (www / "objects" / file.object_key).hardlink_to(path)


def seed_of(path: str) -> str:
    """``big/big-07.bin`` → its seed in the emulator's world."""
    return f"bench big {int(path.rpartition('-')[2].partition('.')[0])}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _wait_for(port: int, child: Child) -> None:
    give_up = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < give_up and child.running:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise CommandFailed(f"nginx did not start: {child.last_words()}")


def fetch_range(url: str, start: int, stop: int, ca_file: Path) -> tuple[str, ...]:
    """curl's arguments for a range to /dev/null."""
    trust = ("--cacert", str(ca_file)) if url.startswith("https:") else ()
    return ("--silent", "--fail", *trust, "--range", f"{start}-{stop - 1}", "-o", os.devnull, url)

"""A forward proxy for tests: CONNECT tunnels and absolute URLs, with a password where asked for.
Stdlib only; knows nothing of dmfs."""

from __future__ import annotations

import base64
import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

HEAD_MAX_BYTES = 64 * 1024
IDLE_S = 10.0


class Proxy:
    """``requests`` are the first lines that came, ``refused`` the ports that get a 407."""

    def __init__(self, *, user: str = "", password: str = "") -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._wanted = ""
        if user:
            pair = base64.b64encode(f"{user}:{password}".encode()).decode()
            self._wanted = f"proxy-authorization: basic {pair}".lower()
        self.requests: list[str] = []
        self.refused: set[int] = set()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    def ports(self) -> set[int]:
        """Where its clients wanted to go."""
        return {_target(line)[1] for line in self.requests}

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError, ValueError):
            client.settimeout(IDLE_S)
            head = _head(client)
            lines = head.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
            self.requests.append(lines[0])
            host, port = _target(lines[0])
            known = not self._wanted or self._wanted in (line.lower() for line in lines)
            if not known or port in self.refused:
                client.sendall(
                    b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n"
                    b"Proxy-Authenticate: Basic realm=x\r\nConnection: close\r\n\r\n"
                )
                return
            with socket.create_connection((host, port), timeout=IDLE_S) as server:
                if lines[0].startswith("CONNECT "):
                    client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                else:
                    server.sendall(_as_origin(head))
                _pipe(client, server)


def _head(client: socket.socket) -> bytes:
    head = b""
    while b"\r\n\r\n" not in head and len(head) < HEAD_MAX_BYTES:
        piece = client.recv(65536)
        if not piece:
            raise ValueError("no request")
        head += piece
    return head


def _target(line: str) -> tuple[str, int]:
    word = line.split()[1]
    split = urlsplit(word if "://" in word else f"//{word}")
    return split.hostname or "", split.port or 80


def _as_origin(head: bytes) -> bytes:
    """An absolute URL as the origin server wants it; one request a connection."""
    first, _, rest = head.partition(b"\r\n")
    method, url, version = first.split(b" ")
    split = urlsplit(url.decode("latin-1"))
    path = split.path + (f"?{split.query}" if split.query else "")
    lines, _, body = rest.partition(b"\r\n\r\n")
    kept = [
        line
        for line in lines.split(b"\r\n")
        if not line.lower().startswith((b"proxy-", b"connection:"))
    ]
    top = b" ".join((method, path.encode("latin-1"), version))
    return b"\r\n".join([top, b"Connection: close", *kept]) + b"\r\n\r\n" + body


def _pipe(one: socket.socket, other: socket.socket) -> None:
    """Both ways until one of them has had enough."""
    while True:
        ready, _, _ = select.select([one, other], [], [], IDLE_S)
        if not ready:
            return
        for source in ready:
            piece = source.recv(65536)
            if not piece:
                return
            (other if source is one else one).sendall(piece)


@contextmanager
def running_proxy(*, user: str = "", password: str = "") -> Iterator[Proxy]:
    """A proxy that ends with the block."""
    proxy = Proxy(user=user, password=password)
    try:
        yield proxy
    finally:
        proxy.close()

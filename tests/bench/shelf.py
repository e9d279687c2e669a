"""The rivals' server: the emulator's own CDN code and link, with directories and no signatures.

``python -m tests.bench.shelf --world SPEC`` serves every folder of the bench project as an HTML
directory, as rclone's ``http`` remote wants it, over the same byte ranges, the same pacing and
the same latency as the emulator's CDN. Rivals thus read the same bytes from the same kind of
server, and save themselves the API.
"""

from __future__ import annotations

import argparse
import json
from html import escape
from urllib.parse import quote, unquote

import h11
import trio

from dmfs.emulator.api import cdn
from dmfs.emulator.api.url_signing import etag
from dmfs.emulator.http import errors
from dmfs.emulator.http.delivery import ConnectionBroken, Delivery, deliver
from dmfs.emulator.http.messages import Answer, Request, bytes_answer
from dmfs.emulator.world.catalog import make_world
from dmfs.emulator.world.model import Folder, Storage, World

_RECEIVE_BYTES = 64 * 1024


class Shelf:
    """What is on the shelf, and the link to it."""

    def __init__(self, world: World, latency_s: float, bytes_per_s: float) -> None:
        self._latency_s = latency_s
        self._bytes_per_s = bytes_per_s
        self._files: dict[str, Storage] = {}
        self._pages: dict[str, bytes] = {}
        for hub in world.hubs:
            for project in hub.projects:
                for top in project.root.folders:
                    self._add(top, "/")
        self.counts = {"gets": 0, "heads": 0, "bytes": 0}

    def _add(self, folder: Folder, path: str) -> None:
        names = []
        for child in folder.folders:
            self._add(child, f"{path}{child.name}/")
            names.append(f"{child.name}/")
        for item in folder.items:
            storage = item.tip.storage
            if storage is not None:
                self._files[f"{path}{item.display_name}"] = storage
                names.append(str(item.display_name))
        links = "\n".join(f'<a href="{quote(name)}">{escape(name)}</a>' for name in names)
        self._pages[path] = f"<html><body>\n{links}\n</body></html>\n".encode()

    async def answer(self, request: Request) -> tuple[Answer, Delivery]:
        path = unquote(request.path)
        if path == "/_shelf/counts":
            return bytes_answer(json.dumps(self.counts).encode(), "application/json"), Delivery()
        await trio.sleep(self._latency_s)
        if path in self._pages:
            return bytes_answer(self._pages[path], "text/html"), Delivery()
        storage = self._files.get(path)
        if storage is None:
            return errors.html(404), Delivery()
        self.counts["heads" if request.method == "HEAD" else "gets"] += 1
        content = storage.content
        tag = etag(storage.urn, content.size)
        answer = cdn.ranged(request, content, tag, storage.modified_s, "application/octet-stream")
        return answer, Delivery(rate_bytes_per_s=self._bytes_per_s)

    async def converse(self, stream: trio.SocketStream) -> None:
        """Requests one after the other, until one side closes."""
        connection = h11.Connection(h11.SERVER)
        try:
            while True:
                request = await _request(stream, connection)
                if request is None:
                    return
                answer, delivery = await self.answer(request)
                try:
                    await deliver(stream, connection, answer, delivery)
                finally:
                    self.counts["bytes"] += delivery.sent_bytes
                if connection.our_state is not h11.DONE:
                    return
                connection.start_next_cycle()
        except (trio.BrokenResourceError, ConnectionBroken, h11.RemoteProtocolError):
            pass  # clients come and go


async def _request(stream: trio.SocketStream, connection: h11.Connection) -> Request | None:
    head: h11.Request | None = None
    for event in iter(connection.next_event, None):
        if event is h11.NEED_DATA:
            connection.receive_data(bytes(await stream.receive_some(_RECEIVE_BYTES)))
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.EndOfMessage) and head is not None:
            headers = {name.decode(): value.decode("latin-1") for name, value in head.headers}
            return Request("cdn", head.method.decode(), head.target.decode(), headers, b"")
        elif not isinstance(event, h11.Data):
            break
    return None


async def _serve(shelf: Shelf) -> None:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    print(f"http://127.0.0.1:{port}", flush=True)
    await trio.serve_listeners(shelf.converse, listeners)


def _arguments() -> tuple[World, float, float]:
    parser = argparse.ArgumentParser(prog="tests.bench.shelf")
    parser.add_argument("--world", required=True)
    parser.add_argument("--latency-ms", type=float, default=0.0)
    parser.add_argument("--mb-per-s", type=float, default=0.0)
    given = parser.parse_args()
    return make_world(given.world), given.latency_ms / 1000, given.mb_per_s * 1e6


if __name__ == "__main__":
    trio.run(_serve, Shelf(*_arguments()))

"""An HTTP directory index whose every answer takes its time: what rclone walks. Stdlib only."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class _Slow(SimpleHTTPRequestHandler):
    latency_s = 0.0

    def do_GET(self) -> None:
        time.sleep(self.latency_s)
        super().do_GET()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


@contextmanager
def serve_slowly(directory: Path, latency_s: float) -> Iterator[str]:
    """The URL of an index of ``directory``."""
    handler = type("Slow", (_Slow,), {"latency_s": latency_s})
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(directory)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

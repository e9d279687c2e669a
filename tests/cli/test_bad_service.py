"""A service that answers with nonsense or refuses: one line that says what it did."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.support.commands import QUICK, the_line

NONSENSE: dict[str, tuple[str, dict[str, Any], str]] = {
    "malformed_json": ("hubs", {}, "not valid JSON"),
    "truncated_json": ("hubs", {}, "not valid JSON"),
    "html_200": ("hubs", {}, "web page"),
    "empty_body": ("hubs", {}, "not valid JSON"),
    "wrong_json_types": ("hubs", {}, "cannot list hubs"),
    "huge_body": ("hubs", {"megabytes": 40}, "larger than 8 MiB"),
    "huge_headers": ("hubs", {}, "cannot list "),
    "redirect": ("hubs", {"location": "http://127.0.0.1:9/"}, "cannot list hubs"),
    "page_circle": ("projects", {}, "pages in a circle"),
    "next_other_host": ("projects", {}, "leads elsewhere"),
    "reset_before_headers": ("hubs", {}, "cannot list hubs"),
    "stall_before_headers": ("hubs", {"seconds": None}, "no answer within"),
    "html_200 of the token": ("token", {}, "web page"),
    "wrong_json_types of the token": ("token", {}, "cannot sign in"),
}


@pytest.mark.parametrize("name", NONSENSE)
def test_nonsense_of_the_service(calm, home, name):
    route, more, expected = NONSENSE[name]
    calm.fault(name.partition(" ")[0], route=route, times=None, **more)
    path = "/Emulated Europe" if route == "projects" else "/"
    line = the_line(home.run("ls", path, *QUICK), 1)
    assert expected in line, line


@pytest.mark.parametrize("status", [400, 403, 404, 429, 500, 503])
@pytest.mark.parametrize("shape", ["jsonapi", "html"])
def test_refusals_of_the_service(calm, home, status, shape):
    calm.fault("status", route="hubs", status=status, shape=shape, times=None, retry_after=100)
    line = the_line(home.run("ls", "/", *QUICK), 1)
    assert f"HTTP {status}" in line or "rate limit" in line, line


class _BigPage(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.send_response(500)
        self.send_header("Content-Length", str(10 << 20))
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        try:
            for _ in range(160):
                self.wfile.write(b"<html>error " + b"x" * 65524)
        except OSError:
            pass

    def log_message(self, *_: object) -> None:
        pass


def test_an_error_page_of_10_mb(home):
    server = ThreadingHTTPServer(("127.0.0.1", 0), _BigPage)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_address[1]}"
        line = the_line(home.run("ls", "/", *QUICK, environ={"DMFS_API_URL": url}), 1)
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
    assert "HTTP 500" in line
    assert len(line) < 500

"""Anybody on this machine can send requests to the listener of ``dmfs login``."""

from __future__ import annotations

import http.client
import re
import socket
from urllib.parse import parse_qs, urlsplit

import pytest

from dmfs.auth.loopback_server import CONNECTIONS
from tests.auth.person import Login, Person, visit


def still_waits(login: Login) -> None:
    assert login.process.poll() is None
    assert visit(login.consent())[0] == 200
    assert login.wait() == 0
    assert "Signed in as" in login.said


def raw(person: Person, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", person.port), timeout=10) as connection:
        connection.sendall(request)
        return connection.recv(65536)


@pytest.mark.parametrize("query", ["code=x&state=wrong", "error=access_denied", "state=", "&&=%ff"])
def test_a_wrong_state_does_not_end_the_wait(person: Person, query: str) -> None:
    with person.begin() as login:
        status, page = visit(f"http://localhost:{person.port}/callback?{query}")
        assert status == 400
        assert "another attempt" in page
        still_waits(login)


def test_nonsense_gets_an_error_and_does_not_end_the_wait(person: Person) -> None:
    with person.begin() as login:
        state = parse_qs(urlsplit(login.url).query)["state"][0]
        answers = [
            raw(person, b"nonsense\r\n\r\n"),
            raw(person, b"GET /callback?code=x HTTP/1.1\r\n\r\n"),  # no host
            raw(person, b"GET /callback?" + b"x" * 40000 + b" HTTP/1.1\r\nHost: x\r\n\r\n"),
            raw(person, b"GET http://[bad/callback?code=x HTTP/1.1\r\nHost: x\r\n\r\n"),
            raw(
                person, f"POST /callback?code=x&state={state} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
            ),
            raw(person, f"GET /other?code=x&state={state} HTTP/1.1\r\nHost: x\r\n\r\n".encode()),
        ]
        assert all(re.match(rb"HTTP/1.1 4\d\d ", answer) for answer in answers), answers
        connection = http.client.HTTPConnection("127.0.0.1", person.port, timeout=10)
        connection.request("HEAD", "/callback?code=x&state=y")
        assert connection.getresponse().status == 404
        connection.close()
        still_waits(login)


def test_connections_that_send_nothing_keep_nobody_out(person: Person) -> None:
    """More than may be open at once: they are closed from the oldest on, none waits for its end."""
    with person.begin() as login:
        silent = [
            socket.create_connection(("127.0.0.1", person.port), timeout=10)
            for _ in range(3 * CONNECTIONS)
        ]
        still_waits(login)
        assert silent[0].recv(1) == b""
        for each in silent:
            each.close()

"""Asks a mount, by its socket. Blocks: for commands."""

from __future__ import annotations

import json
import os
import socket as socket_module
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from dmfs.control.peer import peer_uid
from dmfs.errors import (
    AccessError,
    BadResponseError,
    DeadlineError,
    DriveError,
    MountGoneError,
    UsageError,
)

CONNECT_S = 2.0
ANSWER_S = 10.0
STOPPED_HINT = "is its process stopped? dmfs umount takes it away"
SILENCE_S = 60.0
"""For the next line of an answer that comes in lines."""


def ask(socket: Path, owner: int | None, path: str, *, timeout_s: float = ANSWER_S) -> Any:
    """The JSON value that answers ``GET path``. MountGoneError, DeadlineError, or the DriveError
    that the mount tells. ``owner``: the user whose mount it is, as the kernel says."""
    with asking(socket, owner, timeout_s=timeout_s) as get:
        return get(path)


@contextmanager
def asking(
    socket: Path, owner: int | None, *, timeout_s: float = ANSWER_S
) -> Iterator[Callable[[str], Any]]:
    """``ask`` for many questions: a client costs more than a question."""
    with _client(socket, owner, timeout_s) as client:

        def get(path: str) -> Any:
            with _errors():
                return _value(client.get(path))

        yield get


def stream(
    socket: Path, owner: int | None, path: str, parameters: Mapping[str, Any] | None
) -> Iterator[Any]:
    """The lines that answer, as they come: ``POST`` with parameters, ``GET`` without. Closing the
    iterator ends the job. DriveError as ``ask``, and that of a last line that tells one."""
    method, body = ("GET", None) if parameters is None else ("POST", json.dumps(parameters))
    with (
        _client(socket, owner, SILENCE_S) as client,
        _errors(),
        client.stream(method, path, content=body) as response,
    ):
        if response.status_code != httpx.codes.OK:
            response.read()
            _value(response)
        ended = False
        for line in response.iter_lines():
            event = json.loads(line)
            if event.get("event") == "error":
                raise error_of(event)
            ended = ended or event.get("event") == "done"
            yield event
        if not ended:
            raise MountGoneError("the drive ended before its answer was complete")


def error_of(event: Mapping[str, Any]) -> DriveError:
    """The error that a last line tells."""
    kind = UsageError if event.get("usage") else DriveError
    return kind(str(event.get("message", "")), hint=str(event.get("hint", "")))


@contextmanager
def _client(socket: Path, owner: int | None, timeout_s: float) -> Iterator[httpx.Client]:
    _check_owner(socket, owner)
    with _reachable(socket) as path:
        # no TLS here, and so no certificates to load: they cost 20 ms
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        transport = httpx.HTTPTransport(uds=path, verify=context)
        timeout = httpx.Timeout(timeout_s, connect=CONNECT_S)
        with httpx.Client(transport=transport, base_url="http://dmfs", timeout=timeout) as client:
            yield client


@contextmanager
def _reachable(socket: Path) -> Iterator[str]:
    """A path to it that is short enough, through its directory's descriptor: one holds 107 bytes.
    MountGoneError if there is no such directory."""
    try:
        descriptor = os.open(socket.parent, os.O_DIRECTORY | os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise MountGoneError(f"{socket} cannot be reached: {error.strerror}") from None
    try:
        yield f"/proc/self/fd/{descriptor}/{socket.name}"
    finally:
        os.close(descriptor)


def _check_owner(path: Path, owner: int | None) -> None:
    """AccessError unless the mount's owner, or root, listens there: another user of this machine
    might, in a directory that is open to all. (Asked on a connection of its own: what is sent on
    the next one goes to the same place: only the directory's owner could change it.)"""
    with _reachable(path) as short, socket_module.socket(socket_module.AF_UNIX) as client:
        client.settimeout(CONNECT_S)
        try:
            client.connect(short)
        except TimeoutError:
            raise DeadlineError("the drive does not answer", hint=STOPPED_HINT) from None
        except OSError as error:
            raise MountGoneError(f"the drive does not answer: {error.strerror}") from None
        uid = peer_uid(client)
    if uid not in (0, owner):
        raise AccessError(f"somebody else (user {uid}) answers at {path}")


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except (httpx.ConnectError, httpx.ReadError, httpx.RemoteProtocolError):
        raise MountGoneError("the drive has ended, or its process is gone") from None
    except httpx.TimeoutException:
        raise DeadlineError("the drive does not answer", hint=STOPPED_HINT) from None
    except (httpx.TransportError, ValueError) as error:
        raise BadResponseError(f"the drive's answer is damaged: {error}") from None


def _value(response: httpx.Response) -> Any:
    value = response.json()
    if response.status_code == httpx.codes.OK:
        return value
    error = value.get("error", {}) if isinstance(value, dict) else {}
    raise DriveError(
        str(error.get("message") or f"the drive answers {response.status_code}"),
        hint=str(error.get("hint", "")),
    )

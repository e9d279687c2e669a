"""What this machine runs out of is never told as the service's fault, and opens no breaker."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
import trio

from dmfs.errors import ShortageError, UnreachableError
from dmfs.fetch.thread_fetcher import ThreadFetcher
from dmfs.http.client import LocalShortageError, Request
from dmfs.http.curl.client import CurlClient
from dmfs.http.httpx_client import HttpxClient
from dmfs.http.json_client import Call, JsonClient
from dmfs.http.probes import reaches
from dmfs.http.tls import ca_bundle
from dmfs.ratelimit.limiter import RateLimiter
from dmfs.system.resources import raise_descriptor_limit, shortage_of
from tests.http.byte_server import byte_server, saying
from tests.support.helpers import a_get, real, virtual

SHORTAGES: dict[str, tuple[BaseException, str]] = {
    "this process's descriptors": (OSError(errno.EMFILE, "x"), "file descriptors"),
    "the machine's descriptors": (OSError(errno.ENFILE, "x"), "file descriptors"),
    "memory": (MemoryError(), "memory"),
    "memory of a socket": (OSError(errno.ENOBUFS, "x"), "memory"),
    "address space": (OSError(errno.ENOMEM, "x"), "memory"),
    "threads": (RuntimeError("can't start new thread"), "threads"),
    "disk": (OSError(errno.ENOSPC, "x"), "disk space"),
    "quota": (OSError(errno.EDQUOT, "x"), "disk space"),
    "file size": (OSError(errno.EFBIG, "x"), "disk space"),
}
CALL = Call(action="list folder Plans", route="contents", method="POST", path="/x")


@contextmanager
def no_descriptors() -> Iterator[None]:
    """The next descriptor of this process is one too many."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = os.open(os.devnull, os.O_RDONLY)
    os.close(used)
    resource.setrlimit(resource.RLIMIT_NOFILE, (used, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def failing(error: BaseException) -> HttpxClient:
    async def handler(_request: httpx.Request) -> httpx.Response:
        try:
            raise error
        except OSError as cause:
            raise httpx.ConnectError("all attempts failed") from cause

    return HttpxClient(httpx.AsyncClient(transport=httpx.MockTransport(handler)))


@pytest.mark.parametrize("name", SHORTAGES)
@virtual
async def test_a_shortage_is_told_as_one_and_opens_no_breaker(name: str) -> None:
    error, what = SHORTAGES[name]
    engine = failing(error)
    with pytest.raises(LocalShortageError, match=what):
        await engine.send(Request("POST", "https://host/"))
    client = JsonClient("https://host", engine, RateLimiter())
    with pytest.raises(ShortageError) as caught:
        await client.request(CALL)
    assert not isinstance(caught.value, UnreachableError)
    assert caught.value.message == f"cannot list folder Plans: this machine has no more {what}"
    assert caught.value.hint
    assert not client.breaker._suspected.is_set()
    assert await client.probe(1.0), "nothing is known of the service"
    assert await reaches(engine, "https://host", 1.0)


def test_a_network_that_is_down_is_no_shortage() -> None:
    others: list[BaseException] = [
        OSError(errno.ECONNREFUSED, "x"), OSError(errno.ENETUNREACH, "x"), TimeoutError(),
        RuntimeError("bug"), ValueError(),
    ]  # fmt: skip
    assert [shortage_of(each) for each in others] == [""] * len(others)
    loop = ValueError()
    loop.__context__ = RuntimeError("x")
    loop.__context__.__context__ = loop
    assert shortage_of(loop) == ""


@real
async def test_a_get_without_a_descriptor() -> None:
    client = CurlClient(ca_bundle=ca_bundle(""), connections=2)
    async with byte_server(saying(b"{}")) as server, trio.open_nursery() as nursery:
        nursery.start_soon(client.run)
        with no_descriptors(), pytest.raises(LocalShortageError, match="file descriptors"):
            await client.send(Request("GET", server.url))
        assert (await client.send(Request("GET", server.url))).status == 200  # and not for ever
        nursery.cancel_scope.cancel()
    client.close()


@real
async def test_a_range_without_a_descriptor() -> None:
    fetcher = ThreadFetcher(ca_bundle=ca_bundle(""), connections=2)
    fetcher.start()
    try:
        for url in ("http://127.0.0.1:9/x", "http://localhost:9/x"):
            with no_descriptors(), pytest.raises(ShortageError, match="file descriptors"):
                await fetcher.fetch(a_get(url, 5))
        with pytest.raises(UnreachableError):
            await fetcher.fetch(a_get("http://127.0.0.1:9/x", 5))
    finally:
        fetcher.close()


@pytest.mark.process
def test_the_soft_limit_is_raised_to_the_hard_one() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (60, before[1]))
    try:
        assert raise_descriptor_limit(192) == ""
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (before[1], before[1])
        words = raise_descriptor_limit(before[1] + 1)
        assert f"only {before[1]} files may be open" in words
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_the_probe_of_a_descriptor_leaves_none_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    from dmfs.system.resources import shortage_of_errno

    before = os.listdir("/proc/self/fd")  # noqa: PTH208
    assert shortage_of_errno(errno.ECONNREFUSED) == ""
    assert len(os.listdir("/proc/self/fd")) == len(before)  # noqa: PTH208

    def full(*_: Any) -> int:
        raise OSError(errno.ENFILE, "x")

    monkeypatch.setattr(os, "open", full)
    assert shortage_of_errno(0) == "file descriptors"

"""Whether a host answers: no token, no retry, any answer of a host is a good one."""

from __future__ import annotations

import pytest
import trio

from dmfs.errors import CertificateError, SetupError, UnreachableError
from dmfs.http.client import (
    BrokenConnectionError,
    CertificateRejectedError,
    ConnectError,
    NestedEncodingError,
    SilenceError,
)
from dmfs.http.probes import get_anonymously, reaches
from tests.support.fake_http import Answer, FakeService, json_client_of, raw, status
from tests.support.helpers import virtual


@pytest.mark.parametrize(
    ("answer", "there"),
    [
        (status(403), True), (status(500), True), (status(302), True), (raw(b"<html>"), True),
        (BrokenConnectionError("reset"), True), (NestedEncodingError(), True),
        (ConnectError("refused"), False), (SilenceError("15 s"), False),
        (CertificateRejectedError("a proxy"), False),
    ],
)  # fmt: skip
def test_any_answer_of_a_host_says_that_it_is_there(answer: Answer, there: bool) -> None:
    @virtual
    async def body() -> None:
        service = FakeService(answer)
        assert await reaches(service, "https://cdn.example", 5.0) is there
        (request,) = service.requests
        assert (request.method, request.url) == ("GET", "https://cdn.example/")
        assert "Authorization" not in request.headers

    body()


@virtual
async def test_a_host_that_is_slower_than_the_probe_is_away() -> None:
    class Slow(FakeService):
        async def send(self, request):
            await trio.sleep(10)

    began = trio.current_time()
    assert await reaches(Slow(), "https://cdn.example", 0.8) is False
    assert trio.current_time() - began == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("answer", "there"),
    [
        (status(200), True), (status(401), True), (status(500), True), (status(302), False),
        (raw(b"<html>Hotel WiFi"), False), (ConnectError("refused"), False),
        (BrokenConnectionError("reset"), False), (NestedEncodingError(), False),
    ],
)  # fmt: skip
def test_the_api_is_there_when_it_answers_itself(answer: Answer, there: bool) -> None:
    """A captive portal answers for it."""

    @virtual
    async def body() -> None:
        service = FakeService(answer)
        async with json_client_of(service) as client:
            assert await client.probe(1.0) is there
            assert client.gauges()["http.retries"] == 0
        assert service.paths == ["/authentication/v2/keys"]

    body()


@virtual
async def test_a_look_at_a_page_is_any_answer_or_an_error_that_names_it() -> None:
    assert (await get_anonymously(FakeService(status(404)), "look", "https://x/y")).status == 404
    for failure, kind in (
        (ConnectError("refused"), UnreachableError),
        (CertificateRejectedError("expired"), CertificateError),
    ):
        with pytest.raises(kind, match="cannot reach the page"):
            await get_anonymously(FakeService(failure), "reach the page", "https://x/y")


@virtual
async def test_an_engine_that_does_not_open_says_nothing_of_a_host() -> None:
    class Closed(FakeService):
        async def send(self, request):
            raise SetupError("the proxy that the environment names cannot be used")

    assert await reaches(Closed(), "https://cdn.example", 0.8) is True

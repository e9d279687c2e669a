"""Versions below the tip, over a made-up service."""

from __future__ import annotations

from typing import Any

import pytest

from dmfs.aps.earlier_versions import EarlierVersions
from dmfs.errors import BadResponseError
from dmfs.http.json_client import JsonClient
from dmfs.model import File, FolderId, HubId, StorageId
from dmfs.ratelimit.limiter import RateLimiter
from tests.aps.posting import ITEM, STORAGE, VERSION, B, Tokens, version_row
from tests.support.fake_http import API_URL, FakeService, json_response, status
from tests.support.helpers import virtual

TIP = File(
    ITEM, VERSION, StorageId(STORAGE), FolderId("f"), B, HubId("b.h"), "a.dwg", 7, version_number=3
)


def _over(*answers: Any) -> tuple[EarlierVersions, FakeService]:
    service = FakeService(*answers)
    return EarlierVersions(JsonClient(API_URL, service, RateLimiter()), Tokens()), service


@virtual
async def test_a_version_by_its_number() -> None:
    earlier, service = _over(json_response({"data": version_row(2)}))
    file = await earlier.of(TIP, 2)
    assert file is not None
    assert (file.version_number, file.item_id, file.storage_id) == (2, ITEM, STORAGE)
    assert (file.hub_id, file.project_id) == ("b.h", B)
    assert service.paths == [
        (
            "/data/v1/projects/b.1234/versions/"
            "urn%3Aadsk.wipprod%3Afs.file%3Avf.bbbbbbbbbbbbbbbbbbbbbb%3Fversion%3D2"
        )
    ]


@pytest.mark.parametrize(
    "answer",
    [
        status(404),
        json_response({"data": version_row(3)}),
        json_response({"data": version_row(2) | {"relationships": {}}}),
    ],
    ids=["none", "another", "a tombstone"],
)
def test_there_is_none(answer: Any) -> None:
    @virtual
    async def body() -> None:
        earlier, _ = _over(answer)
        assert await earlier.of(TIP, 2) is None

    body()


@virtual
async def test_an_answer_that_is_none_and_numbers_that_are_none() -> None:
    earlier, service = _over(json_response({"data": []}))
    with pytest.raises(BadResponseError):
        await earlier.of(TIP, 2)
    assert await earlier.of(TIP, 0) is None
    assert len(service.requests) == 1

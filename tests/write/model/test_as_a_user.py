"""An app that writes on its own sign-in, in the name of a user (``x_user_id``)."""

from __future__ import annotations

import pytest

from dmfs.errors import AccessError
from tests.write.model.machine import ADA, BOB, fast
from tests.write.model.place import sha256

OLD, OURS, MORE = b"old " * 50, b"ours " * 60, b"more " * 70
F, G = "Plan.dwg", "Elevation.dwg"


@pytest.fixture
def server(make_machine):
    app = {"client_id": "emulator-app", "client_secret": "emulator-secret"}
    return make_machine("server", ADA, signs_in=False, x_user_id=ADA, **app)


@fast
async def test_a_save_is_one_version_made_by_the_user_that_the_app_acts_for(server, place):
    item = place.add(F, OLD)
    async with server.on():
        await server.save(f"{place.path}/{F}", OURS)
        await server.save(f"{place.path}/{G}", MORE)
        await server.comes_to_rest()
    live = place.live()
    assert place.item(F) == item
    assert [(each.user, each.sha256) for each in live[F]] == [
        (BOB, sha256(OLD)), (ADA, sha256(OURS)),
    ]  # fmt: skip
    assert [(each.user, each.sha256) for each in live[G]] == [(ADA, sha256(MORE))]
    assert server.emulator.violations() == {}


@fast
async def test_an_answer_lost_to_an_app_that_acts_for_a_user_is_one_version(server, place):
    place.add(F, OLD)
    for route in ("complete", "versions_post"):
        server.emulator.fault(kind="reset_before_headers", route=route, times=1)
    async with server.on():
        await server.save(f"{place.path}/{F}", OURS)
        await server.comes_to_rest()
    assert [each.user for each in place.live()[F]] == [BOB, ADA]
    assert server.emulator.violations() == {}


@fast
async def test_the_permissions_of_that_user_count(server, place):
    place.add(F, OLD)
    place.change("level", user=ADA, level="view")
    async with server.on():
        with pytest.raises(AccessError):
            await server.save(f"{place.path}/{F}", OURS)
    assert len(place.live()[F]) == 1


@fast
async def test_the_storage_is_never_told_the_user(server, place):
    async with server.on():
        await server.save(f"{place.path}/{F}", OURS)
        await server.comes_to_rest()
    log = server.emulator.calls()["log"]
    calls = [each for each in log if each["path"].startswith("/oss/")]
    assert calls
    assert {each["user_id"] for each in calls} == {None}

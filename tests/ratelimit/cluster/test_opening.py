"""What a drive says of a coordinator that makes no sense, is not installed for, or is away."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import pytest
import trio

from dmfs.cli.control.status import _sharing
from dmfs.cli.doctor.quota import check_quota
from dmfs.cli.settings import _assignment
from dmfs.config import Settings
from dmfs.errors import SetupError, UsageError
from dmfs.quota import open_limiter
from tests.support.helpers import real


def settings(directory: Path, quota: str) -> Settings:
    return Settings(client_id="app", state_dir=directory, quota=quota, cluster_workers=4)


async def opened(chosen: Settings):
    async with trio.open_nursery() as nursery:
        limiter = await open_limiter(chosen, nursery)
        with trio.fail_after(5):
            await limiter.acquire("oss", "sign")
        nursery.cancel_scope.cancel()
    return limiter


@real
async def test_without_the_setting_nothing_is_shared(tmp_path):
    assert (await opened(settings(tmp_path, ""))).sharing() is None
    assert await check_quota(settings(tmp_path, "")) == []


@real
async def test_a_coordinator_that_is_away_stops_no_call_and_is_said_once(tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    chosen = settings(tmp_path, f"unix://user:p4ssw0rd@{tmp_path}/none")
    limiter = await opened(chosen)
    found = limiter.sharing()
    assert found is not None
    assert (found["state"], found["workers"]) == ("alone", 4)
    assert "1/4 for this machine" in _sharing(found)
    (finding,) = await check_quota(chosen)
    assert finding.level == "warning"
    told = [each for each in caplog.records if "1/4 of each quota" in each.getMessage()]
    assert len(told) == 1
    assert "p4ssw0rd" not in f"{found} {_sharing(found)} {finding} {caplog.text} {chosen!r}"


@real
async def test_a_missing_library_is_one_clear_line(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "limits.storage", None)
    with pytest.RaisesGroup(pytest.RaisesExc(SetupError, match="not installed")):
        await opened(settings(tmp_path, "valkey://127.0.0.1:1"))


def test_a_password_is_refused_on_the_command_line() -> None:
    assert _assignment("quota=valkey://h:1/0") == ("quota", "valkey://h:1/0")
    with pytest.raises(UsageError) as caught:
        _assignment("quota=valkey://u:p4ssw0rd@h:1/0")
    assert "p4ssw0rd" not in str(caught.value)
    assert "DMFS_QUOTA" in caught.value.hint

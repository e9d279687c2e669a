"""Mended: waits for a stalled token request, and for a storage that says when to come back."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import trio

from dmfs.assembly import open_drive
from dmfs.auth.token_file import TokenFile
from dmfs.auth.tokens import SignIn, StoredSignIn, encode
from dmfs.emulator.process import EmulatorProcess
from dmfs.errors import (
    BusyError,
    DeadlineError,
    DriveError,
    UnreachableError,
)
from dmfs.fetch.hosts import BACKOFF_MAX_S, HostBackoff
from dmfs.model import File
from dmfs.spans import MIB
from tests.hostile.matrix import settings_for, short_waits
from tests.hostile.nodes import (
    BIG,
    WORLD,
)
from tests.support.helpers import virtual


@pytest.fixture(scope="module")
def world_spec() -> str:
    return WORLD


# Who waits for a token


def test_a_stalled_token_request_is_asked_again_within_the_deadline(
    calm: EmulatorProcess, tmp_path: Path
) -> None:
    # Silence was borne for 45 s, of the 30 s that who waits has: ETIMEDOUT, though the next try
    # would have been answered at once. (Here: 0.7 s of 2.5 s.)
    async def main() -> None:
        async with open_drive(settings_for(calm, tmp_path)) as drive:
            calm.fault("stall_before_headers", route="token", times=1, seconds=None)
            with trio.fail_after(20):
                await drive.parts.listings.get(await drive.resolve("/"))  # type: ignore[arg-type]
        assert calm.counts()["token"] == 2

    with short_waits():
        trio.run(main)


def test_who_waits_for_a_stalled_refresh_has_an_answer_in_time_and_the_session_lives(
    calm: EmulatorProcess, tmp_path: Path
) -> None:
    # A refresh token is good once, so its answer is waited for (45 s); who asked is not.
    given = calm.sign_in(scope="data:read")
    now_s = time.time()
    sign_in = SignIn(
        api_url=calm.api_url, client_id="emulator-desktop", scopes="data:read",
        access_token=given["access_token"], access_expires_s=0.0,
        refresh_token=given["refresh_token"], refresh_expires_s=now_s + 86400,
        signed_in_s=now_s, refreshed_s=now_s,
    )  # fmt: skip
    settings = settings_for(
        calm, tmp_path, sign_in="user", client_id="emulator-desktop", client_secret="",
        metadata_timeout=1.0,
    )  # fmt: skip
    file = TokenFile(settings.state_dir, "default")
    file.commit(file.prepare(), encode(StoredSignIn(sign_in, "file"), with_secrets=True))

    async def main() -> None:
        async with open_drive(settings) as drive:
            root: Any = await drive.resolve("/")
            calm.fault("stall_before_headers", route="token", times=1, seconds=4)
            for _ in range(2):
                began = trio.current_time()
                with pytest.raises(DeadlineError):
                    await drive.parts.listings.get(root)
                # a safety net: the deadline is 1 s, the stall 4 s; only a clock tells them apart
                assert trio.current_time() - began < 3
            with trio.fail_after(30):
                while True:
                    try:
                        await drive.parts.listings.get(root)
                        break
                    except DeadlineError:
                        await trio.sleep(0.2)
        assert calm.counts()["token"] == 1, "one refresh, and its answer was not thrown away"

    with short_waits():
        trio.run(main)


# A storage that asks to wait


@pytest.mark.parametrize("status", [429, 503])
def test_the_range_plane_waits_as_long_as_it_is_asked_to(
    calm: EmulatorProcess, tmp_path: Path, status: int
) -> None:
    # It had a backoff of its own, and used its five tries up before the storage wanted any.
    async def main() -> None:
        async with open_drive(settings_for(calm, tmp_path, data_timeout=30.0)) as drive:
            node = await drive.resolve(BIG)
            assert isinstance(node, File)
            reader = await drive.open(node)
            calm.fault("status", origin="cdn", status=status, retry_after=2, times=1)
            began = trio.current_time()
            data, _ = await reader.read(10 * MIB, 1000)  # one GET: nothing is read ahead
            assert data == calm.bytes(node.storage_id, 10 * MIB, 1000)
            assert calm.counts()["cdn_get"] == 2
            # at least, so that no load can break it: Retry-After is a time and nothing else
            assert trio.current_time() - began >= 2

    with short_waits():
        trio.run(main)


@pytest.mark.parametrize(("status", "kind"), [(429, BusyError), (503, UnreachableError)])
def test_a_wait_beyond_the_deadline_is_an_error_at_once_and_nobody_asks_meanwhile(
    calm: EmulatorProcess, tmp_path: Path, status: int, kind: type[DriveError]
) -> None:
    async def main() -> None:
        async with open_drive(settings_for(calm, tmp_path, data_timeout=30.0)) as drive:
            node = await drive.resolve(BIG)
            assert isinstance(node, File)
            reader = await drive.open(node)
            calm.fault("status", origin="cdn", status=status, retry_after=50, times=1)
            for start in (10 * MIB, 15 * MIB):
                with trio.fail_after(10), pytest.raises(kind):
                    await reader.read(start, 1000)
            assert calm.counts()["cdn_get"] == 1

    with short_waits():
        trio.run(main)


@virtual
async def test_no_host_is_left_alone_for_longer_than_anybody_would_wait() -> None:
    holds = HostBackoff()
    error = BusyError("cannot read: 429")
    error.retry_after_s = 3600.0
    holds.refused("https://cdn/x?Signature=1", error)
    began = trio.current_time()
    with trio.fail_after(5), pytest.raises(BusyError, match="asks to wait 60 s"):
        await holds.wait("read 'x'", "https://cdn/y")
    await holds.wait("read 'x'", "https://elsewhere/y")
    assert trio.current_time() == began
    await holds.wait("read 'x'", "https://cdn/y")
    assert trio.current_time() == began + BACKOFF_MAX_S

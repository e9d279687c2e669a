"""One refresh for all: tasks, processes, mounts."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import trio

from dmfs.auth import user_session
from dmfs.auth.token_file import TokenFile
from dmfs.auth.token_store import TokenStore
from dmfs.auth.user_session import UserSession
from dmfs.emulator.process import EmulatorProcess
from dmfs.errors import DeadlineError, SetupError, SignedOutError
from dmfs.http.httpx_client import open_httpx_client
from dmfs.http.json_client import JsonClient
from dmfs.http.tls import ca_bundle, client_context
from dmfs.ratelimit.limiter import RateLimiter
from tests.auth.person import Killer, Person
from tests.support.mounts import dmfs_command

PROCESSES = 20


def ls_at_once(person: Person, count: int) -> list[tuple[int, str]]:
    running = [
        subprocess.Popen(
            [*dmfs_command(), "ls", "/", "--set", "cache_size=0"], env=person.home.environment(),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for _ in range(count)
    ]  # fmt: skip
    said = [process.communicate(timeout=60) for process in running]
    return [(p.returncode, out + err) for p, (out, err) in zip(running, said, strict=True)]


def test_twenty_processes_refresh_once(person: Person, emulator: EmulatorProcess) -> None:
    person.hand(expired=True)
    emulator.settings(route_latency_ms={"token": 300})  # so that they really meet
    before = person.sessions()
    killer = Killer(person)
    ended = killer.run(-PROCESSES)
    killer.close()
    assert ended["status"] == 0, ended
    after = person.sessions()
    assert after["refreshed"] - before["refreshed"] == 1
    assert after["refused"] == before["refused"]
    assert emulator.counts()["token"] == 1


def test_processes_whose_token_is_refused_refresh_once(
    person: Person, emulator: EmulatorProcess
) -> None:
    person.hand()
    emulator.expire_tokens()
    emulator.settings(route_latency_ms={"token": 200, "hubs": 200})
    for status, said in ls_at_once(person, 5):
        assert status == 0, said
        assert "Ada's Hub" in said
    assert emulator.counts()["token"] == 1


async def with_session(person: Person, work: object) -> None:
    context = client_context(ca_bundle(""))
    async with open_httpx_client(context) as client, trio.open_nursery() as nursery:
        json_client = JsonClient(person.emulator.api_url, client, RateLimiter())
        made = UserSession(
            json_client, TokenStore(person.home.state, "default"), nursery,
            api_url=person.emulator.api_url,
        )  # fmt: skip
        await work(made)  # type: ignore[operator]
        nursery.cancel_scope.cancel()


def test_fifty_tasks_refresh_once(person: Person, emulator: EmulatorProcess) -> None:
    person.hand(expired=True)

    async def work(made: UserSession) -> None:
        tokens: set[str] = set()

        async def one() -> None:
            tokens.add(await made.token())

        async with trio.open_nursery() as nursery:
            for _ in range(50):
                nursery.start_soon(one)
        assert len(tokens) == 1

    trio.run(with_session, person, work)
    assert emulator.counts()["token"] == 1


def test_a_caller_that_gives_up_does_not_cancel_the_refresh(
    person: Person, emulator: EmulatorProcess
) -> None:
    old = person.hand(expired=True)
    emulator.settings(route_latency_ms={"token": 400})

    async def work(made: UserSession) -> None:
        with trio.move_on_after(0.1) as scope:
            await made.token()
        assert scope.cancelled_caught
        await made.token()

    trio.run(with_session, person, work)
    assert emulator.counts()["token"] == 1
    assert person.stored()["refresh_token"] != old.refresh_token


def test_shutting_down_waits_for_a_refresh_under_way(
    person: Person, emulator: EmulatorProcess
) -> None:
    old = person.hand(expired=True)
    emulator.settings(route_latency_ms={"token": 400})

    async def work(made: UserSession) -> None:
        with trio.move_on_after(0.2):
            await made.token()

    trio.run(with_session, person, work)
    assert person.stored()["refresh_token"] != old.refresh_token
    assert person.status(person.stored()["refresh_token"])["honoured"]


def test_an_answer_that_is_slow_is_waited_for(
    person: Person, emulator: EmulatorProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To hang up would throw the session away: the request has arrived and counts."""
    monkeypatch.setattr("dmfs.http.json_client.SILENCE_S", 0.2)
    person.hand(expired=True)
    emulator.settings(route_latency_ms={"token": 600})

    async def work(made: UserSession) -> None:
        await made.token()

    trio.run(with_session, person, work)
    assert emulator.counts()["token"] == 1


def test_a_mount_keeps_an_idle_session_alive(
    person: Person, emulator: EmulatorProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A day after the last refresh, once; though the access token would still do."""
    person.hand(ages_s=2 * 86400, access_expires_s=2e9)
    monkeypatch.setattr(user_session, "IDLE_CHECK_S", 0.02)

    async def work(made: UserSession) -> None:
        with trio.move_on_after(0.6):
            await made.keep_alive()

    trio.run(with_session, person, work)
    assert emulator.counts()["token"] == 1
    trio.run(with_session, person, work)
    assert emulator.counts()["token"] == 1


def test_every_drive_keeps_its_sign_in_alive(person: Person, emulator: EmulatorProcess) -> None:
    person.hand(ages_s=2 * 86400, access_expires_s=2e9)
    assert person.dmfs("ls", "/Emulated Europe")[0] == 0
    assert person.sessions()["refreshed"] >= 1
    assert emulator.counts()["token"] == 1


def test_idle_keeping_survives_an_outage(
    person: Person, emulator: EmulatorProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    person.hand(ages_s=2 * 86400, access_expires_s=2e9)
    monkeypatch.setattr(user_session, "IDLE_CHECK_S", 0.02)
    emulator.fault("status", route="token", status=400, shape="jsonapi", times=1)

    async def work(made: UserSession) -> None:
        with trio.move_on_after(0.5):
            await made.keep_alive()

    trio.run(with_session, person, work)
    assert emulator.counts()["token"] == 2


def test_a_dead_session_is_not_refreshed_again(person: Person, emulator: EmulatorProcess) -> None:
    person.hand(expired=True)
    emulator.control("POST", "end_sessions")

    async def work(made: UserSession) -> None:
        for _ in range(5):
            with pytest.raises(SignedOutError):
                await made.token()

    trio.run(with_session, person, work)
    assert emulator.counts()["token"] == 1


def test_a_lock_that_is_never_released(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    person.hand(expired=True)
    monkeypatch.setattr(user_session, "LOCK_S", 0.2)
    principal = TokenStore(person.home.state, "default").file.try_lock()
    assert principal is not None

    async def work(made: UserSession) -> None:
        with pytest.raises(DeadlineError, match="another dmfs process"):
            await made.token()

    trio.run(with_session, person, work)
    os.close(principal)


def test_a_new_token_is_on_the_disk_before_it_is_used(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """File, name and directory; kill -9 does not show what a power failure would."""
    person.hand(expired=True)
    done: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def spy_fsync(descriptor: int) -> None:
        kind = "directory" if Path(f"/proc/self/fd/{descriptor}").resolve().is_dir() else "file"
        done.append(f"sync {kind}")
        fsync(descriptor)

    def spy_replace(path: Path, target: Path) -> Path:
        done.append("rename")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", spy_fsync)
    monkeypatch.setattr(Path, "replace", spy_replace)

    async def work(made: UserSession) -> None:
        assert await made.token() == person.stored()["access_token"]
        done.append("used")

    trio.run(with_session, person, work)
    assert done[-4:] == ["sync file", "rename", "sync directory", "used"]
    assert done[0] == "sync file"  # room was made


def test_a_token_that_could_not_be_stored_is_not_used(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    person.hand(expired=True)

    def broken(*_: object) -> None:
        raise SetupError("the disk is on fire")

    monkeypatch.setattr(TokenFile, "commit", broken)

    async def work(made: UserSession) -> None:
        with pytest.raises(SetupError, match="on fire"):
            await made.token()

    trio.run(with_session, person, work)


def test_a_refresh_that_is_never_answered(
    person: Person, emulator: EmulatorProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    person.hand(expired=True)
    monkeypatch.setattr(user_session, "REFRESH_S", 0.3)
    emulator.fault("stall_before_headers", route="token", times=None)

    async def work(made: UserSession) -> None:
        with pytest.raises(DeadlineError, match="does not answer"):
            await made.token()

    trio.run(with_session, person, work)
    emulator.clear_faults()
    assert not list((person.home.state / "tokens").glob("*.next"))


def test_a_login_does_not_hang_on_the_name(person: Person, emulator: EmulatorProcess) -> None:
    emulator.fault("status", route="userinfo", status=403, shape="gateway")
    assert "Signed in as ADAEMU000001" in person.login()

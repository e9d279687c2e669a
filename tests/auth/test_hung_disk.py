"""A state directory whose disk hangs: nothing waits for it for ever, and no write meets another."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

import pytest
import trio

from dmfs.auth import token_store
from dmfs.auth.token_file import TokenFile
from dmfs.emulator.process import EmulatorProcess
from dmfs.errors import DeadlineError
from tests.auth.person import Person
from tests.auth.test_race import with_session

_TIMEOUTS = ("READ_TIMEOUT_S", "WRITE_TIMEOUT_S")


class HungDisk:
    """Calls of one method of TokenFile wait until ``release``; only so long are deadlines short."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, method: str) -> None:
        self._usual = {name: getattr(token_store, name) for name in _TIMEOUTS}
        self._monkeypatch = monkeypatch
        self._set(dict.fromkeys(_TIMEOUTS, 0.2))
        self._go_on = threading.Event()
        self.done = threading.Event()
        original = getattr(TokenFile, method)

        def hang(file: TokenFile, *args: Any) -> Any:
            self._go_on.wait(20)
            try:
                return original(file, *args)
            finally:
                self.done.set()

        monkeypatch.setattr(TokenFile, method, hang)

    def _set(self, timeouts_s: dict[str, float]) -> None:
        for name, timeout_s in timeouts_s.items():
            self._monkeypatch.setattr(token_store, name, timeout_s)

    def release(self) -> None:
        self._set(self._usual)  # beside other work a disk that is well takes its time, too
        self._go_on.set()
        assert self.done.wait(20)


@pytest.fixture
def hung(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], HungDisk]:
    return lambda method: HungDisk(monkeypatch, method)


def lock_is_free(person: Person) -> bool:
    lock = TokenFile(person.home.state, "default").try_lock()
    if lock is not None:
        os.close(lock)
    return lock is not None


async def until_free(person: Person) -> None:
    with trio.fail_after(10):
        while not lock_is_free(person):
            await trio.sleep(0.01)


def test_a_write_left_behind_keeps_the_lock_until_it_ends(
    person: Person, emulator: EmulatorProcess, hung: Callable[[str], HungDisk]
) -> None:
    """The token that it writes is good: the old one is spent."""
    old = person.hand(expired=True)
    disk = hung("commit")

    async def work(session: Any) -> None:
        with pytest.raises(DeadlineError, match="does not answer"):
            await session.token()
        assert not lock_is_free(person)
        disk.release()
        await until_free(person)
        assert await session.token() == person.stored()["access_token"]

    trio.run(with_session, person, work)
    assert person.stored()["refresh_token"] != old.refresh_token
    assert emulator.counts()["token"] == 1


def test_room_made_too_late_spends_no_token_and_harms_no_other_write(
    person: Person, emulator: EmulatorProcess, hung: Callable[[str], HungDisk]
) -> None:
    old = person.hand(expired=True)
    disk = hung("prepare")

    async def work(session: Any) -> None:
        with pytest.raises(DeadlineError, match="does not answer"):
            await session.token()
        assert emulator.counts()["token"] == 0
        assert not lock_is_free(person), "it may still remove the other's file"
        disk.release()
        await until_free(person)
        await session.token()

    trio.run(with_session, person, work)
    assert person.stored()["refresh_token"] != old.refresh_token
    assert not list(person.file.parent.glob("*.next"))


@pytest.mark.parametrize("method", ["stamp", "read", "try_lock"])
def test_reads_that_hang_are_an_error_in_words_and_leave_no_lock(
    person: Person, hung: Callable[[str], HungDisk], method: str
) -> None:
    person.hand(expired=True)
    disk = hung(method)

    async def work(session: Any) -> None:
        with pytest.raises(DeadlineError, match="does not answer") as caught:
            await session.token()
        assert "DMFS_STATE_DIR" in caught.value.hint
        disk.release()
        await until_free(person)
        await session.token()

    trio.run(with_session, person, work)

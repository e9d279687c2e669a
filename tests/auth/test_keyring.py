"""The desktop keyring: used where there is one, never waited for without end."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import trio

from dmfs.auth import desktop_keyring
from dmfs.auth.desktop_keyring import DesktopKeyring
from dmfs.errors import KeyringError
from tests.auth.person import Person
from tests.support.helpers import no_thread

HERE = str(Path(__file__).parent)


def use(person: Person, backend: str) -> Path:
    ring = person.home.directory / "ring.json"
    places = filter(None, (os.environ.get("PYTHONPATH"), HERE))
    person.home.environ |= {
        "PYTHON_KEYRING_BACKEND": f"fakering.{backend}",
        "PYTHONPATH": os.pathsep.join(places),
        "FAKERING": str(ring),
    }
    return ring


def test_a_sign_in_is_stored_in_the_keyring(person: Person) -> None:
    ring = use(person, "Good")
    said = person.login()
    assert "kept in the desktop keyring" in said
    (entry,) = json.loads(ring.read_text()).values()
    stored = json.loads(entry)
    assert stored["refresh_token"]
    on_disk = person.file.read_text()
    assert stored["refresh_token"] not in on_disk
    assert stored["access_token"] not in on_disk
    person.emulator.expire_tokens()
    person.emulator.reset()
    assert "Ada's Hub" in person.dmfs("ls", "/")[1]  # refreshed, and written back
    (entry,) = json.loads(ring.read_text()).values()
    assert json.loads(entry)["refresh_token"] != stored["refresh_token"]
    assert person.status(json.loads(entry)["refresh_token"])["honoured"]
    assert '"where": "keyring"' in person.file.read_text()
    assert "keyring" in person.dmfs("whoami")[1]
    assert person.dmfs("logout")[0] == 0
    assert json.loads(ring.read_text()) == {}


def test_a_keyring_that_got_locked(person: Person) -> None:
    use(person, "Good")
    person.login()
    use(person, "Locked")
    line = person.fails("ls", "/")
    assert "keyring cannot be used (KeyringLocked)" in line
    assert "unlock it" in line
    use(person, "Good")
    assert person.dmfs("ls", "/")[0] == 0


def test_a_keyring_that_refuses_to_write_is_passed_by(person: Person) -> None:
    use(person, "Locked")
    said = person.login()
    assert f"kept in {person.file}" in said
    assert person.dmfs("ls", "/")[0] == 0
    assert person.stored()["refresh_token"] not in said


def test_no_keyring_and_one_is_demanded(person: Person) -> None:
    person.home.environ["PYTHON_KEYRING_BACKEND"] = "keyring.backends.fail.Keyring"
    person.home.config.write_text('token_store = "keyring"\n')
    with person.begin() as login:
        from tests.auth.person import visit

        visit(login.consent())
        assert "no desktop keyring" in login.failed()


def test_no_keyring_means_a_file(person: Person) -> None:
    person.home.environ["PYTHON_KEYRING_BACKEND"] = "keyring.backends.fail.Keyring"
    assert f"kept in {person.file}" in person.login()


def test_a_moment_without_a_thread_is_an_error_that_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.auth.fakering import Good

    monkeypatch.setattr("keyring.get_keyring", Good)
    monkeypatch.setattr(Good, "get_password", lambda *_: "stored")

    async def main() -> None:
        ring = DesktopKeyring("x")
        with no_thread(monkeypatch), pytest.raises(KeyringError, match="thread"):
            await ring.get()
        assert await ring.get() == "stored"

    trio.run(main)


def test_a_silent_keyring_is_not_waited_for_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.auth.fakering import Silent

    monkeypatch.setattr(desktop_keyring, "TIMEOUT_S", 0.2)
    monkeypatch.setattr("keyring.get_keyring", Silent)

    async def main() -> None:
        silent = DesktopKeyring("x")
        for patience_s in (1.0, 0.05):
            with trio.fail_after(patience_s), pytest.raises(KeyringError, match="does not answer"):
                await silent.get()
        assert trio.to_thread.current_default_thread_limiter().borrowed_tokens == 0

    trio.run(main)

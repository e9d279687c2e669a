"""The session is truly gone: the mount stays, serves what it has, and takes the next sign-in."""

from __future__ import annotations

import errno
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dmfs.auth.user_session import RECHECK_S
from dmfs.emulator.process import EmulatorProcess
from dmfs.namespace.listings import DENIAL_TTL_S
from tests.auth.person import Person
from tests.support.mounts import Drive, wait_until

pytestmark = pytest.mark.mount


def names(path: str | Path) -> list[str]:
    return sorted(each.name for each in Path(path).iterdir())


PROJECT = ("Emulated Builders ／ Headquarters", "Sample Project", "Project Files")


@pytest.fixture
def drive(tmp_path: Path, person: Person, emulator: EmulatorProcess) -> Iterator[Drive]:
    person.hand()
    with Drive(tmp_path, emulator, home=person.home, config={}) as made:
        yield made


def test_a_session_that_is_gone(drive: Drive, person: Person, emulator: EmulatorProcess) -> None:
    project = Path(drive.path(*PROJECT))
    before = names(project)
    text = (project / "README.txt").read_bytes()
    unread = next(each for each in (project / "Drawings").iterdir() if each.is_file())

    emulator.control("POST", "end_sessions")

    assert names(project) == before
    assert (project / "README.txt").read_bytes() == text
    for unseen in (project / "Documents", Path(drive.path("Emulated Europe"))):
        for _ in range(3):
            with pytest.raises(OSError) as caught:
                names(unseen)
            assert caught.value.errno == errno.EACCES
    with pytest.raises(PermissionError):
        unread.read_bytes()
    assert drive.log().count("signed out: run dmfs login") == 1
    assert emulator.counts()["token"] == 1  # not asked again and again
    status, out, _ = person.dmfs("doctor")
    assert status == 1
    assert "signed out: run dmfs login" in out

    person.hand()  # as another terminal's `dmfs login` would

    # sooner than a denial would be forgotten: that somebody signed out is none
    wait_until(lambda: _lists(project / "Documents"), DENIAL_TTL_S / 2, "the new sign-in is seen")
    assert unread.read_bytes()
    assert names(drive.path("Emulated Europe"))
    assert "signed in again" in drive.log()
    assert drive.process is not None
    assert drive.process.poll() is None


def _lists(path: Path) -> bool:
    try:
        return bool(names(path))
    except PermissionError:
        return False


def test_signing_out_and_in_again_as_another_process(
    drive: Drive, person: Person, emulator: EmulatorProcess
) -> None:
    assert person.dmfs("logout")[0] == 0
    time.sleep(RECHECK_S + 0.2)
    with pytest.raises(PermissionError):
        names(drive.path("Emulated Europe"))
    person.login()
    wait_until(lambda: _lists(Path(drive.path("Emulated Europe"))), 10, "signed in again")


def test_a_file_that_becomes_unreadable_is_signed_out_not_absent(
    drive: Drive, person: Person, emulator: EmulatorProcess
) -> None:
    text = person.file.read_text()
    person.file.write_text("{")
    time.sleep(RECHECK_S + 0.2)
    with pytest.raises(PermissionError):
        names(drive.path("Twin Hub"))
    person.file.write_text(text)
    wait_until(lambda: _lists(Path(drive.path("Twin Hub"))), 10, "and back")

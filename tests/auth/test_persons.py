"""Several people under one profile: nobody is shown what another one listed."""

from __future__ import annotations

import errno
import time
from pathlib import Path

import pytest

from dmfs.auth.user_session import RECHECK_S
from dmfs.emulator.process import EmulatorProcess
from tests.auth.person import Person
from tests.support.mounts import Drive, wait_until

pytestmark = pytest.mark.mount

PROJECT = ("Emulated Builders ／ Headquarters", "Sample Project", "Project Files")


def names(path: str | Path) -> list[str]:
    return sorted(each.name for each in Path(path).iterdir())


def listings(emulator: EmulatorProcess) -> int:
    counts = emulator.counts()
    return sum(counts[route] for route in ("hubs", "projects", "topFolders", "contents"))


def test_listings_on_disk_are_for_the_person_who_made_them(
    tmp_path: Path, person: Person, emulator: EmulatorProcess
) -> None:
    def look(user_id: str) -> tuple[list[str], int]:
        person.hand(user_id=user_id)
        with Drive(tmp_path, emulator, home=person.home, config={}) as drive:
            emulator.reset()
            return names(drive.path(*PROJECT)), listings(emulator)

    seen, calls = look("ADAEMU000001")
    assert calls >= 3
    assert look("ADAEMU000001") == (seen, 0), "known from before"
    assert look("GRACEEMU0002") == (seen, calls), "another person asks for herself"
    assert look("ADAEMU000001") == (seen, 0)


def test_a_mount_stays_with_the_person_who_began_it(
    tmp_path: Path, person: Person, emulator: EmulatorProcess
) -> None:
    person.hand()
    with Drive(tmp_path, emulator, home=person.home, config={}) as drive:
        project = Path(drive.path(*PROJECT))
        seen = names(project)
        person.hand(user_id="GRACEEMU0002")
        time.sleep(RECHECK_S + 0.2)
        with pytest.raises(PermissionError) as caught:
            names(drive.path("Emulated Europe"))
        assert caught.value.errno == errno.EACCES
        assert names(project) == seen
        assert "somebody else has signed in" in drive.log()
        person.hand()
        wait_until(lambda: _lists(Path(drive.path("Emulated Europe"))), 10, "she is back")


def _lists(path: Path) -> bool:
    try:
        return bool(names(path))
    except PermissionError:
        return False

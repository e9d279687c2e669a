"""Two people sign in under one profile, one after the other: what one has saved and not sent is
neither seen nor sent by the other, and goes up when its own sign-in is back."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dmfs.emulator.process import EmulatorProcess
from tests.auth.person import Person
from tests.support.commands import stdout_of
from tests.support.mounts import Drive, toml
from tests.write.commands.conftest import Folder, sha256
from tests.write.conftest import WRITES

pytestmark = pytest.mark.mount
SCOPES = "data:read data:create data:write"
ADA, BOB = "ADAEMU000001", "BOBEMU000002"
HELD = "30m"
OTHERS = "of another sign-in: they go on when that one is back"


class Desk:
    """One profile of one machine, at which people take turns."""

    def __init__(self, directory: Path, emulator: EmulatorProcess, folder: Folder) -> None:
        self.person = Person(directory / "desk", emulator, WRITES)
        self.home = self.person.home
        self.directory, self.emulator, self.folder = directory, emulator, folder
        self.drive: Drive | None = None

    def sits(self, user: str) -> None:
        """Signs in; who was there before has logged out, and left what waits."""
        self.person.hand(scopes=SCOPES, user=user)

    def leaves(self) -> None:
        done = self.home.run("logout", "--keep")
        assert done.returncode == 0, done.stderr

    def mount(self, upload_delay: str = "200ms") -> Drive:
        config = {**WRITES, "poll": 0, "rates": "off", "upload_delay": upload_delay}
        self.home.config.write_text(toml(config))
        self.drive = Drive(self.directory, self.emulator, options=["rw"], home=self.home).start()
        return self.drive

    def unmount(self) -> None:
        assert self.drive is not None
        done = self.home.run("umount", str(self.drive.point))
        assert done.returncode == 0, done.stderr
        assert self.drive.process is not None
        self.drive.process.wait(30)
        self.drive.close()
        self.drive = None

    def says(self, *words: str) -> list[str]:
        """``dmfs uploads``, line by line."""
        return stdout_of(self.home, "uploads", *words).decode().splitlines()

    def below(self, name: str) -> Path:
        assert self.drive is not None
        return self.folder.below(self.drive, name)

    def on_service(self) -> list[str]:
        """Names of files that the service shows in the folder."""
        folder_id = os.getxattr(self.below(""), "user.dmfs.folder_id").decode()
        items = self.emulator.writes()["items"]
        return sorted(
            each["name"] for each in items if each["folder"] == folder_id and not each["hidden"]
        )

    def names(self) -> list[str]:
        return sorted(each.name for each in self.below("").iterdir())


@pytest.fixture
def desk(calm: EmulatorProcess, folder: Folder, tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path, calm, folder)
    made.sits(ADA)
    yield made
    if made.drive is not None:
        made.drive.close()


def test_drafts_of_another_sign_in_are_not_seen_and_not_sent(desk: Desk) -> None:
    folder = desk.folder
    folder.add("plan.txt", "first")
    desk.mount(HELD)
    desk.below("new.txt").write_bytes(b"ada's")
    desk.below("plan.txt").write_bytes(b"ada's plan")
    desk.unmount()
    desk.leaves()

    desk.sits(BOB)
    desk.mount()
    assert desk.names() == ["plan.txt"]
    assert desk.below("plan.txt").read_bytes() == b"first"
    said = desk.says()
    assert said[-1] == f"2 files {OTHERS}"
    assert "ada" not in "".join(said)
    assert "new.txt" not in "".join(said)
    desk.below("bob.txt").write_bytes(b"bob's")
    assert desk.says("--wait")[-1] == f"2 files {OTHERS}"
    assert folder.versions("bob.txt") == [sha256(b"bob's")]
    assert desk.on_service() == ["bob.txt", "plan.txt"]
    desk.unmount()
    # without a mount it is said in the same words
    assert desk.says() == [f"2 files {OTHERS}"]
    assert folder.versions("plan.txt") == [sha256(b"first")]
    desk.leaves()

    desk.sits(ADA)
    desk.mount()
    assert {"new.txt", "plan.txt"} <= set(desk.names())
    assert desk.below("plan.txt").read_bytes() == b"ada's plan"
    assert OTHERS not in desk.says("--wait")[-1]
    assert folder.versions("plan.txt") == [sha256(b"first"), sha256(b"ada's plan")]
    assert folder.versions("new.txt") == [sha256(b"ada's")]


def test_changes_of_names_of_another_sign_in_are_not_carried_out(desk: Desk) -> None:
    """A deletion and a rename that wait for their delay."""
    folder = desk.folder
    for name in ("gone.txt", "old.txt"):
        folder.add(name, name)
    desk.mount(HELD)
    desk.below("gone.txt").unlink()
    desk.below("old.txt").rename(desk.below("moved.txt"))
    assert desk.names() == ["moved.txt"]
    desk.unmount()
    desk.leaves()

    desk.sits(BOB)
    desk.mount()
    assert desk.names() == ["gone.txt", "old.txt"]
    desk.below("old.txt").write_bytes(b"bob's")  # a row of his own under the same name
    desk.says("--wait")
    assert folder.versions("gone.txt") == [sha256(b"gone.txt")]
    assert folder.versions("old.txt") == [sha256(b"old.txt"), sha256(b"bob's")]
    desk.unmount()
    desk.leaves()

    desk.sits(ADA)
    desk.mount()
    assert "gone.txt" not in desk.names()
    desk.says("--wait")
    assert desk.on_service() == ["moved.txt"]
    assert folder.versions("moved.txt")[-1] == sha256(b"bob's"), "nobody's work is lost"


def test_folders_that_another_sign_in_made_offline_are_not_made(desk: Desk) -> None:
    drive = desk.mount()
    desk.below("before.txt").write_bytes(b"before")  # what may be done here is known by now
    desk.says("--wait")
    assert desk.home.run("offline", "on", str(drive.point)).returncode == 0
    desk.below("later").mkdir()
    (desk.below("later") / "inside.txt").write_bytes(b"inside")
    desk.unmount()
    desk.leaves()

    desk.sits(BOB)
    desk.mount()
    assert desk.names() == ["before.txt"]
    assert desk.says("--wait")[-1] == f"1 file {OTHERS}"
    desk.below("later").mkdir()
    desk.unmount()
    desk.leaves()

    desk.sits(ADA)
    desk.mount()
    desk.says("--wait")
    assert [each.name for each in desk.below("later").iterdir()] == ["inside.txt"]
    assert desk.folder.versions("later/inside.txt") == [sha256(b"inside")]


def test_who_signs_out_is_told_of_his_own_files_alone(desk: Desk) -> None:
    desk.mount(HELD)
    desk.below("new.txt").write_bytes(b"ada's")
    desk.unmount()
    assert b"1 file has not gone up yet" in desk.home.run("logout").stderr
    desk.leaves()
    assert "new.txt" in desk.says()[0], "nobody is signed in: whose bytes they are does not matter"
    desk.sits(BOB)
    done = desk.home.run("logout")
    assert (done.returncode, b"not gone up" in done.stderr) == (0, False)
    done = desk.home.run("mount", "/", str(desk.directory / "drive"), "-o", "rw")
    assert done.stderr.strip().endswith(b"run dmfs login --write")

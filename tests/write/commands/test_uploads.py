"""``dmfs uploads``: what waits, what failed, what is in conflict, and what a person does then."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import subprocess
from collections.abc import Callable

import pytest

from dmfs.emulator.process import EmulatorProcess
from tests.support.commands import stdout_of, the_line
from tests.support.mounts import Drive, Home, dmfs_command, wait_until
from tests.write.commands.conftest import Folder, sha256
from tests.write.commands.looks import hold, nothing_waits, refuse, report, state_of

pytestmark = pytest.mark.mount


def test_what_waits_is_told_with_its_reason_and_goes_up_in_the_end(
    mounted: Drive, folder: Folder, calm: EmulatorProcess
) -> None:
    folder.add("old.txt", "old")
    hold(calm)
    path = folder.below(mounted, "old.txt")
    with path.open("ab") as file:
        file.write(b" and new")
    assert state_of(path) in ("waiting", "uploading")
    row = wait_until(lambda: report(mounted.home).get("old.txt"))
    assert row["path"] == folder.path("old.txt")
    assert (row["what"], row["size_bytes"], row["base_version"]) == ("file", 11, 1)
    assert row["item_id"]
    assert row["since"]
    wait_until(lambda: state_of(path) == "uploading")
    done = mounted.home.run("uploads", "--wait", "--timeout", "0.5")
    assert done.returncode == 1
    assert b"the time is over: 1 file waits to go up" in done.stdout
    calm.clear_faults()
    said = stdout_of(mounted.home, "uploads", "--wait")
    assert said == b"nothing waits: all that was saved is at the service\n"
    assert folder.versions("old.txt")[1:] == [sha256(b"old and new")]
    wait_until(lambda: state_of(path) == "clean")
    events = [
        json.loads(line)
        for line in stdout_of(mounted.home, "events", str(mounted.point)).splitlines()
    ]
    (up,) = [each for each in events if each["event"] == "upload"]
    assert (up["name"], up["version"], up["size_bytes"]) == ("old.txt", 2, 11)
    assert calm.violations() == {}


def test_a_file_in_a_folder_that_was_just_made_has_its_whole_path(
    mounted: Drive, folder: Folder, calm: EmulatorProcess
) -> None:
    hold(calm)
    inner = folder.below(mounted, "new") / "inner"
    inner.mkdir(parents=True)
    (inner / "deep.txt").write_bytes(b"x")
    row = wait_until(lambda: report(mounted.home).get("deep.txt"))
    assert row["path"] == folder.path("new/inner/deep.txt")
    stdout_of(mounted.home, "uploads", "discard", "--yes", row["path"])
    assert report(mounted.home) == {}


def test_the_state_is_answered_and_never_listed(mounted: Drive, folder: Folder) -> None:
    folder.add("a.txt", "a")
    path = folder.below(mounted, "a.txt")
    assert state_of(path) == "clean"
    assert "user.dmfs.state" not in os.listxattr(path)


def test_a_lock_file_is_local_and_listed_on_demand(mounted: Drive, folder: Folder) -> None:
    path = folder.below(mounted, ".~lock.plan.ods#")
    path.write_bytes(b"lock")
    wait_until(lambda: state_of(path) == "local")
    assert report(mounted.home) == {}
    assert report(mounted.home, "--local")[path.name]["state"] == "local"
    assert b"nothing waits" in stdout_of(mounted.home, "uploads")


def test_what_failed_is_told_everywhere_and_retried(
    mounted: Drive, folder: Folder, calm: EmulatorProcess
) -> None:
    refuse(calm)
    path, home = folder.below(mounted, "refused.txt"), mounted.home
    path.write_bytes(b"refused")
    wait_until(lambda: state_of(path) == "failed")
    row = report(home)["refused.txt"]
    assert row["state"] == "failed"
    assert row["reason"]
    done = home.run("status", str(mounted.point))
    assert done.returncode == 1
    assert b"1 failed" in done.stdout
    assert folder.path("refused.txt").encode() in done.stdout
    events = [
        json.loads(line) for line in stdout_of(home, "events", str(mounted.point)).splitlines()
    ]
    assert [each for each in events if each["event"] == "failed"]
    assert home.run("uploads", "--wait").returncode == 1  # it waits for a person, not for us
    calm.clear_faults()
    assert b"sent again" in stdout_of(home, "uploads", "retry")
    nothing_waits(home)
    assert folder.versions("refused.txt") == [sha256(b"refused")]
    stdout_of(home, "status", str(mounted.point))


def test_a_conflict_is_told_until_a_person_has_seen_it(
    mounted: Drive, folder: Folder, calm: EmulatorProcess
) -> None:
    folder.add("both.txt", "base")
    path, home = folder.below(mounted, "both.txt"), mounted.home
    assert path.read_bytes() == b"base"
    theirs = {"op": "new_version", "path": folder.raw("both.txt"), "text": "theirs"}
    calm.race("storage", theirs)
    path.write_bytes(b"ours")
    rows = wait_until(lambda: {n: r for n, r in report(home).items() if r["state"] == "conflict"})
    (name,) = rows
    assert "(conflict " in name
    assert state_of(folder.below(mounted, name)) == "conflict"
    assert home.run("status", str(mounted.point)).returncode == 1
    line = the_line(home.run("uploads", "discard", "--yes", folder.path(name)), 1)
    assert "is at the service already" in line
    assert "is at the service already" in the_line(
        home.run("uploads", "retry", folder.path(name)), 1
    )
    done = home.run("uploads")
    assert done.returncode == 1
    assert name.encode() in done.stdout
    assert report(home) == {}
    assert home.run("status", str(mounted.point)).returncode == 0
    assert folder.versions(name) == [sha256(b"ours")]
    assert stdout_of(home, "cat", folder.path(name)) == b"ours"


def test_a_conflict_is_seen_in_what_wait_says_without_a_mount(
    mounted: Drive, folder: Folder, calm: EmulatorProcess
) -> None:
    folder.add("late.txt", "base")
    hold(calm)
    path, home = folder.below(mounted, "late.txt"), mounted.home
    path.write_bytes(b"ours")
    wait_until(lambda: state_of(path) == "uploading")
    mounted.kill()
    calm.clear_faults()
    calm.change("new_version", path=folder.raw("late.txt"), text="theirs")
    done = home.run("uploads", "--wait")
    assert done.returncode == 1
    assert b"late (conflict " in done.stdout
    assert stdout_of(home, "uploads", "--wait").startswith(b"nothing waits")


def test_a_damaged_journal_is_said_and_a_sign_out_goes_on(
    mounted: Drive, folder: Folder, calm: EmulatorProcess
) -> None:
    hold(calm)
    folder.below(mounted, "a.txt").write_bytes(b"a")
    mounted.kill()
    home = mounted.home
    spool = home.state / "spool" / "default"
    for each in spool.glob("journal.db*"):
        each.unlink()
    (spool / "journal.db").write_bytes(b"no database at all" * 500)
    assert "cannot be read" in the_line(home.run("uploads"), 1)
    done = home.run("logout")
    assert done.returncode == 0
    assert b"cannot be read" in done.stderr


def test_without_a_mount_the_journal_tells_and_wait_sends(
    mounted: Drive, folder: Folder, calm: EmulatorProcess
) -> None:
    folder.add("gone.txt", "gone")
    hold(calm)
    home = mounted.home
    folder.below(mounted, "new.txt").write_bytes(b"new")
    wait_until(lambda: report(home)["new.txt"]["state"] == "uploading")
    calm.fault("status", route="item", status=503, times=None)
    unsaved = folder.below(mounted, "unsaved.txt").open("wb")
    unsaved.write(b"of which nothing is confirmed")
    unsaved.flush()
    folder.below(mounted, "gone.txt").unlink()
    mounted.kill()
    with contextlib.suppress(OSError):
        unsaved.close()
    rows = report(home)
    assert rows["new.txt"]["path"] == folder.path("new.txt")
    assert rows["new.txt"]["state"] == "waiting"
    assert rows["gone.txt"]["what"] == "delete"
    calm.clear_faults()
    stdout_of(home, "uploads", "--wait")
    assert report(home) == {}
    assert folder.versions("new.txt") == [sha256(b"new")]
    assert stdout_of(home, "ls", folder.path()) == b"new.txt\n"
    assert calm.violations() == {}


def test_nothing_was_ever_written(writer: Home) -> None:
    assert stdout_of(writer, "uploads") == b"nothing waits: all that was saved is at the service\n"
    assert stdout_of(writer, "uploads", "--wait").startswith(b"nothing waits")
    assert "nothing waits" in the_line(writer.run("uploads", "get", "/x", "-o", "-"), 1)
    assert not (writer.state / "spool").exists()


def test_a_read_only_mount_has_nothing_to_tell(
    make_drive: Callable[..., Drive], writer: Home
) -> None:
    drive = make_drive(home=writer, options=["ro"])
    assert "mounted read-only" in the_line(writer.run("uploads", str(drive.point)), 1)
    assert b"nothing waits" in stdout_of(writer, "uploads")
    assert not (writer.state / "spool").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["discard"], ["get", "/x"], ["retry", "/x", "/y"], ["--to", "/x"], ["--timeout", "3"],
        ["retry", "--wait"], ["retry", "--beside"], ["-o", "x"], ["/a", "/b"],
    ],
)  # fmt: skip
def test_words_that_do_not_go_together(writer: Home, words: list[str]) -> None:
    the_line(writer.run("uploads", *words), 2)


def test_a_terminal_gets_a_bar_and_is_asked(
    mounted: Drive, folder: Folder, calm: EmulatorProcess
) -> None:
    refuse(calm)
    path, home = folder.below(mounted, "asked.txt"), mounted.home
    path.write_bytes(b"x" * 300_000)
    wait_until(lambda: state_of(path) == "failed")
    status, shown = at_a_terminal(home, ["uploads", "discard", str(path)], b"n\n")
    assert status == 1
    assert b"[y/N]" in shown
    assert b"nothing was discarded" in shown
    calm.clear_faults()
    hold(calm)
    stdout_of(home, "uploads", "retry")
    bar = b"of 293.0 KiB"
    status, shown = at_a_terminal(home, ["uploads", "--wait"], b"", bar, calm.clear_faults)
    assert status == 0
    assert bar in shown
    assert b"nothing waits" in shown


def at_a_terminal(
    home: Home, words: list[str], keys: bytes, seen: bytes = b"", then: Callable[[], object] = list
) -> tuple[int, bytes]:
    """The exit status of a command, and all that its terminal shows; ``then`` follows once
    ``seen`` is there."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*dmfs_command(), *words], env=home.environment({"COLUMNS": "120", "TERM": "xterm"}),
        stdin=theirs, stdout=theirs, stderr=theirs,
    ) as child:  # fmt: skip
        os.close(theirs)
        os.write(ours, keys)
        shown = b""
        try:
            while piece := os.read(ours, 4096):
                if seen in shown + piece and seen not in shown:
                    then()
                shown += piece
        except OSError:
            pass  # the end of a terminal
    os.close(ours)
    return child.returncode, shown

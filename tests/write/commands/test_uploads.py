"""``dmfs uploads``: what waits, what failed, what is in conflict, and what a person does then."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dmfs.emulator.process import EmulatorProcess
from tests.support.commands import stdout_of, the_line
from tests.support.mounts import Drive, Home, dmfs_command, wait_until
from tests.write.commands.conftest import Folder, sha256

pytestmark = pytest.mark.mount


def report(home: Home, *words: str) -> dict[str, dict[str, Any]]:
    """The rows by the names of their files."""
    done = home.run("uploads", "--json", *words)
    rows = json.loads(done.stdout)["uploads"]
    bad = any(row["state"] in ("failed", "conflict") for row in rows)
    assert done.returncode == bad, done.stderr
    return {row["path"].rpartition("/")[2]: row for row in rows}


def nothing_waits(home: Home) -> None:
    wait_until(lambda: not report(home))


def refuse(calm: EmulatorProcess) -> None:
    calm.fault("status", route="storage", status=403, code="FORBIDDEN", times=None)


def hold(calm: EmulatorProcess) -> None:
    calm.fault("reset_before_effect", route="upload_urls", times=None)


def state_of(path: Path) -> str:
    return os.getxattr(path, "user.dmfs.state").decode()


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


def test_discarded_bytes_are_not_sent_and_the_version_is_seen_again(
    mounted: Drive, folder: Folder, calm: EmulatorProcess
) -> None:
    folder.add("keep.txt", "theirs")
    refuse(calm)
    path, home = folder.below(mounted, "keep.txt"), mounted.home
    path.write_bytes(b"ours, which nobody wants")
    wait_until(lambda: state_of(path) == "failed")
    the_line(home.run("uploads", "discard", folder.path("keep.txt")), 2)  # nobody can be asked
    said = stdout_of(home, "uploads", "discard", "--yes", str(path)).decode()
    assert said == f"discarded: {folder.path('keep.txt')}\n"
    wait_until(lambda: path.read_bytes() == b"theirs")
    assert path.stat().st_size == 6
    assert report(home, "--local") == {}
    (left,) = (home.state / "spool" / "default" / "discarded").iterdir()
    assert (left / "data").read_bytes() == b"ours, which nobody wants"
    assert len(folder.versions("keep.txt")) == 1


def test_a_new_file_that_is_discarded_is_gone(
    mounted: Drive, folder: Folder, calm: EmulatorProcess
) -> None:
    refuse(calm)
    path = folder.below(mounted, "new.txt")
    path.write_bytes(b"new")
    wait_until(lambda: state_of(path) == "failed")
    stdout_of(mounted.home, "uploads", "discard", "--yes", folder.path("new.txt"))
    wait_until(lambda: not path.exists())
    calm.clear_faults()
    stdout_of(mounted.home, "uploads", "--wait")
    assert "new.txt" not in [item["name"] for item in calm.writes()["items"]]


def test_a_deletion_that_waits_is_listed_and_can_be_taken_back(
    mounted: Drive, folder: Folder, calm: EmulatorProcess
) -> None:
    folder.add("oops.txt", "still wanted")
    calm.fault("status", route="item", status=503, times=None)
    path, home = folder.below(mounted, "oops.txt"), mounted.home
    path.unlink()
    row = wait_until(lambda: report(home).get("oops.txt"))
    assert (row["what"], row["state"], row["path"]) == ("delete", "waiting", folder.path(path.name))
    stdout_of(home, "uploads", "discard", "--yes", folder.path("oops.txt"))
    wait_until(path.exists)
    calm.clear_faults()
    stdout_of(home, "uploads", "--wait")
    assert path.read_bytes() == b"still wanted"
    assert len(folder.versions("oops.txt")) == 1


@pytest.mark.parametrize("how", ["--to", "--as", "--beside"])
def test_a_retry_as_another_file_leaves_the_first_one_alone(
    mounted: Drive, folder: Folder, calm: EmulatorProcess, how: str
) -> None:
    folder.add("a.txt", "theirs")
    calm.change("add_folder", path=folder.raw("")[:-1], name="other")
    refuse(calm)
    path, home = folder.below(mounted, "a.txt"), mounted.home
    path.write_bytes(b"ours")
    wait_until(lambda: state_of(path) == "failed")
    calm.clear_faults()
    hold(calm)
    stdout_of(home, "refresh", folder.path())
    words = {"--to": ["--to", folder.path("other")], "--as": ["--as", "b.txt"], "--beside": [how]}
    said = stdout_of(home, "uploads", "retry", folder.path("a.txt"), *words[how]).decode()
    where = said.strip().removeprefix(f"sent again: {folder.path()}/")
    row = report(home)[where.rpartition("/")[2]]
    assert (row["item_id"], row["base_version"]) == ("", 0)
    calm.clear_faults()
    stdout_of(home, "uploads", "--wait")
    assert {"--to": "other/a.txt", "--as": "b.txt"}.get(how, where) == where
    assert folder.versions(where) == [sha256(b"ours")]
    assert len(folder.versions("a.txt")) == 1
    wait_until(lambda: path.read_bytes() == b"theirs")
    assert folder.below(mounted, where).read_bytes() == b"ours"
    assert calm.violations() == {}


def test_a_file_whose_folder_was_deleted_goes_to_another_one(
    mounted: Drive, folder: Folder, calm: EmulatorProcess
) -> None:
    calm.change("add_folder", path=folder.raw("")[:-1], name="doomed")
    path, home = folder.below(mounted, "doomed/mine.txt"), mounted.home
    calm.race("storage", {"op": "hide", "path": folder.raw("doomed")})
    path.write_bytes(b"not lost")
    wait_until(lambda: report(home).get("mine.txt", {}).get("state") == "failed")
    stdout_of(home, "uploads", "retry", folder.path("doomed/mine.txt"), "--to", folder.path())
    stdout_of(home, "uploads", "--wait")
    assert folder.versions("mine.txt") == [sha256(b"not lost")]
    assert folder.below(mounted, "mine.txt").read_bytes() == b"not lost"


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


def test_get_gives_the_saved_bytes_with_and_without_the_mount(
    mounted: Drive, folder: Folder, calm: EmulatorProcess, tmp_path: Path
) -> None:
    folder.add("base.txt", "base" * 5000)
    hold(calm)
    home, path = mounted.home, folder.below(mounted, "base.txt")
    with path.open("r+b") as file:
        file.seek(4)
        file.write(b"OURS")
    folder.below(mounted, "new.txt").write_bytes(b"new" * 7)
    want = b"baseOURS" + b"base" * 4998
    stdout_of(home, "uploads", "get", folder.path("base.txt"), "-o", str(tmp_path / "one"))
    assert (tmp_path / "one").read_bytes() == want
    line = the_line(home.run("uploads", "get", str(path), "-o", str(tmp_path / "one")), 1)
    assert "is there already" in line
    mounted.stop(signal.SIGTERM)
    assert stdout_of(home, "uploads", "get", folder.path("base.txt"), "-o", "-") == want
    assert stdout_of(home, "uploads", "get", folder.path("new.txt"), "-o", "-") == b"new" * 7
    assert "nothing waits" in the_line(home.run("uploads", "get", "/x", "-o", "-"), 1)


def test_get_gives_no_damaged_bytes(
    mounted: Drive, folder: Folder, calm: EmulatorProcess, tmp_path: Path
) -> None:
    hold(calm)
    folder.below(mounted, "a.txt").write_bytes(b"0123456789")
    mounted.kill()
    (data,) = (mounted.home.state / "spool" / "default").glob("*/data")
    data.write_bytes(b"012345X789")
    out = tmp_path / "out"
    words = "uploads", "get", folder.path("a.txt"), "-o", str(out)
    assert "damaged" in the_line(mounted.home.run(*words), 1)
    assert not out.exists()


def test_without_a_mount_the_journal_tells_and_wait_sends(
    mounted: Drive, folder: Folder, calm: EmulatorProcess
) -> None:
    folder.add("gone.txt", "gone")
    hold(calm)
    home = mounted.home
    folder.below(mounted, "new.txt").write_bytes(b"new")
    wait_until(lambda: report(home)["new.txt"]["state"] == "uploading")
    calm.fault("status", route="item", status=503, times=None)
    folder.below(mounted, "gone.txt").unlink()
    mounted.kill()
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
    assert "read alone" in the_line(writer.run("uploads", str(drive.point)), 1)
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
    calm.settings(cdn_put_bytes_per_s=200_000)
    stdout_of(home, "uploads", "retry")
    status, shown = at_a_terminal(home, ["uploads", "--wait"], b"")
    assert status == 0
    assert b"of 293.0 KiB" in shown
    assert b"nothing waits" in shown


def at_a_terminal(home: Home, words: list[str], keys: bytes) -> tuple[int, bytes]:
    """The exit status of a command, and all that its terminal shows."""
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
                shown += piece
        except OSError:
            pass  # the end of a terminal
    os.close(ours)
    return child.returncode, shown

"""Promises of ``dmfs/help/semantics.md`` about writing, by their names there."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.mounts import Drive, wait_until
from tests.support.sample import RAW_SAMPLE, SAMPLE
from tests.write.conftest import WRITES

SETTLED_S = 0.8
"""Some upload delays of these drives: what was to go up is on its way."""


def versions(calm, path: str) -> list[dict]:
    return calm.timeline(path=path)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def named(calm, name: str) -> list[dict]:
    """Items of the service that have this name now, or had it."""
    return [
        item
        for item in calm.writes()["items"]
        if any(version["name"] == name for version in item["versions"])
    ]


def arrives(calm, name: str, data: bytes) -> None:
    def there() -> bool:
        tips = [item["versions"][-1] for item in named(calm, name)]
        return sha256(data) in [tip["sha256"] for tip in tips]

    wait_until(there, 15.0, f"{name} has gone up")


class Folder:
    """A new folder in a drive of its own, and where it is on the service."""

    def __init__(self, drive: Drive, name: str) -> None:
        self.drive = drive
        self.path = Path(drive.path(SAMPLE)) / name
        self.raw = f"{RAW_SAMPLE}/{name}"
        self.path.mkdir()

    def __truediv__(self, name: str) -> Path:
        return self.path / name


def listed(folder: Folder) -> list[str]:
    return sorted(each.name for each in folder.path.iterdir())


@pytest.fixture
def folder(make_drive, calm, request) -> Folder:
    return Folder(make_drive(), f"{request.node.name[:60]} {time.monotonic_ns()}")


# Saving


def test_a_close_that_returned_0_survives(folder, calm):
    data = os.urandom(300_000)
    (folder / "kept.bin").write_bytes(data)
    unfinished = os.open(folder / "cut.bin", os.O_WRONLY | os.O_CREAT)
    os.write(unfinished, b"confirmed")
    os.fsync(unfinished)
    os.write(unfinished, b" and not confirmed")
    folder.drive.kill()
    with pytest.raises(OSError, match=r"not connected|abort"):
        os.close(unfinished)
    folder.drive.start()
    assert (folder / "kept.bin").read_bytes() == data
    assert (folder / "cut.bin").read_bytes() == b"confirmed"
    arrives(calm, "kept.bin", data)
    arrives(calm, "cut.bin", b"confirmed")
    assert [len(item["versions"]) for item in named(calm, "kept.bin")] == [1]
    assert calm.violations() == {}


def test_a_save_is_one_version_of_the_same_item(folder, calm):
    path = folder / "plan.dwg"
    path.write_bytes(b"first")
    arrives(calm, "plan.dwg", b"first")
    (folder / "plan.tmp").write_bytes(b"second")  # as AutoCAD saves
    path.rename(folder / "plan.bak")
    (folder / "plan.tmp").rename(path)
    arrives(calm, "plan.dwg", b"second")
    (folder / "plan.bak").unlink()
    time.sleep(SETTLED_S)
    [item] = named(calm, "plan.dwg")
    assert [version["sha256"] for version in item["versions"]] == [
        sha256(b"first"),
        sha256(b"second"),
    ]
    assert not named(calm, "plan.bak")
    assert not named(calm, "plan.tmp")
    assert calm.violations() == {}


def test_an_open_without_a_write_is_no_version(folder, calm):
    path = folder / "opened.txt"
    path.write_bytes(b"text")
    arrives(calm, "opened.txt", b"text")
    path.read_bytes()
    calm.reset()
    with path.open("r+b") as file:
        for _ in range(12):
            os.close(os.dup(file.fileno()))
        os.fsync(file.fileno())
    time.sleep(SETTLED_S)
    assert folder.drive.counts() == {}


def test_what_was_written_is_read_by_everybody_at_once(folder, calm):
    path = folder / "shared.txt"
    path.write_bytes(b"0123456789")
    with path.open("r+b", buffering=0) as file, path.open("rb", buffering=0) as reader:
        file.seek(3)
        file.write(b"abc")
        assert reader.read() == b"012abc6789"
        script = f"print(open({str(path)!r}).read(), end='')"
        seen = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
        assert seen.stdout == b"012abc6789"


def test_editors_see_no_foreign_change(folder, calm):
    path = folder / "model.ifc"
    path.write_bytes(b"one")
    before = path.stat()
    arrives(calm, "model.ifc", b"one")
    time.sleep(SETTLED_S)
    after = path.stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    with path.open("ab") as file:
        file.write(b" two")
        assert os.fstat(file.fileno()).st_ino == before.st_ino
    arrives(calm, "model.ifc", b"one two")
    assert path.stat().st_ino == before.st_ino
    assert path.read_bytes() == b"one two"


def test_temporary_names_stay_here(folder, calm):
    for name in (".~lock.a.ods#", "~$a.docx", "a.dwl", ".real.txt.swp"):
        (folder / name).write_bytes(b"lock")
    (folder / "real.txt").write_bytes(b"text")
    arrives(calm, "real.txt", b"text")
    time.sleep(SETTLED_S)
    here = {".~lock.a.ods#", "~$a.docx", "a.dwl", ".real.txt.swp", "real.txt"}
    assert set(listed(folder)) == here
    assert [item["name"] for item in calm.writes()["items"] if item["folder"] == _id(folder)] == [
        "real.txt"
    ]
    assert os.getxattr(folder / "a.dwl", "user.dmfs.state") == b"local"


def test_a_rename_keeps_the_item(folder, calm):
    (folder / "old.txt").write_bytes(b"text")
    arrives(calm, "old.txt", b"text")
    [item] = named(calm, "old.txt")
    (folder / "old.txt").rename(folder / "new.txt")
    assert listed(folder) == ["new.txt"]
    wait_until(lambda: named(calm, "new.txt"))
    assert [each["id"] for each in named(calm, "new.txt")] == [item["id"]]
    assert (folder / "new.txt").read_bytes() == b"text"


@pytest.mark.parametrize("was_written", [True, False])
def test_an_open_file_goes_with_its_name(folder, calm, was_written):
    """Also once the service has made a version of the rename: what is written then goes up under
    the name that the file has, and nowhere else."""
    before, name, last = (
        f"before {was_written}.txt",
        f"name {was_written}.txt",
        f"{was_written}.txt",
    )
    if was_written:
        (folder / before).write_bytes(b"text")
        arrives(calm, before, b"text")
    else:
        calm.change("add_item", path=folder.raw, name=before, text="text")
        refreshed = folder.drive.home.run("refresh", str(folder.path))
        assert refreshed.returncode == 0, refreshed.stderr
    with (folder / before).open("r+b", buffering=0) as file:
        first = os.fstat(file.fileno())
        (folder / before).rename(folder / name)
        wait_until(lambda: os.getxattr(folder / name, "user.dmfs.version_number") == b"2")
        (folder / name).rename(folder / last)
        file.seek(0, os.SEEK_END)
        file.write(b" and more")
        after, held = (folder / last).stat(), os.fstat(file.fileno())
        assert first.st_ino == after.st_ino == held.st_ino
        assert after.st_size == held.st_size == len(b"text and more")
    arrives(calm, last, b"text and more")
    assert listed(folder) == [last]
    assert {each["id"] for each in named(calm, name)} == {each["id"] for each in named(calm, last)}


def test_a_deletion_can_be_restored(folder, calm):
    (folder / "deleted.txt").write_bytes(b"text")
    arrives(calm, "deleted.txt", b"text")
    (folder / "deleted.txt").unlink()
    assert listed(folder) == []
    wait_until(lambda: named(calm, "deleted.txt")[0]["hidden"])
    [item] = named(calm, "deleted.txt")
    assert [version["deleted"] for version in item["versions"]] == [False, True]


def test_folders_are_the_services_at_once(folder, calm):
    (folder / "inner").mkdir()
    assert [event["name"] for event in calm.writes()["events"] if event["what"] == "new_folder"][
        -1
    ] == "inner"
    (folder / "inner").rename(folder / "renamed")
    (folder / "renamed").rmdir()
    assert listed(folder) == []


def test_a_timestamp_that_is_set_stays_here(folder, calm):
    path = folder / "touched.txt"
    path.write_bytes(b"text")
    os.utime(path, ns=(10**18, 10**18))
    arrives(calm, "touched.txt", b"text")
    time.sleep(SETTLED_S)
    assert path.stat().st_mtime_ns == 10**18
    assert [len(item["versions"]) for item in named(calm, "touched.txt")] == [1]


# Others


def test_nothing_is_overwritten_unseen(folder, calm):
    path = folder / "both.txt"
    path.write_bytes(b"base")
    arrives(calm, "both.txt", b"base")
    with path.open("wb") as file:
        file.write(b"ours")
        file.flush()
        calm.change("new_version", path=f"{folder.raw}/both.txt", text="theirs")
    wait_until(lambda: len(listed(folder)) == 2, 15.0, "a conflict copy")
    [beside] = set(listed(folder)) - {"both.txt"}
    assert beside.startswith("both (conflict ")
    assert (folder / beside).read_bytes() == b"ours"
    wait_until(lambda: path.read_bytes() == b"theirs")
    assert os.getxattr(folder / beside, "user.dmfs.state") == b"conflict"
    assert calm.violations() == {}


def test_an_answer_lost_is_not_a_second_version(folder, calm):
    calm.fault("reset_before_headers", route="items_post")
    (folder / "once.txt").write_bytes(b"text")
    arrives(calm, "once.txt", b"text")
    time.sleep(SETTLED_S)
    assert [len(item["versions"]) for item in named(calm, "once.txt")] == [1]
    assert calm.violations() == {}


# Failure


def test_close_never_waits_for_the_network(folder, calm):
    (folder / "first").write_bytes(b"permissions are known")
    calm.settings(api_latency_ms=20_000)
    began = time.monotonic()
    (folder / "second").write_bytes(b"text")
    assert time.monotonic() - began < 5
    assert (folder / "second").read_bytes() == b"text"


def test_failed_uploads_are_shown_and_kept(folder, calm):
    calm.fault("status", route="items_post", status=403, times=None)
    path = folder / "refused.txt"
    path.write_bytes(b"text")
    wait_until(lambda: os.getxattr(path, "user.dmfs.state") == b"failed", 15.0)
    assert path.read_bytes() == b"text"
    folder.drive.stop()
    folder.drive.start()
    assert path.read_bytes() == b"text"
    assert os.getxattr(path, "user.dmfs.state") == b"failed"


def test_no_space_is_told_by_write(make_drive, calm):
    drive = make_drive(config={**WRITES, "spool_size": "4MiB"})
    path = Path(drive.path(SAMPLE)) / f"large {time.monotonic_ns()}"

    def fill() -> None:
        with path.open("wb", buffering=0) as file:
            for _ in range(40):
                file.write(os.urandom(1 << 18))

    with pytest.raises(OSError, match=r"quota|space"):
        fill()
    path.unlink()


def test_what_would_be_refused_is_refused_at_open(make_drive, calm):
    drive = make_drive()
    path = Path(drive.path(SAMPLE)) / "README.txt"
    calm.change("reserve", path=f"{RAW_SAMPLE}/README.txt", user="BOBEMU000002")
    drive.tool("dmfs", "refresh", str(path.parent))
    try:
        assert not path.stat().st_mode & 0o200
        with pytest.raises(PermissionError):
            path.open("r+b")
    finally:
        calm.change("unreserve", path=f"{RAW_SAMPLE}/README.txt")
    with pytest.raises(OSError, match="Invalid argument"):
        (path.parent / "a:b").write_bytes(b"")


def test_of_one_profile_one_mount_writes(make_drive, calm):
    first = make_drive()
    point = first.home.directory / "second"
    point.mkdir()
    done = first.home.run("mount", "/", str(point), "-o", "rw")
    assert done.returncode == 1
    assert str(first.point).encode() in done.stderr


def test_without_rw_nothing_is_written(make_drive, calm):
    drive = make_drive(options=[])
    with pytest.raises(OSError, match="Read-only"):
        (Path(drive.path(SAMPLE)) / "new").write_bytes(b"")
    assert not (drive.home.state / "spool").exists()


def test_sync_waits_for_the_service(make_drive, calm):
    drive = make_drive(options=["rw,sync"], config={**WRITES, "upload_delay": "10m"})
    folder = Folder(drive, f"sync {time.monotonic_ns()}")
    (folder / "synced.txt").write_bytes(b"text")
    assert [item["versions"][-1]["sha256"] for item in named(calm, "synced.txt")
            if item["folder"] == _id(folder)] == [sha256(b"text")]  # fmt: skip
    calm.fault("status", route="items_post", status=403, times=None)
    with pytest.raises(OSError, match=r"denied|error"):
        (folder / "b.txt").write_bytes(b"text")
    assert (folder / "b.txt").read_bytes() == b"text"


def test_a_terminated_mount_loses_nothing(folder, calm):
    calm.settings(api_latency_ms=300)
    data = os.urandom(100_000)
    (folder / "late.bin").write_bytes(data)
    assert folder.drive.stop(signal.SIGTERM) == 0
    calm.settings(api_latency_ms=0)
    folder.drive.start()
    arrives(calm, "late.bin", data)
    assert [len(item["versions"]) for item in named(calm, "late.bin")] == [1]


def _id(folder: Folder) -> str:
    return os.getxattr(folder.path, "user.dmfs.folder_id").decode()

"""Promises of ``dmfs/help/semantics.md`` about failure, by their names there."""

from __future__ import annotations

import errno
import signal
import sys
import time
from collections import Counter

from tests.support.mounts import mounted_at, stop_emulator, wait_until
from tests.support.sample import (
    ACCOUNT,
    QUICK,
    QUIRKS,
    RAW_SAMPLE,
    SAMPLE,
)

# Failure


def test_writes_get_erofs(drive):
    folder = drive.path(SAMPLE, "Drawings")
    found = drive.call(
        "write_all_ways", folder, f"{folder}/Room 1.dxf", drive.path(SAMPLE, "Models")
    )
    assert found == dict.fromkeys(found, errno.EROFS)


def test_an_outage_is_eio_not_absence(own_emulator, make_drive):
    drive = make_drive(of=own_emulator, config=QUICK | {"metadata_timeout": "1s", "patience": "1s"})
    listed, never = drive.path(SAMPLE, "Drawings"), drive.path(SAMPLE, "Models")
    drive.call("listdir", drive.path(SAMPLE))
    names = drive.call("listdir", listed)

    def is_out() -> None:
        time.sleep(1.2)  # what is known is stale, for us and for the kernel
        assert drive.call("errno_of", "listdir", never) == errno.EIO
        assert drive.call("errno_of", "stat", f"{never}/anything") == errno.EIO
        assert drive.call("listdir", listed) == names
        assert drive.call("stat", f"{listed}/Room 1.dxf").st_size > 0
        assert drive.call("errno_of", "stat", f"{listed}/absent") == errno.ENOENT

    own_emulator.fault("reset_before_headers", origin="api", times=None)
    is_out()
    own_emulator.clear_faults()
    wait_until(lambda: drive.call("errno_of", "listdir", never) == 0, 30)
    assert drive.call("listdir", never) == ["House.ifc"]
    never = drive.path(SAMPLE, "Photos")
    stop_emulator(own_emulator)  # nobody listens there any more
    own_emulator.stop()
    is_out()


def test_slow_answers_end_in_etimedout(own_emulator, make_drive):
    drive = make_drive(
        of=own_emulator, config=QUICK | {"metadata_timeout": "1s", "data_timeout": "1s"}
    )
    drive.call("listdir", drive.path(SAMPLE))
    own_emulator.fault("stall_before_headers", route="contents", times=None, seconds=None)
    assert drive.call("errno_of", "listdir", drive.path(SAMPLE, "Models")) == errno.ETIMEDOUT
    own_emulator.clear_faults()
    handle = drive.call("open", drive.path(SAMPLE, "Large Files", "Tower.rvt"))
    own_emulator.fault("stall_before_headers", origin="cdn", times=None, seconds=None)
    assert drive.call("errno_of", "pread", handle, 0, 1000) == errno.ETIMEDOUT
    own_emulator.clear_faults()
    wait_until(lambda: drive.call("errno_of", "pread", handle, 0, 1000) == 0)
    assert len(drive.call("pread", handle, 0, 1000)) == 1000


def test_what_used_up_its_time_is_not_waited_for_again(own_emulator, make_drive):
    """Of the bytes of a storage that is silent for them alone: its host answers otherwise."""
    limit_s = 2.0
    drive = make_drive(of=own_emulator, config=QUICK | {"data_timeout": f"{limit_s:g}s"})
    path = drive.path(SAMPLE, "Large Files", "Tower.rvt")
    handle = drive.call("open", path)
    cached = drive.call("pread", handle, 0, 1000)
    own_emulator.fault(
        "stall_before_headers", origin="cdn", contains="ignature", times=None, seconds=None
    )
    began = time.monotonic()
    assert drive.call("errno_of", "pread", handle, 200_000_000, 1 << 20) == errno.ETIMEDOUT
    # 40 deadlines, were each waited for
    for number in range(40):
        offset = 200_000_000 + number * 4096
        assert drive.call("errno_of", "pread", handle, offset, 4096) == errno.ETIMEDOUT
    assert drive.tool("cat", path).returncode == 1
    assert drive.call("pread", handle, 0, 1000) == cached
    assert time.monotonic() - began < 10 * limit_s
    own_emulator.clear_faults()
    began = time.monotonic()
    wait_until(lambda: drive.call("errno_of", "pread", handle, 200_000_000, 4096) == 0)
    # a second, and three more for a machine that others use
    assert time.monotonic() - began < 4


def test_rate_limits_beyond_the_deadline_are_ebusy(own_emulator, make_drive):
    drive = make_drive(of=own_emulator, config=QUICK | {"metadata_timeout": "5s"})
    drive.call("listdir", drive.path(SAMPLE))
    # a shorter wait is waited for
    own_emulator.fault(
        "status", route="contents", status=429, shape="gateway", retry_after=1, times=1
    )
    assert drive.call("listdir", drive.path(SAMPLE, "Models")) == ["House.ifc"]
    own_emulator.fault(
        "status", route="contents", status=429, shape="gateway", retry_after=300, times=None
    )
    path = drive.path(SAMPLE, "Documents")
    assert drive.call("errno_of", "listdir", path) == errno.EBUSY
    assert drive.call("errno_of", "stat", f"{path}/Minutes.txt") == errno.EBUSY


def test_refusals_are_eacces(own_emulator, make_drive):
    drive = make_drive(of=own_emulator)
    archived = drive.path(ACCOUNT, "Just Archived Project")
    assert drive.call("errno_of", "listdir", archived) == errno.EACCES
    drive.call("listdir", drive.path(SAMPLE))
    own_emulator.change("revoke", path=f"{RAW_SAMPLE}/Models")
    assert drive.call("errno_of", "listdir", drive.path(SAMPLE, "Models")) == errno.EACCES
    # a token that is refused for good
    own_emulator.fault("status", route="contents", status=401, shape="gateway", times=None)
    assert drive.call("errno_of", "listdir", drive.path(SAMPLE, "Documents")) == errno.EACCES


def test_an_item_that_is_not_described_stays_listed(own_emulator, make_drive):
    drive = make_drive(of=own_emulator, config=QUICK)
    place = drive.path(QUIRKS, "Folders", "included missing")
    drive.call("listdir", drive.path(QUIRKS, "Folders"))
    own_emulator.fault("status", route="item", status=503, times=None)
    names = drive.call("listdir", place)
    assert len(names) >= 2
    assert drive.call("getxattr", place, "user.dmfs.incomplete") == str(len(names)).encode()
    assert drive.call("errno_of", "open", f"{place}/{names[0]}") == errno.EACCES
    own_emulator.clear_faults()
    wait_until(lambda: drive.call("errno_of", "open", f"{place}/{names[0]}") == 0, 30)
    assert drive.call("listdir", place) == names
    assert "user.dmfs.incomplete" not in drive.call("listxattr", place)


def test_an_entry_that_is_lost_is_an_error_not_absence(own_emulator, make_drive):
    drive = make_drive(of=own_emulator, config=QUICK)
    place = drive.path(QUIRKS, "Kinds")
    folder_id = drive.call("getxattr", place, "user.dmfs.folder_id").decode().rpartition(".")[2]
    own_emulator.fault(
        "rotten_row", route="contents", contains=folder_id, at=0, how="no_id", times=None
    )
    assert drive.call("errno_of", "listdir", place) == errno.EIO
    names = ("Published model.rvt", "Unpublished model.rvt.url", "Unknown with bytes.holo")
    there = [drive.call("errno_of", "stat", f"{place}/{name}") for name in names]
    assert there.count(0) >= 2, "the others are there"
    assert drive.call("errno_of", "stat", f"{place}/perhaps the lost one") == errno.EIO
    own_emulator.clear_faults()
    wait_until(lambda: drive.call("errno_of", "listdir", place) == 0, 30)
    assert drive.call("errno_of", "stat", f"{place}/absent") == errno.ENOENT


def test_a_dead_stretch_is_not_waited_for_again(own_emulator, make_drive):
    """A walk over stalled folders took a deadline in each."""
    wait_s = 2.0
    drive = make_drive(of=own_emulator, config={"metadata_timeout": f"{wait_s}s", "patience": "1s"})
    top = drive.path(QUIRKS)
    places = [f"{top}/{name}" for name in drive.call("listdir", top)]
    assert len(places) >= 6
    own_emulator.fault("stall_before_headers", route="contents", times=None, seconds=None)
    began = time.monotonic()
    for place in places:
        assert drive.call("errno_of", "listdir", place) == errno.ETIMEDOUT
    assert time.monotonic() - began < wait_s * len(places) / 1.5
    assert own_emulator.counts()["contents"] < len(places) + 10
    own_emulator.clear_faults()
    wait_until(lambda: drive.call("errno_of", "listdir", places[0]) == 0, 30)
    for place in places:
        assert drive.call("errno_of", "listdir", place) == 0


def test_bytes_that_are_gone_are_estale(calm, make_drive):
    drive = make_drive()
    gone = drive.path(QUIRKS, "Storage", "storage gone.bin")
    assert drive.call("errno_of", "open", gone) == errno.ESTALE
    assert "storage gone.bin" in drive.call("listdir", drive.path(QUIRKS, "Storage"))
    handle = drive.call("open", drive.path(SAMPLE, "Large Files", "Tower.rvt"))
    calm.fault("status", origin="cdn", status=404, shape="xml", times=None)
    assert drive.call("errno_of", "pread", handle, 250_000_000, 1000) == errno.ESTALE


def test_a_killed_daemon_leaves_errors_not_emptiness(emulator, make_drive):
    drive = make_drive()
    names = drive.call("listdir", drive.path())
    drive.kill()
    for path in (drive.path(), drive.path(SAMPLE)):
        assert drive.call("errno_of", "listdir", path) == errno.ENOTCONN
    # attributes that the kernel still remembers are no absence either
    assert drive.call("errno_of", "stat", drive.path()) in (0, errno.ENOTCONN)
    assert drive.call("errno_of", "stat", drive.path("no such hub")) == errno.ENOTCONN
    drive.start()  # the next mount clears it by itself
    assert drive.call("listdir", drive.path()) == names


def test_sigterm_unmounts_cleanly(emulator, make_drive):
    drive = make_drive()
    drive.call("listdir", drive.path())
    drive.call("chdir", "/")
    assert drive.stop(signal.SIGTERM) == 0
    assert mounted_at(drive.point) is None
    assert list(drive.point.iterdir()) == []
    assert "Traceback" not in drive.log()


_WITH_A_NAME = """
import errno, os, sys
folder = sys.argv[1]
for length in (255, 256, 1000):
    path = os.path.join(folder, "n" * length)
    for what in (
        lambda: os.stat(path), lambda: os.open(path, os.O_RDONLY), lambda: os.listdir(path),
        lambda: os.access(path, os.F_OK, effective_ids=True) or os.stat(path),
        lambda: os.chdir(path), lambda: os.readlink(path), lambda: os.statvfs(path),
        lambda: os.getxattr(path, "user.dmfs.item_id"), lambda: os.listxattr(path),
        lambda: os.stat(path + "/below"),
    ):
        try:
            what()
        except OSError as error:
            print(length, errno.errorcode[error.errno])
"""


def test_names_over_255_bytes_are_enametoolong(drive, calm):
    drive.call("listdir", drive.path(SAMPLE))
    calm.reset()
    done = drive.tool(sys.executable, "-c", _WITH_A_NAME, drive.path(SAMPLE))
    assert done.stderr == b""
    answers = Counter(done.stdout.decode().splitlines())
    assert answers == {"255 ENOENT": 10, "256 ENAMETOOLONG": 10, "1000 ENAMETOOLONG": 10}
    assert drive.counts() == {}
    # and in bytes, not in characters
    assert drive.call("errno_of", "stat", drive.path(SAMPLE, "建" * 85)) == errno.ENOENT
    assert drive.call("errno_of", "stat", drive.path(SAMPLE, "建" * 86)) == errno.ENAMETOOLONG

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
    assert len(drive.call("pread", handle, 0, 1000)) == 1000


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

"""Programs that open and do not read, and that look and go: what that costs, by exact counts."""

from __future__ import annotations

import errno
import sys

import pytest

from tests.support.mounts import wait_until
from tests.support.oracle import Oracle
from tests.support.sample import QUIRKS

FILES = "Bench/Bench Project/Project Files"
BIG = 60_000_000


@pytest.fixture(scope="module")
def world_spec() -> str:
    return f"sample+small:files=200,min=300000,max=400000+big:size={BIG},count=8"


@pytest.fixture
def fresh(emulator, calm, make_drive):
    drive = make_drive()
    for folder in ("small", "big"):
        drive.tool("ls", "-l", drive.path(FILES, folder))
    drive.emulator.reset()
    return drive


def account(drive) -> tuple[int, int, int]:
    """Signings, GETs and bytes of the CDN, once nothing is on its way any more."""
    last: list[object] = []

    def still():
        last.append(drive.emulator.calls()["cdn_bytes"])
        last.append(drive.counts())
        return len(last) > 20 and last[-2:] == last[-20:-18]

    wait_until(still)
    counts = drive.counts()
    return (
        counts.get("sign", 0), counts.get("cdn_get", 0), drive.emulator.calls()["cdn_bytes"],
    )  # fmt: skip


def small(number: int) -> str:
    return f"small-{number:05d}.txt"


def test_an_open_without_a_read_asks_only_for_the_first_of_its_folder(fresh):
    for number in range(40):
        handle = fresh.call("open", fresh.path(FILES, "small", small(number)))
        fresh.call("close", handle)
    assert account(fresh) == (1, 0, 0)
    for number in range(8):
        fresh.call("close", fresh.call("open", fresh.path(FILES, "big", f"big-{number:02d}.bin")))
    assert account(fresh) == (2, 0, 0)


def test_a_file_that_was_opened_without_asking_is_signed_by_its_first_read(fresh):
    oracle = Oracle(fresh.emulator)
    fresh.call("close", fresh.call("open", fresh.path(FILES, "small", small(0))))
    path = f"{FILES}/small/{small(150)}"
    entry = oracle.at(path)
    handle = fresh.call("open", fresh.path(path))
    assert account(fresh) == (1, 0, 0)
    assert fresh.call("pread", handle, 0, 500_000) == oracle.bytes(entry)
    assert account(fresh) == (2, 1, entry.real_size)


def test_what_was_refused_at_a_read_is_refused_at_the_next_open(own_emulator, make_drive):
    drive = make_drive(of=own_emulator)
    folder = drive.path(QUIRKS, "Storage")
    readable = f"{folder}/no sha1.bin"
    refused = f"{folder}/view only.bin"
    drive.call("close", drive.call("open", readable))
    handle = drive.call("open", refused)
    assert drive.call("errno_of", "pread", handle, 0, 100) == errno.EACCES
    assert drive.call("errno_of", "open", refused) == errno.EACCES
    # and the folder has to be asked for again
    own_emulator.reset()
    drive.call("close", drive.call("open", drive.path(QUIRKS, "Storage", "signed in chunks.bin")))
    assert drive.counts() == {"sign": 1}


@pytest.mark.parametrize("name", ["too big", "too small"])
def test_a_wrong_size_is_an_error_once_and_never_wrong_bytes(own_emulator, make_drive, name):
    """The listing was believed because of a sibling, and the file turns out to be of another size:
    the kernel has the wrong one by then, and would cut the file or fill it up with zeros."""
    drive = make_drive(of=own_emulator)
    oracle = Oracle(own_emulator)
    folder = f"{QUIRKS}/Versions"
    entry = oracle.at(f"{folder}/storageSize {name}.bin")
    other = oracle.at(f"{folder}/storageSize zero.bin")
    drive.tool("ls", "-l", drive.path(folder))
    drive.call("close", drive.call("open", drive.path(folder, "webView missing.dwg")))
    own_emulator.reset()
    path = drive.path(entry.path)
    handle = drive.call("open", path)
    assert drive.counts() == {}
    assert drive.call("errno_of", "pread", handle, 0, 10) == errno.ESTALE
    assert drive.call("errno_of", "pread", handle, 0, 20_000) == errno.ESTALE
    assert drive.tool("cat", path).stdout == oracle.bytes(entry)
    assert drive.call("stat", path).st_size == entry.real_size
    assert drive.counts() == {"sign": 1, "cdn_get": 1}
    # sizes of that folder are not believed again, nor is one of 0 ever
    assert drive.tool("cat", drive.path(other.path)).stdout == oracle.bytes(other)
    own_emulator.reset()
    drive.call("close", drive.call("open", drive.path(folder, "reserved by somebody.dwg")))
    assert drive.counts() == {"sign": 1}

"""Files that are opened on the word of their folder's listing: when that turns out wrong."""

from __future__ import annotations

import errno

import pytest

from tests.support.oracle import Oracle
from tests.support.sample import QUIRKS


def test_a_file_that_was_opened_without_asking_is_signed_by_its_first_read(calm, make_drive):
    drive = make_drive()
    oracle = Oracle(calm)
    first = oracle.at(f"{QUIRKS}/Versions/webView missing.dwg")
    entry = oracle.at(f"{QUIRKS}/Versions/reserved by somebody.dwg")
    drive.call("close", drive.call("open", drive.path(first.path)))
    calm.reset()
    handle = drive.call("open", drive.path(entry.path))
    assert drive.counts() == {}
    assert drive.call("pread", handle, 0, entry.real_size + 1) == oracle.bytes(entry)
    assert drive.counts() == {"sign": 1, "cdn_get": 1}


def test_what_was_refused_at_a_read_is_refused_at_the_next_open(calm, make_drive):
    drive = make_drive()
    folder = drive.path(QUIRKS, "Storage")
    readable = f"{folder}/no sha1.bin"
    refused = f"{folder}/view only.bin"
    drive.call("close", drive.call("open", readable))
    handle = drive.call("open", refused)
    assert drive.call("errno_of", "pread", handle, 0, 100) == errno.EACCES
    assert drive.call("errno_of", "open", refused) == errno.EACCES
    # and the folder has to be asked for again
    calm.reset()
    drive.call("close", drive.call("open", drive.path(QUIRKS, "Storage", "signed in chunks.bin")))
    assert drive.counts() == {"sign": 1}


@pytest.mark.parametrize("name", ["too big", "too small"])
def test_a_wrong_size_is_an_error_once_and_never_wrong_bytes(calm, make_drive, name):
    """The listing was believed because of a sibling, and the file turns out to be of another size:
    the kernel has the wrong one by then, and would cut the file or fill it up with zeros."""
    drive = make_drive()
    oracle = Oracle(calm)
    folder = f"{QUIRKS}/Versions"
    entry = oracle.at(f"{folder}/storageSize {name}.bin")
    other = oracle.at(f"{folder}/storageSize zero.bin")
    drive.tool("ls", "-l", drive.path(folder))
    drive.call("close", drive.call("open", drive.path(folder, "webView missing.dwg")))
    calm.reset()
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
    calm.reset()
    drive.call("close", drive.call("open", drive.path(folder, "reserved by somebody.dwg")))
    assert drive.counts() == {"sign": 1}

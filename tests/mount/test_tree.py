"""The whole tree, exactly; every byte of it, in every way of reading."""

from __future__ import annotations

import errno
import json
import random
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.hands import Hands
from tests.support.mounts import Drive
from tests.support.oracle import FIND, Entry, Oracle, find_lines

GOLDEN = Path(__file__).parent / "golden"
ACCOUNT = "Emulated Builders \uff0f Headquarters"
QUIRKS = f"{ACCOUNT}/Quirks/Project Files"
LARGE = f"{ACCOUNT}/Sample Project/Project Files/Large Files"
GIB = 1 << 30
MIB = 1 << 20
READERS = 4
"""One reader waits for the service most of the time."""


@pytest.fixture(scope="module")
def fresh_project(drive: Drive) -> str:
    """Of ``Fresh Project`` the service says 404 twice: an error, not an empty directory."""
    path = drive.path(ACCOUNT, "Fresh Project")
    seen = [drive.call("errno_of", "listdir", path) for _ in range(3)]
    assert seen[-1] == 0
    assert errno.ENOENT not in seen
    assert any(seen[:2])
    return path


def _find(drive: Drive, *below: str) -> tuple[list[str], bytes]:
    done = drive.tool("find", drive.path(*below), *FIND, timeout_s=90)
    return find_lines(done.stdout), done.stderr


def test_find_prints_exactly_the_expected_tree(drive, oracle, fresh_project):
    lines, complaints = _find(drive)
    assert lines == oracle.lines(known=False)
    refused = [line for line in complaints.decode().splitlines() if line]
    assert len(refused) == len(oracle.refused) == 1
    assert "Just Archived Project" in refused[0]
    assert "Permission denied" in refused[0]


def test_service_folders_are_there_when_asked_for(emulator, make_drive):
    account = f"/{ACCOUNT}/Service Folders"
    asked = make_drive(source=account, options=["service_folders"])
    oracle = Oracle(emulator, service_folders=True)
    expected = sorted(
        entry.line(known=False).replace(f"{account[1:]}/", "")
        for entry in oracle.below(account[1:])
    )
    lines, complaints = _find(asked)
    assert lines == expected
    assert not complaints
    assert sum("made by a tool" in line for line in lines) == 15


@pytest.mark.parametrize(
    "golden",
    ["names", "kinds", "versions", "times", "service_folders", "equal_names", "hidden"],
)
def test_tricky_folders_are_as_reviewed(drive, fresh_project, golden):
    """Golden files, read line by line against the contract: the oracle may err as well."""
    lines = (GOLDEN / f"{golden}.txt").read_text("utf-8").splitlines()
    folders = [json.loads(line.removeprefix("in ")) for line in lines if line.startswith("in ")]
    seen = []
    for folder in folders:
        found, complaints = _find(drive, *folder.split("/"))
        assert not complaints
        seen.append(f"in {json.dumps(folder)}")
        for line in found:
            kind, size, mtime, path = line.split(" ", 3)
            seen.append(f"{kind} {size} {mtime} {json.dumps(path)}")
    # sizes there are those of the listing, unless another test has opened the file
    assert [_without_size(line) for line in seen] == [_without_size(line) for line in lines]
    for line, expected in zip(seen, lines, strict=True):
        if "storageSize" not in line:
            assert line == expected


def _without_size(line: str) -> str:
    kind, _, rest = line.partition(" ")
    return line if kind == "in" else f"{kind} {rest.partition(' ')[2]}"


def test_every_readable_file_has_the_emulators_bytes(drive, oracle, fresh_project):
    readable = [e for e in oracle.files if e.readable and e.real_size < 4 * GIB]
    assert len(readable) > 1500

    def compare(part: int) -> list[tuple[str, int, int]]:
        wrong = []
        with closing(Hands()) as hands:
            for entry in readable[part::READERS]:
                digest, size = hands.call("sha256", drive.path(entry.path), timeout_s=100)
                if (digest, size) != (oracle.sha256(entry), entry.real_size):
                    wrong.append((entry.path, size, entry.real_size))
        return wrong

    with ThreadPoolExecutor(READERS) as pool:
        assert [each for wrong in pool.map(compare, range(READERS)) for each in wrong] == []
    for entry in oracle.files:
        if not entry.readable:
            gone = entry.version["signing"] == "gone"
            expected = errno.ESTALE if gone else errno.EACCES
            assert drive.call("errno_of", "read", drive.path(entry.path)) == expected, entry.path
    # and now that each was opened, all sizes are the real ones
    lines, _ = _find(drive)
    huge = oracle.at(f"{LARGE}/pointcloud.rcs")
    assert huge.first_size == huge.real_size
    assert lines == oracle.lines(known=True)


def test_slices_of_a_file_of_5_gib(drive, oracle):
    entry = oracle.at(f"{LARGE}/pointcloud.rcs")
    size = entry.real_size
    spans = [(0, 5000), (2 * GIB - 10, 20), (4 * GIB - 4096, 8192), (size - 3000, 5000), (size, 9)]
    got = drive.call("preads", drive.path(entry.path), spans)
    assert got == [oracle.bytes(entry, *span) for span in spans]
    assert len(got[3]) == 3000
    assert got[4] == b""


def _spans(size: int, seed: int) -> list[tuple[int, int]]:
    """Random places, block and window edges, and the end."""
    dice = random.Random(seed)
    spans = [(dice.randrange(size), dice.randint(1, 200_000)) for _ in range(12)]
    for edge in (128 * 1024, MIB, 8 * MIB, 9 * MIB):
        at = edge * dice.randint(1, max(1, size // edge - 1))
        spans += [(at - 1, 2), (at - dice.randint(1, 5000), dice.randint(5001, 300_000)), (at, 1)]
    spans += [(size - 1, 1), (size - 7, 100), (size, 1), (size + 12345, 10), (0, 1)]
    dice.shuffle(spans)
    return spans


def test_pread_anywhere_by_16_processes_at_once(drive, oracle):
    entry = oracle.at(f"{LARGE}/Tower.rvt")
    many = [Hands() for _ in range(16)]
    plans = [_spans(entry.real_size, seed) for seed in range(16)]

    def work(hands: Hands, spans: list[tuple[int, int]]) -> list[bytes]:
        return hands.call("preads", drive.path(entry.path), spans, timeout_s=90)

    try:
        with ThreadPoolExecutor(16) as pool:
            got = list(pool.map(work, many, plans))
    finally:
        for hands in many:
            hands.close()
    for spans, pieces in zip(plans, got, strict=True):
        for (offset, length), piece in zip(spans, pieces, strict=True):
            assert piece == oracle.bytes(entry, offset, length), (offset, length)


@pytest.fixture(params=[f"{LARGE}/Tower.rvt", f"{QUIRKS}/Storage/signed in chunks.bin",
                        f"{QUIRKS}/Versions/storageSize too small.bin"])  # fmt: skip
def entry(request, oracle) -> Entry:
    return oracle.at(request.param)


def test_mmap(drive, oracle, entry):
    path, size = drive.path(entry.path), entry.real_size
    drive.call("read", path, 0, 1)  # a wrong listed size is corrected by the first open
    spans = [(0, 100), (size // 2 - 3000, size // 2 + 3000), (size - 50, size)]
    got = drive.call("mmap_slices", path, spans)
    assert got == [oracle.bytes(entry, start, stop - start) for start, stop in spans]


def test_o_direct(drive, oracle, entry):
    path, size = drive.path(entry.path), entry.real_size
    drive.call("read", path, 0, 1)
    last = (size - 1) // 4096 * 4096
    for offset, length in ((0, 4096), (size // 2 // 4096 * 4096, 65536), (last, 8192)):
        assert drive.call("direct", path, offset, length) == oracle.bytes(entry, offset, length)

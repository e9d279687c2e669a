"""Promises of ``dmfs/help/semantics.md`` about what nobody asked for, by exact counts."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.support.mounts import wait_until

FILES = "Bench/Bench Project/Project Files"
BIG = 60_000_000


@pytest.fixture(scope="module")
def world_spec() -> str:
    return f"small:files=200,min=20000,max=40000+big:size={BIG},count=8"


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


def test_an_open_without_a_read_costs_one_signing_a_folder(fresh):
    for number in range(40):
        handle = fresh.call("open", fresh.path(FILES, "small", small(number)))
        fresh.call("close", handle)
    assert account(fresh) == (1, 0, 0)
    for number in range(8):
        fresh.call("close", fresh.call("open", fresh.path(FILES, "big", f"big-{number:02d}.bin")))
    assert account(fresh) == (2, 0, 0)


def test_a_look_at_a_file_costs_256_kib(fresh):
    """Nobody read more than 16 KiB; the kernel asks for up to 64."""
    python = "import sys; f = open(sys.argv[1], 'rb', 0); f.read({}); f.read({})"
    looks = [
        ("head", "-c", "100"), ("head", "-c", "4096"), ("tail", "-c", "100"),
        ("dd", "bs=16k", "count=1", "status=none"),
        (sys.executable, "-c", python.format(8192, 8192)),
        (sys.executable, "-c", python.format(512, 15872)),
    ]  # fmt: skip
    for number, words in enumerate(looks):
        fresh.emulator.reset()
        path = fresh.path(FILES, "big", f"big-{number:02d}.bin")
        path = f"if={path}" if words[0] == "dd" else path
        assert fresh.tool(*words, path).returncode == 0
        _, gets, fetched = account(fresh)
        assert (gets, fetched) == (1, min(fetched, 256 * 1024)), words


@pytest.mark.parametrize("order", ["names", "inodes"])
def test_a_series_fetches_at_most_eight_files_in_vain(fresh, order):
    """In the order of inode numbers read ``tar --sort=inode`` and others that make backups."""
    paths = [fresh.path(FILES, "small", small(number)) for number in range(200)]
    if order == "inodes":
        paths.sort(key=lambda path: Path(path).stat().st_ino)
    assert fresh.tool("sha256sum", *paths[:40]).returncode == 0
    signed, fetched, _ = account(fresh)
    assert 40 < fetched <= 48
    assert signed <= 40 + 20

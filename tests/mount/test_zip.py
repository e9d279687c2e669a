"""One member of a large archive costs little more than itself."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

FOLDER = "Bench/Bench Project/Project Files/big"
GIB = 1 << 30
MIB = 1 << 20
READ_ONE = """
import sys, zipfile, zlib
with zipfile.ZipFile(sys.argv[1]) as archive:
    names = archive.namelist()
    info = archive.getinfo(names[int(sys.argv[2])])
    data = archive.read(info)
    print(len(names), info.CRC, zlib.crc32(data), len(data))
"""


@pytest.fixture(scope="module")
def world_spec() -> str:
    return f"big:size={GIB},count=1,zip=1,members=4000"


@pytest.mark.parametrize("number", [0, 1234, 3999])
def test_one_member_of_a_1_gib_zip_fetches_under_4_mib(emulator, calm, make_drive, number):
    drive = make_drive()
    (name,) = drive.tool("ls", drive.path(FOLDER)).stdout.split()
    archive = Path(drive.path(FOLDER), name.decode())
    assert int(drive.tool("stat", "-c", "%s", str(archive)).stdout) > 0.99 * GIB
    drive.emulator.reset()
    done = drive.tool(sys.executable, "-c", READ_ONE, str(archive), str(number))
    names, listed, real, size = (int(word) for word in done.stdout.split())
    assert (names, listed) == (4000, real)
    calls = drive.emulator.calls()
    assert calls["counts"]["sign"] == 1
    assert size < calls["cdn_bytes"] < 4 * MIB

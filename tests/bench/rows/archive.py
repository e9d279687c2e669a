"""zip: one member of a big archive."""

from __future__ import annotations

import sys
import time

from tests.bench.context import Bench
from tests.bench.measure import MIB
from tests.bench.processes import run
from tests.bench.registry import row
from tests.bench.results import Result, Series
from tests.bench.service import EMULATED

_FILE = "big/big-00.zip"
_SIZE = 4_290_000_000
_MEMBERS = 5000
_READ = """
import sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as archive:
    member = archive.infolist()[len(archive.infolist()) * 2 // 3]
    assert len(archive.read(member)) == member.file_size
    print(member.file_size)
"""
"""zipfile checks the member's CRC."""
_SETTLE_S = 0.5
"""What is still on its way is counted too."""


@row("zip", "one member of a 4 GiB zip of 5000 members, link emulated")
def zip_member(bench: Bench, result: Result) -> None:
    took, fetched = Series("dmfs", "s"), Series("dmfs fetched", "MiB")
    world = f"big:size={_SIZE},count=1,zip=1,members={_MEMBERS}"
    with bench.service(world, EMULATED, shelf=False) as service:
        service.emulator.bytes(service.files[_FILE].storage, 0, 1)  # makes it compute its CRCs
        for _ in range(min(bench.rounds, 3)):
            with bench.dmfs(service) as drive:
                drive.list("big")
                service.emulator.reset()
                began = time.perf_counter()
                done = run([sys.executable, "-c", _READ, drive.file(_FILE)], 60)
                took.values.append(time.perf_counter() - began)
                time.sleep(_SETTLE_S)
                _, gets, read = service.counts()
                fetched.values.append(read / MIB)
    result.series += [took, fetched]
    member = int(done.stdout) / MIB
    result.note(f"{gets} GETs; the member has {member:.2f} MiB, the directory 0.3 MiB")
    result.limit("≤ 8 MiB fetched", fetched.median, 8, "MiB")

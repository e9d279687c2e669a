"""A drive whose cache's disk has a bad day: what it says, what it reads, and that it recovers."""

from __future__ import annotations

import time
from collections.abc import Callable

from dmfs.system.disk_health import PAUSE_S
from tests.hostile import reader
from tests.support.mounts import Drive, wait_until

FOLDER = "Bench/Bench Project/Project Files"
BIG = 40_000_000
BIGS = [f"big/big-0{n}.bin" for n in range(4)]
CONFIG = {"memory_budget": "16MiB", "cache_free_percent": 0, "ttl": "1s"}
"""Little memory and short-lived listings, so that the disk is asked."""
DEADLINE_S = 30.0
"""Of a read of some MB here: hangs are borne for 5 s, several one after the other if need be."""
HANGS = "fails ([Errno 110] the disk hangs)"
WORLD = f"small:files=60+big:size={BIG},count={len(BIGS)}"


class Witness:
    """Reads a drive and knows what it should say."""

    def __init__(self, drive: Drive) -> None:
        self.drive = drive
        self._tiles: dict[str, bytes] = {}
        for name in BIGS:
            storage = drive.call("getxattr", drive.path(FOLDER, name), "user.dmfs.storage_id")
            self._tiles[name] = drive.emulator.bytes(storage.decode(), 0, reader.TILE)

    def reads(self, name: str, start: int = 0, length: int = BIG) -> float:
        """Past the page cache, every byte compared; the slowest MiB in seconds."""
        slowest = 0.0
        for at in range(start, start + length, 1 << 20):
            began = time.monotonic()
            got = self.drive.call("direct", self.drive.path(FOLDER, name), at, 1 << 20)
            slowest = max(slowest, time.monotonic() - began)
            assert got == reader.truth(self._tiles[name], at, min(BIG, at + (1 << 20)))
        return slowest

    def keeps(self, name: str) -> None:
        """Read until all of it is at rest: a reader that outruns its disk leaves gaps, which the
        next one fills. (The memory is too small for what a pass without a GET reads.)"""

        def came_from_disk() -> bool:
            self.drive.emulator.reset()
            self.reads(name)
            return not self.drive.emulator.counts()["cdn_get"]

        wait_until(came_from_disk, 40, what=f"{name} at rest")

    def warnings(self) -> list[str]:
        """Of the block cache; what the listings say of the same disk is another line."""
        return [line for line in self.complaints() if "dmfs.blocks.disk_tier" in line]

    def complaints(self) -> list[str]:
        return [line for line in self.drive.log().splitlines() if "WARNING" in line]


def is_cached(drive: Drive, name: str) -> None:
    """A new mount over the same cache reads the file without a GET."""
    drive.emulator.fault("status", origin="cdn", status=500, shape="xml", times=None)
    drive.start()
    drive.emulator.reset()
    Witness(drive).reads(name)
    assert drive.emulator.counts()["cdn_get"] == 0
    drive.emulator.clear_faults()


def keeps_in_peace(witness: Witness, name: str) -> None:
    """All of it at rest, without a complaint. Where this machine itself stood still for so long
    that its disk counted as one that hangs, the day begins anew."""
    drive = witness.drive
    for _ in range(3):
        witness.keeps(name)
        complaints = witness.complaints()
        if not any(HANGS in line for line in complaints):
            break
        assert drive.stop() == 0
        drive.log_file.unlink()
        drive.start()
    assert complaints == []


def bad_day(
    drive: Drive, turn_bad: Callable[[], object], turn_well: Callable[[], object],
    at_rest: Callable[[], int],
) -> list[str]:  # fmt: skip
    """What every bad day has in common; its complaints."""
    witness = Witness(drive)
    keeps_in_peace(witness, BIGS[0])
    turn_bad()
    # what is at rest there, what is not, names, and a small file
    assert witness.reads(BIGS[0], 0, 8 << 20) < DEADLINE_S
    assert witness.reads(BIGS[1]) < DEADLINE_S
    assert len(drive.call("listdir", drive.path(FOLDER, "small"))) == 60
    assert drive.call("read", drive.path(FOLDER, "small", "small-00001.txt"))
    time.sleep(PAUSE_S + 0.5)  # it is looked at again, and complained of once all the same
    assert witness.reads(BIGS[1], 0, 20 << 20) < DEADLINE_S
    complaints = witness.complaints()
    assert len(witness.warnings()) <= 1
    turn_well()
    time.sleep(PAUSE_S + 0.5)
    before = at_rest()
    witness.keeps(BIGS[2])
    assert at_rest() >= before + BIG * 0.9, "the disk is used again"
    assert witness.complaints() == complaints
    assert drive.stop() == 0
    assert "Traceback" not in drive.log()
    is_cached(drive, BIGS[2])
    return complaints

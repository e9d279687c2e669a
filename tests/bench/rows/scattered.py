"""rand-cold and rand-4k: reads here and there, from the network and from what is kept."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from dmfs.blocks.store.block_store import DIRECTORY
from tests.bench import rivals
from tests.bench.context import Bench
from tests.bench.drives import Drive
from tests.bench.machine import drop_page_cache
from tests.bench.measure import GIB, dd, reader
from tests.bench.processes import CommandFailed, run
from tests.bench.registry import row
from tests.bench.results import Result
from tests.bench.service import EMULATED, LOCAL, Service
from tests.bench.webserver import seed_of

_FILE = "big/big-00.bin"
_COLD_SIZE = 5 * GIB
_COLD_BLOCK = 64 * 1024
_READERS = 8
_KEPT_SIZE = GIB


@row("rand-cold", "64 KiB random, 8 readers, 5 GiB file, link emulated")
def rand_cold(bench: Bench, result: Result) -> None:
    transfer_s = _COLD_BLOCK / (EMULATED.mb_per_s * 1e6)
    ideal = _READERS / (EMULATED.cdn_ms / 1000 + transfer_s)
    seconds = 4.0 if bench.quick else 6.0
    ratios: list[float] = []
    with bench.service(f"big:size={_COLD_SIZE},count=1", EMULATED) as service:
        contestants = {"dmfs": lambda: _dmfs(bench, service, seconds, ratios)}
        if bench.tools.has("rclone"):
            url = service.shelf_url
            _, flags = bench.best(
                result, rivals.RANDOM, lambda flags: _rclone(bench, url, flags, 2.0)
            )
            contestants["rclone best"] = lambda: _rclone(bench, url, flags, seconds)
        series = bench.alternate(result, "IOPS", contestants)
    ours = series["dmfs"].median
    goal = f"0.75 × 8 / (round trip + transfer) = {0.75 * ideal:.0f} IOPS"
    result.floor(goal, ours, 0.75 * ideal, "IOPS")
    result.at_least(ours, 3, series.get("rclone best"), "rclone's best")
    result.limit("bytes fetched ≤ 4 × bytes asked", max(ratios), 4, "×")


def _dmfs(bench: Bench, service: Service, seconds: float, ratios: list[float]) -> float:
    with bench.dmfs(service) as drive:
        drive.list("big")
        # The file is signed and known, as it is to a program that works in it.
        run(["head", "-c1", "--", drive.file(_FILE)], 30)
        service.emulator.reset()
        reads, iops = _randomly(drive, seconds)
        _, _, fetched = service.counts()
        ratios.append(fetched / (reads * _COLD_BLOCK))
    return iops


def _rclone(bench: Bench, url: str, flags: Sequence[str], seconds: float) -> float:
    with bench.rclone(url, flags) as drive:
        drive.list("big")
        return _randomly(drive, seconds)[1]


def _randomly(drive: Drive, seconds: float) -> tuple[int, float]:
    """Reads done, and a second."""
    found = reader(
        "randomly", seconds + 60, path=drive.file(_FILE), size=_COLD_SIZE, block=_COLD_BLOCK,
        threads=_READERS, seconds=seconds, seed=seed_of(_FILE),
    )  # fmt: skip
    if found["wrong"]:
        raise CommandFailed(f"WRONG BYTES at {found['wrong']}")
    return found["reads"], found["reads"] / found["seconds"]


@row("rand-4k", "4 KiB random O_DIRECT by fio: disk cache (page cache dropped), then memory")
def rand_4k(bench: Bench, result: Result) -> None:
    if not bench.tools.has("fio"):
        raise CommandFailed("needs fio")
    seconds = 3 if bench.quick else 5
    plain = bench.places.fresh("plain") / "copy"
    world = f"big:size={_KEPT_SIZE},count=1"
    with (
        bench.service(world, LOCAL, shelf=False) as service,
        bench.dmfs(service) as drive,
    ):
        drive.list("big")
        ours = drive.file(_FILE)
        dd(ours, _KEPT_SIZE)
        run(["cp", "--", ours, str(plain)], 60)
        disk = bench.alternate(result, "IOPS", {
            "dmfs, disk": lambda: _fio(bench, ours, seconds, cold=True),
            "limit: disk": lambda: _fio(bench, str(plain), seconds, cold=True),
        })  # fmt: skip
        _into_memory(drive)
        memory = bench.alternate(
            result, "IOPS", {"dmfs, memory": lambda: _fio(bench, ours, seconds, cold=False)}
        )
    result.floor("disk cache ≥ 4 000 IOPS", disk["dmfs, disk"].median, 4000, "IOPS")
    result.floor("memory ≥ 15 000 IOPS", memory["dmfs, memory"].median, 15000, "IOPS")


def _into_memory(drive: Drive) -> None:
    """The cache file's pages in memory, those of the mount not (O_DIRECT passes them anyway).
    dmfs reads streams past them, so the file that it has open is read here."""
    open_files = {str(each.readlink()) for each in Path(f"/proc/{drive.pid}/fd").iterdir()}
    (kept,) = [each for each in open_files if f"/{DIRECTORY}/data/" in each]
    dd(kept, _KEPT_SIZE)


def _fio(bench: Bench, path: str, seconds: int, *, cold: bool) -> float:
    if cold:
        drop_page_cache()
    done = run(
        [
            bench.tools["fio"], "--name=random", f"--filename={path}", "--readonly",
            "--rw=randread", "--bs=4k", "--direct=1", "--ioengine=psync", "--numjobs=1",
            "--norandommap", "--randrepeat=0", "--time_based", f"--runtime={seconds}",
            "--output-format=json", "--invalidate=0",
        ],
        seconds + 60,
    )  # fmt: skip
    text = done.stdout.decode()
    return float(json.loads(text[text.index("{") :])["jobs"][0]["read"]["iops"])

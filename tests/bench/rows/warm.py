"""warm-disk and warm-ram: a second read of a file that is in the disk cache."""

from __future__ import annotations

import shutil

from tests.bench import rivals
from tests.bench.context import Bench
from tests.bench.drives import Drive
from tests.bench.machine import drop_page_cache
from tests.bench.measure import GIB, dd, expect_sha256
from tests.bench.processes import CommandFailed
from tests.bench.registry import row
from tests.bench.results import Result
from tests.bench.service import LOCAL, Service

_FILE = "big/big-00.bin"


@row("warm-disk", "1 GiB re-read, page cache dropped")
def warm_disk(bench: Bench, result: Result) -> None:
    if not drop_page_cache():
        raise CommandFailed("the page cache can be dropped by root only")
    _contest(bench, result, 0.75, cold=True)


@row("warm-ram", "1 GiB re-read, page cache kept")
def warm_ram(bench: Bench, result: Result) -> None:
    _contest(bench, result, 0.9, cold=False)


def _contest(bench: Bench, result: Result, factor: float, *, cold: bool) -> None:
    """dmfs, rclone and a plain copy on the same disk. The link is a fast one: it only fills."""

    def read(path: str) -> float:
        if cold:
            drop_page_cache()
        return dd(path, size)

    size = GIB // 2 if bench.quick else GIB
    plain = bench.places.fresh("plain") / "copy"
    world = f"big:size={size},count=1"
    with bench.service(world, LOCAL) as service, bench.dmfs(service) as drive:
        _fill(drive, service)
        shutil.copyfile(drive.file(_FILE), plain)
        # Read, not only written: pages come in other sizes from a write.
        drop_page_cache()
        dd(str(plain), size)
        dd(drive.file(_FILE), size)
        service.emulator.reset()
        ours = drive.file(_FILE)
        contestants = {"dmfs": lambda: read(ours), "limit: plain copy": lambda: read(str(plain))}
        if bench.tools.has("rclone"):
            with bench.rclone(service.shelf_url, rivals.WARM["full, 16×8M, 128M ahead"]) as rival:
                _fill(rival, service)
                theirs = rival.file(_FILE)
                contestants["rclone full"] = lambda: read(theirs)
                series = bench.alternate(result, "MB/s", contestants)
        else:
            series = bench.alternate(result, "MB/s", contestants)
        _, gets, fetched = service.counts()
    result.at_least(
        series["dmfs"].median, factor, series["limit: plain copy"], "a plain copy on the same disk"
    )
    result.check("nothing fetched again", f"{gets} GETs, {fetched} bytes", met=gets == 0)


def _fill(drive: Drive, service: Service) -> None:
    drive.list("big")
    size = service.files[_FILE].size
    expect_sha256(drive.file(_FILE), size, service.sha256(_FILE))

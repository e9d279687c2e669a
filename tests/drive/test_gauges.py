"""The one view of all counters: exact numbers of what a drive without a mount has done."""

from __future__ import annotations

from collections.abc import Callable

from dmfs.assembly import open_drive
from dmfs.config import Settings
from dmfs.emulator.process import EmulatorProcess
from dmfs.model import File
from tests.support.helpers import real

FOLDER = "/Bench/Bench Project/Project Files"


@real
async def test_every_counter_shows_in_one_view(
    emulator: EmulatorProcess, settings: Callable[..., Settings]
) -> None:
    item = emulator.change("add_item", path=FOLDER[1:], name="counted.bin", size=300_000)
    async with open_drive(settings()) as drive:
        folder = await drive.resolve(FOLDER)
        assert not isinstance(folder, File)
        emulator.reset()
        before = drive.gauges()
        listing = await drive.list(folder)  # type: ignore[arg-type] # a folder: see above
        await drive.list(folder)  # type: ignore[arg-type]
        file = listing.entries["counted.bin"]
        assert isinstance(file, File)
        assert file.storage_id == item["versions"][-1]["storage"]
        reader = await drive.open(file)
        assert len((await reader.read(0, 131_072))[0]) == 131_072
        assert reader.read_now(0, 4096) is not None
        reader.close()
        drive.count_request("read", "ok", 0.02)
        drive.count_request("read", "EIO", 40.0)
        drive.add_gauges(lambda: {"of.a.door": 7})
        gauges = drive.gauges()

    def risen(name: str) -> int:
        return gauges.get(name, 0) - before.get(name, 0)

    calls = emulator.counts()
    assert risen("calls.contents.ok") == calls["contents"] == 1
    assert risen("calls.sign.ok") == calls["sign"] == 1
    assert risen("listings.misses") == 1
    assert risen("listings.fresh_hits") == 1
    assert risen("fetch.bytes") == 300_000
    assert risen("fetch.gets_ok") == 1
    assert (gauges["requests.read.ok"], gauges["requests.read.EIO"]) == (1, 1)
    assert drive.histograms() == {"read": ((0, 0, 1, 0, 0, 0, 0, 0, 1), 40.02)}
    assert gauges["of.a.door"] == 7
    assert all(isinstance(value, int) for value in gauges.values())

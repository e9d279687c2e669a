"""A drive that many processes read, map, walk and stat at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.hostile import reader
from tests.hostile.busy import FOLDER, WORLD
from tests.hostile.measure import gauges, peak_while, report
from tests.support.mounts import Drive, wait_until

pytestmark = pytest.mark.mount

LOAD_S = float(os.environ.get("DMFS_LOAD_S", "8"))
PROCESSES = int(os.environ.get("DMFS_LOAD_PROCESSES", "64"))
AT_REST = (
    "flying", "gets", "pins", "slots", "users", "files", "directories", "saving", "disk_calls",
)  # fmt: skip
"""Gauges that are 0 on an idle drive."""
RSS_MAX = 300 << 20
DATA_TIMEOUT_S = 60


@pytest.fixture(scope="module")
def world_spec() -> str:
    return WORLD


@pytest.mark.timeout(240 + 2 * LOAD_S)
def test_many_processes_at_once(calm, make_drive, tmp_path):
    drive = make_drive(
        name="load", log_level="info", config={"ttl": "2s", "memory_budget": "64MiB"}
    )
    tiles = tmp_path / "tiles"
    tiles.mkdir()
    names = [f"big/big-0{n}.bin" for n in range(3)]
    names += [f"small/small-{n:05}.txt" for n in range(60)]
    sizes = {}
    for name in names:
        path = drive.path(FOLDER, name)
        storage = drive.call("getxattr", path, "user.dmfs.storage_id").decode()
        sizes[name] = drive.call("stat", path).st_size
        tile = calm.bytes(storage, 0, min(reader.TILE, sizes[name]))
        (tiles / name.replace("/", "_")).write_bytes(tile)
    (tiles / "sizes.json").write_text(json.dumps(sizes))
    before = gauges(drive)
    children = [
        subprocess.Popen(
            [sys.executable, "-IS", reader.__file__, drive.path(FOLDER), str(tiles), str(LOAD_S),
             str(seed)],
            stdout=subprocess.PIPE,
        )
        for seed in range(PROCESSES)
    ]  # fmt: skip
    assert drive.process is not None
    try:
        peak = peak_while(
            drive.process.pid, lambda: any(child.poll() is None for child in children)
        )
        results = [json.loads(child.communicate(timeout=60)[0]) for child in children]
    finally:
        for child in children:
            if child.poll() is None:
                child.kill()
                child.wait()
    after = _at_rest(drive)
    print("load", {key: sum(each[key] for each in results) for key in ("operations", "bytes")})
    print("gauges", before, after, "peak", peak >> 20, "MiB")
    assert [each["errors"] for each in results] == [[]] * PROCESSES
    assert sum(each["wrong"] for each in results) == 0
    assert all(each["operations"] for each in results)
    assert max(each["slowest"] for each in results) < DATA_TIMEOUT_S
    for gauge in AT_REST:
        assert after[gauge] == 0, (gauge, after)
    assert after["memory_bytes"] <= 64 << 20
    # idle connections, the shelves of closed objects; a leak would be one for each open
    assert after["descriptors"] < before["descriptors"] + 150
    assert after["threads"] < before["threads"] + 20
    assert after["tasks"] < before["tasks"] + 20
    assert peak < RSS_MAX
    assert drive.stop() == 0
    assert "Traceback" not in drive.log()
    report(
        load_processes=PROCESSES, load_s=LOAD_S, peak_rss_mib=peak >> 20,
        load_wrong=sum(each["wrong"] for each in results),
        operations=sum(each["operations"] for each in results),
        gib=round(sum(each["bytes"] for each in results) / (1 << 30), 2),
        slowest_s=round(max(each["slowest"] for each in results), 2),
    )  # fmt: skip


def _at_rest(drive: Drive) -> dict[str, int]:
    """Gauges once nothing is under way: kernel read-ahead and releases come a little later."""
    found: dict[str, int] = {}

    def rest() -> bool:
        found.update(gauges(drive))
        return not any(found[key] for key in AT_REST)

    try:
        wait_until(rest, 20)
    except AssertionError:
        pass  # the caller checks gauge by gauge
    return found

"""The yardstick itself: ratios, verdicts, rows, and that a run cleans up after itself."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dmfs.emulator.world.content import Computed, read
from tests.bench import passes, rivals
from tests.bench import rows as _rows  # noqa: F401 - enters them
from tests.bench.drives import is_mounted
from tests.bench.growth import trace_of
from tests.bench.keeping import EVERYTHING, NOTHING
from tests.bench.machine import disk_mb_per_s, python_ns_per_step
from tests.bench.markdown import table
from tests.bench.registry import ROWS
from tests.bench.results import Result, Series, short
from tests.bench.service import LOCAL, service
from tests.bench.webserver import seed_of
from tests.support.mounts import mount_table, why_no_mounts

_ROOT = Path(__file__).resolve().parents[2]
_ISSUE_5 = (
    "seq-cold seq-raw seq-tls seq-many slow-disk warm-disk warm-ram first-byte rand-cold rand-4k "
    "snappy small-one small small-limited zip memory start"
)
_SAVING = (
    "save-seq save-4k upload upload-line upload-small writeback upload-memory read-beside-upload"
    " ls-beside-copy"
)


def test_every_row_of_the_issue_is_there_in_its_order():
    assert list(ROWS) == [*_ISSUE_5.split(), "find", "fsspec", *_SAVING.split()]


def test_a_ratio_is_of_medians_and_its_goal_is_inclusive():
    result = Result("row", "")
    result.at_least(85.0, 0.85, Series("limit", "MB/s", [90.0, 100.0, 400.0]), "the limit")
    result.at_least(84.0, 0.85, Series("limit", "MB/s", [100.0]), "the limit")
    result.at_least(84.0, 0.85, None, "a rival that is not installed")
    assert [verdict.met for verdict in result.verdicts] == [True, False, None]
    assert result.verdicts[0].figure == "0.85 ×"


def test_cpu_is_compared_the_other_way_round():
    result = Result("row", "")
    ours = Series("dmfs, CPU", "CPU-s/GiB", [1.0, 1.2, 1.4])
    result.at_most(ours, 1, Series("rclone, CPU", "CPU-s/GiB", [1.2]), "rclone's CPU")
    result.at_most(ours, 1, Series("rclone, CPU", "CPU-s/GiB", [1.1]), "rclone's CPU")
    result.at_most(ours, 1, None, "a rival that is not installed")
    assert [verdict.met for verdict in result.verdicts] == [True, False, None]
    assert result.verdicts[1].goal == "≤ 1 × rclone's CPU"


def test_who_keeps_nothing_is_compared_with_who_keeps_nothing():
    for candidates in (rivals.SEQUENTIAL, rivals.LOCAL):
        off, full = NOTHING.of(candidates), EVERYTHING.of(candidates)
        assert off
        assert full
        assert off | full == candidates
        assert not set(off) & set(full)
    assert NOTHING.settings == {"cache_size": "0"}


def test_a_row_of_another_pass_comes_back_whole():
    result = Result("seq-raw", "work", [Series("dmfs", "MB/s", [1.0, 3.0])], notes=["said"])
    result.limit("≤ 8 MiB fetched", 4.6, 8, "MiB")
    assert Result.of_dict(json.loads(json.dumps(result.as_dict()))) == result


def test_half_the_cpu_is_a_quota_of_half_of_all_processors(tmp_path, monkeypatch):
    (tmp_path / "cgroup.procs").touch()
    monkeypatch.setattr(passes, "_V1", tmp_path)
    monkeypatch.setattr(passes, "_STOP_S", 0)
    with passes.half_cpu() as members:
        period_us = int((members.parent / "cpu.cfs_period_us").read_text())
        quota_us = int((members.parent / "cpu.cfs_quota_us").read_text())
        assert quota_us / period_us == (os.cpu_count() or 1) / 2


def test_where_there_is_no_quota_it_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(passes, "_V1", tmp_path / "none")
    monkeypatch.setattr(passes, "_V2", tmp_path)
    for controllers, words in ((None, "no cgroup"), ("memory", "cpu controller")):
        if controllers is not None:
            (tmp_path / "cgroup.controllers").write_text(controllers)
        with pytest.raises(passes.PassImpossible, match=words), passes.half_cpu():
            pass


def test_a_machine_tells_its_speeds(tmp_path):
    assert 1 < python_ns_per_step() < 10_000
    assert disk_mb_per_s(tmp_path) >= 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (0.1234, "0.12"), (12.34, "12.3"), (1234.5, "1234")]
)
def test_figures_have_three_digits_that_count(value, text):
    assert short(value) == text


def test_the_bytes_that_nginx_serves_are_the_emulators(tmp_path):
    with service("big:size=3000000,count=12", LOCAL, tmp_path / "log", shelf=False) as running:
        for path in ("big/big-00.bin", "big/big-11.bin"):
            truth = running.emulator.bytes(running.files[path].storage, 2_000_000, 1000)
            ours = read(Computed(seed_of(path), 3_000_000), 2_000_000, 2_001_000)
            assert ours == truth


def test_a_stream_gets_a_window_and_random_readers_get_none():
    assert max(trace_of("", "front").ahead_mib) > 64
    assert max(trace_of("", "random").ahead_mib) < 8


def test_the_table_of_a_run_is_markdown():
    result = Result("zip", "one member", [Series("dmfs", "s", [1.0, 3.0])])
    result.limit("≤ 8 MiB fetched", 4.6, 8, "MiB")
    machine = {
        "cpu": "CPU", "cpus": 2, "memory_gib": 24, "kernel": "6.18", "load_at_start": 0.5,
        "load_at_end": 1.0, "disk_mb_per_s": 600, "python_ns_per_step": 45.5,
    }  # fmt: skip
    run = {
        "date": "today", "commit": "abc", "rounds": 2, "machine": machine,
        "versions": {"rclone": "rclone v1.75.2"}, "rows": [result.as_dict()],
    }  # fmt: skip
    text = table(json.loads(json.dumps(run)))
    assert "| zip | dmfs 2.00 s (1.00–3.00) | ≤ 8 MiB fetched | 4.60 MiB | met |" in text
    assert "rclone 1.75.2" in text
    assert "disk 600 MB/s (dd oflag=direct), Python 45.5 ns a step" in text


@pytest.mark.mount
@pytest.mark.slow
def test_a_run_that_is_told_to_end_leaves_nothing_behind(tmp_path):
    if why_no_mounts():
        pytest.skip(why_no_mounts())
    command = [sys.executable, "-P", "-m", "tests.bench", "--row", "zip", f"--disk={tmp_path}"]
    environ = os.environ | {"PYTHONPATH": str(_ROOT)}
    with subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL) as run:
        mine: list[str] = []
        give_up = time.monotonic() + 60
        while not mine and time.monotonic() < give_up and run.poll() is None:
            time.sleep(0.05)
            mine = [row[1] for row in mount_table() if row[1].startswith(str(tmp_path))]
        run.send_signal(signal.SIGTERM)
        run.wait(60)
    assert mine, "it never mounted"
    assert not is_mounted(Path(mine[0]))
    assert list(tmp_path.iterdir()) == []

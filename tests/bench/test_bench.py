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
from tests.bench import rows  # noqa: F401 - enters them
from tests.bench.drives import is_mounted
from tests.bench.growth import trace_of
from tests.bench.markdown import table
from tests.bench.registry import ROWS
from tests.bench.results import Result, Series, short
from tests.bench.service import LOCAL, service
from tests.bench.webserver import seed_of
from tests.support.mounts import mount_table, why_no_mounts

_ROOT = Path(__file__).resolve().parents[2]
_ISSUE_5 = (
    "seq-cold seq-raw seq-tls seq-many warm-disk warm-ram first-byte rand-cold rand-4k snappy "
    "small-one small small-limited zip memory start"
)


def test_every_row_of_the_issue_is_there_in_its_order():
    assert list(ROWS) == _ISSUE_5.split()


def test_a_ratio_is_of_medians_and_its_goal_is_inclusive():
    result = Result("row", "")
    result.at_least(85.0, 0.85, Series("limit", "MB/s", [90.0, 100.0, 400.0]), "the limit")
    result.at_least(84.0, 0.85, Series("limit", "MB/s", [100.0]), "the limit")
    result.at_least(84.0, 0.85, None, "a rival that is not installed")
    assert [verdict.met for verdict in result.verdicts] == [True, False, None]
    assert result.verdicts[0].figure == "0.85 ×"


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
        "load_at_end": 1.0,
    }  # fmt: skip
    run = {
        "date": "today", "commit": "abc", "rounds": 2, "machine": machine,
        "versions": {"rclone": "rclone v1.75.2"}, "rows": [result.as_dict()],
    }  # fmt: skip
    text = table(json.loads(json.dumps(run)))
    assert "| zip | dmfs 2.00 s (1.00–3.00) | ≤ 8 MiB fetched | 4.60 MiB | met |" in text
    assert "rclone 1.75.2" in text


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

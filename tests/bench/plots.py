"""The plots of ``docs/performance.md``: ``scripts/bench --plots``."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from tests.bench import rivals
from tests.bench.context import Bench
from tests.bench.growth import Trace, trace_of
from tests.bench.measure import MIB, dd
from tests.bench.results import short
from tests.bench.rows.cold import aria2c
from tests.bench.service import EMULATED, Link

_LATENCIES_MS = (0.0, 10.0, 30.0, 60.0, 100.0)
_FILE = "big/big-00.bin"
_SIZE = 512 * MIB
_TRIES = 2
"""The better of two: a plot of what the design gives, not of the machine's noise."""


def draw_all(bench: Bench, folder: Path) -> None:
    mpl.rcParams["svg.hashsalt"] = "dmfs"  # the same picture is the same file
    window_growth(folder / "window-growth.svg")
    throughput(bench, folder / "throughput-latency.svg")


def window_growth(path: Path) -> None:
    """How far ahead of its reader a file is fetched, from the planner alone."""
    figure, axes = plt.subplots(figsize=(8, 4.5))
    traces: tuple[Trace, ...] = (
        trace_of("from the top, 128 KiB reads", "front"),
        trace_of("seek 400 MB ahead at 128 MiB", "seek"),
        trace_of("here and there", "random"),
    )
    for trace in traces:
        axes.plot(trace.read_mib, trace.ahead_mib, label=trace.name)
    axes.set_xlabel("MiB that the reader has read")
    axes.set_ylabel("MiB fetched or on their way ahead of it")
    axes.set_title("Window growth of dmfs.plan.Planner (30 ms, 50 MB/s a connection)")
    axes.legend()
    _save(figure, path)


def throughput(bench: Bench, path: Path) -> None:
    """Sequential cold reads against the latency to the first byte."""
    lines: dict[str, list[float]] = {}
    for latency_ms in _LATENCIES_MS:
        link = Link(EMULATED.api_ms, latency_ms, EMULATED.mb_per_s)
        for name, speed in _speeds(bench, link).items():
            lines.setdefault(name, []).append(speed)
        bench.say(
            f"{latency_ms:.0f} ms: "
            + ", ".join(f"{name} {short(figures[-1])} MB/s" for name, figures in lines.items())
        )
    figure, axes = plt.subplots(figsize=(8, 4.5))
    for name, speeds in lines.items():
        axes.plot(_LATENCIES_MS, speeds, marker="o", label=name)
    axes.set_xlabel("ms to the first byte (the API takes 100 ms a call)")
    axes.set_ylabel("MB/s, cold, 512 MiB, dd bs=1M")
    axes.set_ylim(bottom=0)
    axes.set_title("Throughput against latency, 50 MB/s a connection")
    axes.legend()
    _save(figure, path)


def _speeds(bench: Bench, link: Link) -> dict[str, float]:
    figures: dict[str, float] = {}

    def enter(name: str, figure: float) -> None:
        figures[name] = max(figure, figures.get(name, 0.0))

    with bench.service(f"big:size={_SIZE},count=1", link) as service:
        for _ in range(_TRIES):
            with bench.dmfs(service) as drive:
                drive.list("big")
                enter("dmfs", dd(drive.file(_FILE), _SIZE))
            if bench.tools.has("rclone"):
                flags = rivals.SEQUENTIAL["off, 16×8M"]
                with bench.rclone(service.shelf_url, flags) as drive:
                    drive.list("big")
                    enter("rclone, 16 streams of 8 MiB", dd(drive.file(_FILE), _SIZE))
            if bench.tools.has("aria2c"):
                enter("aria2c -x16 (no mount)", aria2c(bench, service.url(_FILE), _SIZE))
        if bench.tools.has("rclone"):
            with bench.rclone(service.shelf_url, rivals.DEFAULTS) as drive:
                drive.list("big")
                enter("rclone, defaults", dd(drive.file(_FILE), _SIZE // 4))
    return figures


def _save(figure: Figure, path: Path) -> None:
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)

"""The panels of the dashboard, filled by a real Prometheus from a real mount: docs/metrics.svg."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.support.mounts import Drive, start_emulator, stop_emulator, wait_until

ROOT = Path(__file__).resolve().parents[2]
LOAD_S = 120
STEP_S = 2
WORLD = (
    "tree:folders=420,files=900,depth=5"
    "+small:files=400,min=20000,max=900000"
    "+big:size=150000000,count=3"
)
FILES = "Bench/Bench Project/Project Files"
CONFIG: dict[str, object] = {
    "rates": "", "cache_size": "250M", "data_timeout": "5s", "metadata_timeout": "15s",
    "memory_budget": "64M", "ttl": "20s",
}  # fmt: skip
FORMATS: dict[str, Callable[[float], str]] = {
    "percentunit": lambda value: f"{value:.0%}",
    "bytes": lambda value: f"{value / 1e6:.0f} MB",
    "Bps": lambda value: f"{value / 1e6:.0f} MB/s",
    "reqps": lambda value: f"{value:g}/s",
    "s": lambda value: f"{value:g} s",
}


def main(words: list[str]) -> None:
    """Run the load, draw the panels."""
    output = Path(words[0]) if words else ROOT / "docs/metrics.svg"
    dashboard = json.loads((ROOT / "docs/grafana-dashboard.json").read_text("utf-8"))
    with tempfile.TemporaryDirectory(prefix="dmfs-metrics-") as name:
        directory = Path(name)
        emulator = start_emulator(world=WORLD)
        emulator.settings(api_latency_ms=60, cdn_latency_ms=30, cdn_bytes_per_s=30_000_000)
        port = _free_port()
        config = CONFIG | {"metrics": f"127.0.0.1:{port}"}
        try:
            with (
                Drive(directory, emulator, config=config, log_level="info") as drive,
                _prometheus(directory, port) as url,
            ):
                began = time.time()
                _load(drive, LOAD_S)
                _draw(dashboard, url, (began, time.time()), output)
        finally:
            stop_emulator(emulator)
    print(f"drawn: {output}")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


@contextlib.contextmanager
def _prometheus(directory: Path, target: int) -> Iterator[str]:
    config, port = directory / "prometheus.yml", _free_port()
    config.write_text(
        f"global: {{scrape_interval: {STEP_S}s, scrape_timeout: {STEP_S}s}}\n"
        "scrape_configs:\n"
        "  - job_name: dmfs\n"
        f"    static_configs: [{{targets: ['127.0.0.1:{target}']}}]\n"
    )
    words = [
        "prometheus", f"--config.file={config}", f"--web.listen-address=127.0.0.1:{port}",
        f"--storage.tsdb.path={directory / 'tsdb'}", "--log.level=error",
    ]  # fmt: skip
    process = subprocess.Popen(words)
    url = f"http://127.0.0.1:{port}"

    def scrapes() -> bool:
        try:
            return bool(_ask(f"{url}/api/v1/query", query="dmfs_up"))
        except OSError:
            return False

    try:
        wait_until(scrapes, 30, "a first scrape")
        yield url
    finally:
        process.terminate()
        process.wait(20)


def _load(drive: Drive, seconds: float) -> None:
    """Five programs: one walks, one streams, one reads many small files, one reads the same again,
    and one looks at names that are not there; the storage fails for a while."""
    ends = time.monotonic() + seconds
    point = drive.path(FILES)

    def again(*words: str, pause_s: float = 0.2, after_s: float = 0.0) -> None:
        time.sleep(after_s)
        while (left := ends - time.monotonic()) > 0:
            with contextlib.suppress(subprocess.TimeoutExpired):
                subprocess.run(words, capture_output=True, timeout=left + 1, check=False)
            time.sleep(pause_s)

    # past the kernel's page cache, which would answer all but the first round
    whole = f"cd '{point}'; for f in %s; do dd if=$f of=/dev/null bs=%s iflag=direct; done"
    shell = ["sh", "-c"]
    programs = [
        lambda: again("find", point, pause_s=5.0),
        lambda: again(*shell, whole % ("big/*", "1M"), pause_s=3.0, after_s=20.0),
        lambda: again(*shell, whole % ("small/*", "128k"), pause_s=2.0, after_s=5.0),
        lambda: again(*shell, whole % ("small/*-00*1*", "128k"), pause_s=0.5, after_s=30),
        lambda: again("stat", f"{point}/absent", pause_s=0.3),
    ]
    threads = [threading.Thread(target=each, daemon=True) for each in programs]
    for each in threads:
        each.start()
    time.sleep(seconds * 0.6)
    drive.emulator.fault("status", origin="cdn", times=None, status=403)
    drive.emulator.fault("status", route="sign", times=10, status=503)
    time.sleep(seconds * 0.15)
    drive.emulator.clear_faults()
    for each in threads:
        each.join(seconds)


def _ask(url: str, **parameters: Any) -> Any:
    with urllib.request.urlopen(f"{url}?{urllib.parse.urlencode(parameters)}", timeout=20) as got:
        return json.load(got)["data"]["result"]


def _draw(dashboard: Any, url: str, span: tuple[float, float], output: Path) -> None:
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt
    from matplotlib.ticker import FuncFormatter

    mpl.rcParams |= {"svg.hashsalt": "dmfs", "svg.fonttype": "none", "font.size": 7.5}
    panels = dashboard["panels"]
    figure, places = plt.subplots(-(-len(panels) // 3), 3, figsize=(13, 2.3 * -(-len(panels) // 3)))
    for panel, place in zip(panels, places.flat, strict=False):
        defaults = panel["fieldConfig"]["defaults"]
        lines = list(_lines(panel, url, span))
        if defaults["custom"]["stacking"]["mode"] == "normal" and lines:
            moments = sorted({moment for _, row in lines for moment in row})
            heights = [[row.get(moment, 0.0) for moment in moments] for _, row in lines]
            place.stackplot(moments, heights, labels=[label for label, _ in lines], alpha=0.7)
        else:
            for label, row in lines:
                place.plot(list(row), list(row.values()), label=label, linewidth=1.1)
        place.set_title(panel["title"], fontsize=9, loc="left")
        place.set_xlim(0, span[1] - span[0])
        place.set_ylim(0, defaults.get("max"))
        place.grid(alpha=0.3)
        place.yaxis.set_major_formatter(FuncFormatter(_formatter(defaults["unit"])))
        place.spines[["top", "right"]].set_visible(False)
        if lines:
            place.legend(fontsize=6, ncols=2, loc="upper left", framealpha=0.6)
    for place in places.flat[len(panels) :]:
        place.set_visible(False)
    figure.supxlabel("seconds", fontsize=8)
    figure.tight_layout()
    figure.savefig(output, metadata={"Date": None})


def _formatter(unit: str) -> Callable[[float, int], str]:
    words = FORMATS.get(unit, lambda value: f"{value:g}")
    return lambda value, _: words(value)


def _lines(
    panel: Any, url: str, span: tuple[float, float]
) -> Iterator[tuple[str, dict[float, float]]]:
    """Label and values by moment of each series that a panel asks for."""
    for target in panel["targets"]:
        query = target["expr"].replace("$__rate_interval", f"{6 * STEP_S}s")
        query = query.replace("$instance", ".*").replace("$job", "dmfs")
        found = _ask(
            f"{url}/api/v1/query_range", query=query, start=span[0], end=span[1], step=STEP_S
        )
        for each in found:
            label = target["legendFormat"]
            for name in re.findall(r"{{(\w+)}}", label):
                label = label.replace(f"{{{{{name}}}}}", each["metric"].get(name, ""))
            yield (
                label,
                {
                    moment - span[0]: float(value)
                    for moment, value in each["values"]
                    if value != "NaN"
                },
            )


if __name__ == "__main__":
    main(sys.argv[1:])

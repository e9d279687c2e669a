"""Pictures of ``dmfs status`` and ``dmfs top`` at work, for the README: a mount, five programs and
an emulator of 4 MB/s a connection. ``python -m tests.bench.screens DIRECTORY``."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.text import Text

from dmfs.cli.control.top_frame import frame
from dmfs.control.cards import stem_of
from dmfs.control.client import ask
from tests.support.fixtures import running_emulator
from tests.support.mounts import Drive

ACCOUNT = "Emulated Builders \uff0f Headquarters"
PROJECT = f"{ACCOUNT}/Sample Project/Project Files"
COLUMNS, LINES = 92, 24
WORK_S = 4.0


def main(directory: Path) -> None:
    """Write ``status.svg`` and ``top.svg``."""
    options = {"cdn_latency_ms": 80, "cdn_mb_per_s": 4, "api_latency_ms": 300}
    with (
        running_emulator(world="sample", **options) as emulator,
        tempfile.TemporaryDirectory() as at,
    ):
        config = {"rates": ""}
        home = Path(at)
        with Drive(home, emulator, config=config, log_level="info") as drive:
            socket = drive.home.state / "run" / f"{stem_of(str(drive.point))}.sock"
            programs = [
                subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                for words in (
                    ["cp", drive.path(PROJECT, "Large Files", "Tower.rvt"), f"{at}/copy"],
                    ["sha256sum", drive.path(PROJECT, "Large Files", "Site scan.zip")],
                    ["head", "-c", "500M", drive.path(PROJECT, "Large Files", "pointcloud.rcs")],
                    ["find", drive.path(ACCOUNT), "-name", "*.dwg"],
                    ["grep", "-rl", "IFCWALL", drive.path(PROJECT, "Models")],
                )
            ]
            try:
                time.sleep(WORK_S)
                before, began = ask(socket, os.getuid(), "/v1/status"), time.monotonic()
                time.sleep(1)
                now, took_s = ask(socket, os.getuid(), "/v1/status"), time.monotonic() - began
                status = drive.home.run("status").stdout.decode()
            finally:
                for each in programs:
                    each.kill()
                    each.wait()
    top = Text(no_wrap=True, overflow="crop")
    for line in frame(before, now, took_s, COLUMNS, LINES):
        top.append(line.text + "\n", line.style)
    shown = Text(status, end="")
    shown.highlight_regex(r"(?m)^  \w+ ", "bold cyan")
    shown.highlight_regex(r"(?m)^/.*$", "bold")
    place = str(drive.point)
    save(directory / "top.svg", "dmfs top", _renamed(top, place))
    save(directory / "status.svg", "dmfs status", _renamed(shown, place))


def _renamed(text: Text, place: str) -> Text:
    """With the mountpoint that a person would have."""
    found = text.plain.find(place)
    while found >= 0:
        text = text[:found] + Text("/home/ada/Autodesk", style="bold") + text[found + len(place) :]
        found = text.plain.find(place)
    return text


def save(path: Path, title: str, text: Text) -> None:
    """Draw a terminal."""
    with Path("/dev/null").open("w") as nowhere:
        console = Console(record=True, width=COLUMNS, file=nowhere, force_terminal=True)
        console.print(text, no_wrap=title == "dmfs top")
        drawn = console.export_svg(title=title)
    # its fonts are fetched from elsewhere; the reader's own do
    path.write_text(re.sub(r"@font-face \{.*?\}\n", "", drawn, flags=re.DOTALL), "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""A picture of a session at a terminal, for the README: each command is run, and what it printed is
shown, line after line. ``python -m tests.bench.session DIRECTORY``."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.text import Text

from tests.bench.screens import save
from tests.support.fixtures import running_emulator
from tests.support.mounts import Drive, dmfs_command

COMMANDS = (
    'cd ~/Autodesk/*/"Sample Project/Project Files"',
    "ls -sh --block-size=MB 'Large Files'",
    "unzip -l 'Large Files/Site scan.zip' | tail -n 1",
    "grep -c IFCWALL Models/*.ifc",
    "dmfs find . -name '*.dxf'",
    "dmfs status ~/Autodesk",
)
SECONDS_A_LINE = 0.45


def main(directory: Path) -> None:
    """Write ``session.svg``."""
    with (
        running_emulator(world="sample") as emulator,
        tempfile.TemporaryDirectory() as at,
        Drive(Path(at), emulator, config={}, log_level="info") as drive,
    ):
        shown = session(drive)
    save(directory / "session.svg", "a drive", shown)
    animate(directory / "session.svg")


def session(drive: Drive) -> Text:
    """All commands in one shell, each behind its prompt."""
    place = Path(drive.home.directory) / "home/Autodesk"
    place.parent.mkdir(exist_ok=True)
    place.symlink_to(drive.point)
    text = Text().append("$ dmfs mount / ~/Autodesk\n", style="bold")
    mark = "=== next ==="
    script = f"; echo '{mark}'; ".join(COMMANDS)
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, check=True, cwd=place.parent,
        env={**drive.home.environment(), "HOME": str(place.parent),
             "PATH": f"{Path(dmfs_command()[0]).parent}:/usr/bin:/bin"},
    )  # fmt: skip
    answers = done.stdout.decode().split(f"{mark}\n")
    for command, answer in zip(COMMANDS, answers, strict=True):
        text.append(f"$ {command}\n", style="bold")
        text.append(re.sub(f"{place}|{drive.point}", "~/Autodesk", answer))
    return text


def animate(path: Path) -> None:
    """Lines appear one after the other; where nothing moves, all of them are there."""
    drawn = path.read_text("utf-8")

    def delayed(match: re.Match[str]) -> str:
        after_s = SECONDS_A_LINE * int(match[1])
        return f'{match[0]}style="animation:appear 0.2s {after_s:.2f}s backwards" '

    drawn = re.sub(r'<text (?=[^>]*clip-path="url\(#[\w-]*-line-(\d+)\)")', delayed, drawn)
    style = "@keyframes appear { from { opacity: 0 } to { opacity: 1 } }\n"
    path.write_text(drawn.replace("<style>\n", f"<style>\n{style}", 1), "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

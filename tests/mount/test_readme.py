"""What the README and the page of the control plane tell to type works.

A fenced ``sh`` block directly below the line ``<!-- tested -->`` is run as one script by
``bash -euo pipefail``, in an empty home directory, against an emulator: HOME is a directory of the
test's own, the installed command is on PATH, ``DMFS_API_URL``, ``DMFS_CLIENT_ID`` and
``DMFS_CLIENT_SECRET`` are set. Each block stands for itself and cleans up after itself.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.mounts import Home, force_unmount, mounts_below, processes_of_session, wait_until

ROOT = Path(__file__).parents[2]
DOCS = [ROOT / "docs" / f"{name}.md" for name in ("control", "links", "moments")]
PAGES = [ROOT / "README.md", *DOCS]
TESTED = re.compile(r"^<!-- tested -->\n```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NOTES = re.compile(rb"dmfs: (as of 20|the sign-in may not search)")
"""What ``dmfs find`` says beside what it found."""


def blocks() -> list[str]:
    return [block for page in PAGES for block in TESTED.findall(page.read_text("utf-8"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_has_tested_blocks(page: Path):
    text = page.read_text("utf-8")
    assert TESTED.findall(text)
    marks = text.count("<!-- tested -->")
    assert marks == len(TESTED.findall(text)), "a mark that is not directly above a ```sh block"


@pytest.mark.parametrize("number", range(len(blocks())))
def test_block(home: Home, number: int):
    changes = dict.fromkeys(("DMFS_CONFIG", "DMFS_CACHE_DIR", "DMFS_STATE_DIR"))
    before = {pid for pid, _ in processes_of_session()}
    try:
        done = home.tool(
            "bash", "-euo", "pipefail", "-c", blocks()[number], environ=changes,
            cwd=home.directory / "home", timeout_s=100,
        )  # fmt: skip
        assert done.returncode == 0, (done.stdout + done.stderr).decode(errors="replace")
        assert [line for line in done.stderr.splitlines() if not NOTES.match(line)] == []
        assert mounts_below(home.directory) == []
        wait_until(
            lambda: not [line for pid, line in processes_of_session()
                         if pid not in before and "mount" in line], 20, "the drives end",
        )  # fmt: skip
    finally:
        for path in mounts_below(home.directory):
            force_unmount(path)

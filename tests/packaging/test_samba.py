"""A real Samba shows moments of a directory as *Previous Versions*: of a plain one, and of a
mount."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from tests.support.fixtures import drives, running_emulator
from tests.support.samba import SHARE, samba, why_no_samba
from tests.support.sample import RAW_SAMPLE, SAMPLE

ROOT = Path(__file__).parents[2]
has_samba = pytest.mark.usefixtures("samba_is_here")
MAY, JUNE = "@GMT-2024.05.01-00.00.00", "@GMT-2024.06.01-00.00.00"
DAY_S = 86_400


@pytest.fixture(scope="module")
def samba_is_here() -> None:
    """Looked at by a test that needs it: not when any tests are collected, in each worker."""
    if why := why_no_samba():
        pytest.skip(why)


def at_midnight(days_ago: int) -> str:
    """The name of a moment."""
    return time.strftime("@GMT-%Y.%m.%d-00.00.00", time.gmtime(time.time() - days_ago * DAY_S))


@has_samba
def test_previous_versions_of_a_plain_directory(tmp_path: Path) -> None:
    """The form of ``.snapshots`` that shadow_copy2 wants, without a drive."""
    top = tmp_path / "top"
    for moment, text in (("", "new"), (f".snapshots/{MAY}", "old"), (f".snapshots/{JUNE}", "mid")):
        path = top / moment / "docs" / "plan.txt"
        path.parent.mkdir(parents=True)
        path.write_text(text)
    # a share that is no mountpoint must say where its snapshots are
    with samba(tmp_path, top, f"shadow:mountpoint = {top}") as share:
        assert share.moments("docs\\plan.txt") == [JUNE, MAY]
        assert share.read("docs\\plan.txt") == b"new"
        assert share.read(f"{MAY}\\docs\\plan.txt") == b"old"
        assert share.read(f"{JUNE}\\docs\\plan.txt") == b"mid"
        assert "plan.txt" in share.tell(f'ls "{MAY}\\docs\\*"')


@has_samba
@pytest.mark.mount
def test_previous_versions_of_a_drive(tmp_path: Path) -> None:
    """A file of 20 days with a second version of 5, and one that was deleted since: by a share of
    the whole drive, and by one of a folder deep in it."""
    now_s = time.time()
    folder = f"{RAW_SAMPLE}/Documents"
    with running_emulator() as emulator, drives(tmp_path, emulator) as make:
        emulator.changes(
            {"op": "add_item", "path": folder, "name": "plan.txt", "text": "old\n",
             "at": now_s - 20 * DAY_S, "as": "plan"},
            {"op": "new_version", "on": "plan", "text": "new and longer\n",
             "at": now_s - 5 * DAY_S},
            {"op": "add_item", "path": folder, "name": "gone.txt", "text": "gone\n",
             "at": now_s - 20 * DAY_S, "as": "gone"},
            {"op": "hide", "on": "gone", "at": now_s - 5 * DAY_S},
        )  # fmt: skip
        drive = make(options=["snapshots", "allow_other"])
        ten, two = at_midnight(10), at_midnight(2)
        deep = drive.path(SAMPLE, "Documents")
        for number, (top, path) in enumerate(((drive.point, f"{SAMPLE}/Documents"), (deep, ""))):
            below = "".join(f"{part}\\" for part in path.split("/") if part)
            with samba(tmp_path / f"share {number}", Path(str(top))) as share:
                assert share.read(f"{below}plan.txt") == b"new and longer\n"
                assert share.read(f"{ten}\\{below}plan.txt") == b"old\n"
                assert share.read(f"{two}\\{below}plan.txt") == b"new and longer\n"
                assert share.read(f"{ten}\\{below}gone.txt") == b"gone\n"
                assert "gone.txt" not in share.tell(f'ls "{below}*"')
                moments = share.moments(f"{below}plan.txt")
                assert ten in moments
                assert at_midnight(25) not in moments
                assert 20 <= len(moments) <= 21  # a midnight may pass
                emulator.reset()
                assert share.moments(f"{below}plan.txt")
                assert {route for route, count in emulator.counts().items() if count} == set()


def test_the_page_tells_the_configuration_that_was_tried() -> None:
    text = (ROOT / "docs" / "history.md").read_text("utf-8")
    (block,) = re.findall(r"^```ini\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    told = {line.strip() for line in block.splitlines() if line.startswith("    ")}
    tried = {line.strip() for line in SHARE.splitlines()[1:]}
    fixed = {line for line in tried if line.startswith(("vfs", "shadow", "read"))}
    assert fixed <= told

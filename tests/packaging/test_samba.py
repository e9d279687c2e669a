"""A real Samba shows moments of a directory as *Previous Versions*."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.samba import samba, why_no_samba

pytestmark = pytest.mark.skipif(bool(why_no_samba()), reason=why_no_samba())
MAY, JUNE = "@GMT-2024.05.01-00.00.00", "@GMT-2024.06.01-00.00.00"


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

"""The thumbnailer's types are those that we name, and a few that others do."""

from __future__ import annotations

from dmfs.desktop.types import file_types
from tests.thumbnails.sandbox import command, entry

OTHERS = ["image/vnd.dwg", "image/vnd.dxf", "application/x-mswinurl"]
"""Known to shared-mime-info: drawings, and the shortcuts of designs."""


def test_it_is_for_our_types_by_name():
    assert entry()["MimeType"] == "".join(
        f"{name};" for name in [*(each.name for each in file_types()), *OTHERS]
    )


def test_its_command_says_the_same_to_each_reader():
    """Key files have escapes, and other letters behind a percent sign mean something to some."""
    text = entry()["Exec"]
    assert "\\" not in text
    assert text.count("%") == 2
    assert command("a b", "c d")[-2:] == ["a b", "c d"]

"""Quirks of names, each an item unless it says otherwise (facts 3.5)."""

from __future__ import annotations

from dmfs.emulator.world.builder import Builder
from dmfs.emulator.world.model import Folder

LONG_ASCII = "n" * 251 + ".dwg"
"""Exactly 255 bytes."""
LONG_MULTIBYTE = "Überlänge " + "建" * 120 + ".ifc"
"""Over 255 bytes, under 255 characters."""
NAMES = (
    "slash a/b.txt",
    "two slashes //.txt",
    "nul \0 byte.txt",
    "newline \n inside.txt",
    "tab \t inside.txt",
    'quote " inside.txt',
    "star * and ? and <pipe|>.txt",
    "back\\slash.txt",
    ".leading dot",
    "trailing space ",
    "trailing dot.",
    " leading space.txt",
    ".",
    "..",
    "emoji 🏗️.txt",
    "lone surrogate \ud800.txt",
    "control \x01\x7f chars.txt",
    "ansi \x1b[31mred\x1b[0m.txt",
    "percent %2F encoded.txt",
    "right-to-left \u202etxt.exe",
    "-rf",
    "",
    LONG_ASCII,
    LONG_MULTIBYTE,
)
PAIRS = (
    ("Case.txt", "case.txt"),
    ("caf\u00e9.txt", "cafe\u0301.txt"),
    ("look a/like.txt", "look a\uff0flike.txt"),
)
"""Differing in case, in Unicode form, and only after ``/`` is replaced."""


def fill(build: Builder, folder: Folder) -> None:
    """All of them in one folder, folders last."""
    for name in NAMES:
        build.file(folder, name, 300 + len(name))
    for pair in PAIRS:
        for name in pair:
            build.file(folder, name, 400 + len(name))
    for name, count in (("equal twice.txt", 2), ("equal three times.txt", 3), ("no extension", 2)):
        for number in range(count):
            build.file(folder, name, 100 + number)
    moment = "2024-05-02T10:00:00.0000000Z"
    for number in range(2):
        item = build.file(folder, "equal and equally old.txt", 200 + number)
        item.create_time = item.versions[0].create_time = moment
    build.file(folder, "file and folder", 77)
    build.folder(folder, "file and folder")
    for number in range(2):
        twin = build.folder(folder, "equal folders")
        build.file(twin, f"in folder {number}.txt", f"{number}\n")
    build.folder(folder, "folder a/b")
    # The name that the first of "equal twice.txt" gains if a client tells names apart by " (2)".
    build.file(folder, "equal twice (2).txt", 5)

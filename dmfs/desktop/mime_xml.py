"""The types as a package of shared-mime-info (``share/mime/packages/dmfs.xml``). Pure.

``python -m dmfs.desktop.mime_xml >dmfs/desktop/share/mime/packages/dmfs.xml`` writes that file,
and a test compares the two: packages are built from files.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from xml.sax.saxutils import escape, quoteattr

from dmfs.desktop.types import ALIASES, KIND_OF, UNSURE, FileType, file_types

NAMESPACE = "http://www.freedesktop.org/standards/shared-mime-info"


def mime_xml() -> str:
    """The whole file."""
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        "<!-- Written by dmfs.desktop.mime_xml from the table in dmfs.desktop.types -->",
        f'<mime-info xmlns="{NAMESPACE}">',
    ]
    for each in file_types():
        lines += _type(each)
    return "\n".join([*lines, "</mime-info>"]) + "\n"


def _type(each: FileType) -> Iterator[str]:
    yield f"  <mime-type type={quoteattr(each.name)}>"
    for language, text in each.words.items():
        mark = "" if language == "en" else f' xml:lang="{language}"'
        yield f"    <comment{mark}>{escape(text)}</comment>"
    yield f'    <icon name="{each.icon}"/>'
    # GTK looks through the whole of one theme before the next: with a name that Adwaita has here,
    # a scan, a drawing and a model would all show as that
    yield f'    <generic-icon name="{each.icon}"/>'
    if each.name in KIND_OF:
        yield f'    <sub-class-of type="{KIND_OF[each.name]}"/>'
    for alias in ALIASES.get(each.name, ()):
        yield f'    <alias type="{alias}"/>'
    for extension in each.extensions:
        weight = f'weight="{UNSURE[extension]}" ' if extension in UNSURE else ""
        yield f'    <glob {weight}pattern="*.{extension}"/>'
    yield "  </mime-type>"


if __name__ == "__main__":
    sys.stdout.write(mime_xml())

"""Text for man(7): escapes, and the few macros that a page needs. Pure.

Only ASCII comes out: no reader has to guess an encoding. Lines stay below 80 bytes, as ``mandoc
-Tlint`` wants them.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Sequence

_COLUMNS = 78
_SPECIAL = {"\\": r"\e", "-": r"\-", "~": r"\(ti", "^": r"\(ha", "`": r"\(ga", "'": r"\(aq"}
"""As printed, these become other characters: a copied ``-`` must be an option's, not a hyphen."""
_SPAN = re.compile(
    r"`([^`]+)`|\*\*([^*]+)\*\*|\*(\w[^*]*)\*|\[([^\]]+)\]\(([^)\s]+)\)|<(https?://[^>\s]+)>"
)


def escaped(text: str) -> str:
    """``text`` as it is to be read, character by character."""
    return "".join(
        _SPECIAL.get(letter) or (letter if letter.isascii() else f"\\[u{ord(letter):04X}]")
        for letter in text
    )


def bold(text: str) -> str:
    """What is typed as it stands."""
    return rf"\fB{escaped(text)}\fR"


def italic(text: str) -> str:
    """What stands for something else."""
    return rf"\fI{escaped(text)}\fR"


def inline(text: str) -> str:
    """One paragraph with `code`, **emphasis**, *terms* and [links](URL)."""
    parts, at = [], 0
    for match in _SPAN.finditer(text):
        parts.append(escaped(text[at : match.start()]))
        code, strong, term, label, target, address = match.groups()
        if code or strong:
            parts.append(bold(code or strong))
        elif term:
            parts.append(italic(term))
        elif label:
            parts.append(inline(label))
            parts.append(escaped(f" ({target})") if "://" in target else "")
        else:
            parts.append(escaped(address))
        at = match.end()
    return "".join([*parts, escaped(text[at:])])


def filled(ready: str) -> list[str]:
    """Lines of a paragraph whose text is escaped already."""
    lines = textwrap.wrap(" ".join(ready.split()), _COLUMNS, break_long_words=False,
                          break_on_hyphens=False)  # fmt: skip
    return [_no_request(line) for line in lines]


def paragraph(text: str) -> list[str]:
    """``text``, with what ``inline`` knows, after some space."""
    return [".PP", *filled(inline(text))]


def tagged(tag: str, *texts: str) -> list[str]:
    """A term (escaped already) and what it means, a paragraph each."""
    lines = [".TP", _no_request(tag), *filled(inline(texts[0]))]
    for text in texts[1:]:
        lines += [".IP", *filled(inline(text))]
    return lines


def example(code: str | Sequence[str]) -> list[str]:
    """Lines as they are."""
    lines = code.splitlines() if isinstance(code, str) else code
    literal = [_no_request(escaped(line)) for line in lines]
    return [".PP", ".in +4n", ".EX", *literal, ".EE", ".in"]


def section(title: str, lines: Iterable[str]) -> list[str]:
    """``.SH``; nothing for one that would be empty."""
    body = list(lines)
    if not body:
        return []
    if body[0] == ".PP":  # the section's head leaves room already
        del body[0]
    return [f".SH {_argument(title.upper())}", *body]


def subsection(title: str, lines: Iterable[str]) -> list[str]:
    """``.SS``."""
    body = list(lines)
    if body[:1] == [".PP"]:
        del body[0]
    return [f".SS {_argument(title)}", *body] if body else []


def page(name: str, number: int, date: str, source: str, body: Iterable[str]) -> str:
    """A whole page. ``date``: ISO 8601, or ''."""
    head = f'.TH {_argument(name.upper())} {number} "{date}" "{source}" "dmfs manual"'
    return "\n".join([head, ".nh", ".ad l", *body]) + "\n"


def _argument(text: str) -> str:
    words = escaped(text).replace('"', r"\(dq")
    return f'"{words}"' if " " in words else words


def _no_request(line: str) -> str:
    return rf"\&{line}" if line.startswith((".", "'")) else line

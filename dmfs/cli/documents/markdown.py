"""Our texts in Markdown as lines of man(7). Pure; it knows what they use and no more."""

from __future__ import annotations

import re
from collections.abc import Iterator

from dmfs.cli.documents.roff import bold, example, filled, inline, paragraph, section, tagged

_TERM = re.compile(r"`([^`]+)`: (.+)", re.DOTALL)
_NUMBERED = re.compile(r"(\d+)\. (.+)", re.DOTALL)
_ITEM = re.compile(r"(?:- |\d+\. )")


def blocks(text: str) -> Iterator[str]:
    """Paragraphs, headings, items of lists and fenced code, each as one text."""
    block: list[str] = []
    fenced = False
    for line in text.splitlines():
        if line.startswith("```"):
            fenced = not fenced
            if fenced and block:
                yield "\n".join(block)
                block = []
            block.append(line)
            if not fenced:
                yield "\n".join(block)
                block = []
        elif fenced:
            block.append(line)
        elif not line.strip() or line.startswith(("#", "- ")) or _ITEM.match(line):
            if block:
                yield "\n".join(block)
            block = [line] if line.strip() else []
            if line.startswith("#"):
                yield line
                block = []
        else:
            block.append(line)
    if block:
        yield "\n".join(block)


def rendered(text: str) -> list[str]:
    """What stands below one heading."""
    lines: list[str] = []
    for block in blocks(text):
        words = " ".join(block.split())
        if block.startswith("```"):
            lines += example(code_of(block))
        elif numbered := _NUMBERED.fullmatch(words):
            lines += [f".IP {numbered[1]}. 4", *filled(inline(numbered[2]))]
        elif block.startswith("- "):
            term = _TERM.fullmatch(words[2:])
            lines += (
                tagged(bold(term[1]), term[2])
                if term
                else [r".IP \(bu 3", *filled(inline(words[2:]))]
            )
        else:
            lines += paragraph(words)
    return lines


def code_of(block: str) -> str:
    """What is between two fences."""
    return "\n".join(block.splitlines()[1:-1])


def sections(text: str) -> dict[str, str]:
    """Heading (``##``) → what stands below it; what stands before the first one is under ''."""
    found: dict[str, list[str]] = {"": []}
    at, fenced = "", False
    for line in text.splitlines():
        fenced ^= line.startswith("```")
        if line.startswith("## ") and not fenced:
            at = line[3:].strip()
            found[at] = []
        elif fenced or not line.startswith("# "):
            found[at].append(line)
    return {title: "\n".join(lines).strip("\n") for title, lines in found.items()}


def as_sections(text: str) -> list[str]:
    """A whole document: its beginning is the DESCRIPTION."""
    lines: list[str] = []
    for title, body in sections(text).items():
        lines += section(title or "description", rendered(body))
    return lines

"""Spoilt copies of true inputs: JSON trees by place, texts and bytes by bits and pieces. Pure but
for the dice; some 5 µs each, so that a decoder meets tens of thousands a second."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

HOSTILE_NAMES = (
    "..", ".", "", "../../etc/passwd", "/etc/passwd", "a\0b", "-rf", "--help", "a\nb", "a\rb",
    "\x1b]0;owned\x07", "\x1b[2J\x1b[31mred", "\x9b31m", "\u202egnp.exe", "\ud800", "\udcff",
    "a" * 5000, "é" * 300, "e\u0301", "\ufeff", " ", "$(reboot)", "`id`", "%s%n", "con", "\u2028",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 1 << 70, 1.5, float("nan"), float("inf"), "", "x", [], {}, [[]], [None],
    {"id": 5}, {"data": []}, "urn:adsk.objects:os.object:/", "urn:adsk.objects:os.object:b/k",
    "9" * 5000, "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", (1 << 63) - 1, 1 << 63,
    "versions", "items", "folders", "https://x/?page[number]=2", *HOSTILE_NAMES,
)  # fmt: skip
PIECES = (
    b"", b"\0", b"\xff", b"\xed\xa0\x80", b"\r\n", b'"', b"{", b"[", b"]", b"}", b"\\u0000", b"<",
    b"null", b"-1", b"1e999", b"9" * 400, b"NaN", b"true", b":", b",", b"%00", b"..", b" ", b"=",
    b"18446744073709551616", b"\xe2\x80\xae", b"\x1b[31m", b"https://", b"@", b"#", b"?",
)  # fmt: skip


def trees(value: Any) -> list[Any]:
    """A tree and all that hangs on it: what is grafted elsewhere."""
    found = [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for each in inner:
        found += trees(each)
    return found


def spoil_tree(tree: Any, grafts: Sequence[Any], dice: random.Random) -> Any:
    """A copy that differs in one to four places; what did not change is shared."""
    for _ in range(1 + (dice.random() < 0.5) + (dice.random() < 0.3) + (dice.random() < 0.2)):
        tree = _elsewhere(tree, grafts, dice)
    return tree


def _elsewhere(tree: Any, grafts: Sequence[Any], dice: random.Random) -> Any:
    """Go down by chance, copying the way, and change what is met there."""
    if isinstance(tree, dict) and tree and dice.random() < 0.85:
        key = dice.choice(list(tree))
        return {**tree, key: _elsewhere(tree[key], grafts, dice)}
    if isinstance(tree, list) and tree and dice.random() < 0.85:
        at = dice.randrange(len(tree))
        return [*tree[:at], _elsewhere(tree[at], grafts, dice), *tree[at + 1 :]]
    return _changed(tree, grafts, dice)


def _changed(value: Any, grafts: Sequence[Any], dice: random.Random) -> Any:
    chance = dice.random()
    if chance < 0.3:
        return dice.choice(VALUES)
    if chance < 0.5:
        return dice.choice(grafts)
    if chance < 0.6:
        return _of_another_type(value, dice)
    if isinstance(value, dict):
        return _changed_table(value, grafts, dice)
    if isinstance(value, list):
        return value[: dice.randrange(len(value) + 1)] + value if chance < 0.8 else value[1:]
    if isinstance(value, str):
        return spoil_text(value, dice)
    if isinstance(value, int):
        return value + dice.choice((-1, 1, 1 << 31, 1 << 63, -(1 << 63)))
    return value


def _of_another_type(value: Any, dice: random.Random) -> Any:
    return dice.choice((str(value)[:200], [value], {"id": value}, {"data": value}, bool(value), 7))


def _changed_table(table: dict[str, Any], grafts: Sequence[Any], dice: random.Random) -> Any:
    if not table or dice.random() < 0.2:
        return {**table, dice.choice(HOSTILE_NAMES): dice.choice(grafts)}
    key = dice.choice(list(table))
    rest = {each: inner for each, inner in table.items() if each != key}
    if dice.random() < 0.5:
        return rest
    return {**rest, spoil_text(key, dice): table[key]}


def spoil_text(text: str, dice: random.Random) -> str:
    """Cut, doubled, with something foreign in it."""
    at, stop = sorted((dice.randrange(len(text) + 1), dice.randrange(len(text) + 1)))
    foreign = dice.choice(("", text[at:stop] * 2, chr(dice.randrange(0x110000)),
                           dice.choice(HOSTILE_NAMES), "9", "-", "/"))  # fmt: skip
    return text[:at] + foreign + text[stop if dice.random() < 0.5 else at :]


def spoil_bytes(raw: bytes, corpus: Sequence[bytes], dice: random.Random) -> bytes:
    """Bits flipped, pieces cut, doubled, put in, spliced from another input: one to five times."""
    data = bytearray(raw)
    for _ in range(dice.randrange(1, 6)):
        size = len(data)
        at = dice.randrange(size + 1)
        match dice.randrange(6):
            case 0 if size:
                data[dice.randrange(size)] ^= 1 << dice.randrange(8)
            case 1:
                del data[at : at + dice.choice((1, 4, 40, 4000))]
            case 2:
                data[at:at] = dice.choice(PIECES)
            case 3:
                data[at:at] = data[at : at + dice.randrange(50)]
            case 4 if size:
                data[dice.randrange(size)] = dice.randrange(256)
            case _:
                other = dice.choice(corpus)
                start = dice.randrange(len(other) + 1)
                data[at : at + dice.randrange(100)] = other[start : start + dice.randrange(100)]
    return bytes(data)

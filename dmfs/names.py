"""Display names → unique legal file names; identity → stable inode number. Pure.

The semantics promise: `/` and NUL become look-alikes, `.` and `..` become full-width dots, a name
over 255 bytes is cut, equal names differ by a hash of the id (one that is legal as it stands stays
plain), and the result never depends on the order of the service's answer.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

from dmfs.errors import NameTooLongError
from dmfs.model import Child, created_ns, own_id

NAME_MAX_BYTES = 255
UNNAMED = "(unnamed)"
_EXTENSION_MAX_BYTES = 32
"""No real extension is longer: `Notes v1.final and some more words` has none."""
_LEGAL = str.maketrans({"/": "／", "\0": "␀"})
_LONE = re.compile("[\ud800-\udfff]")
_DOTS = {".": "．", "..": "．．"}
_ASIDE = re.compile(r"\.[0-9a-f]{16}\.partial")
_FOREVER = 1 << 80


def legal_name(name: str) -> str:
    """``name`` as a single path component that Linux accepts, before any shortening.

    Lone surrogates (JSON can spell them, UTF-8 cannot) become one U+FFFD each.
    """
    legal = _LONE.sub("\ufffd", name).translate(_LEGAL)
    if legal == name and legal not in _DOTS and legal:
        return name  # the same object: a listing stores one name, not two
    return _DOTS.get(legal, legal) or UNNAMED


def id_hash(identifier: str, digits: int = 8) -> str:
    """The first hex digits of the SHA-256 of an id, as in suffixed names."""
    return hashlib.sha256(identifier.encode("utf-8", "surrogatepass")).hexdigest()[:digits]


def split_extension(name: str) -> tuple[str, str]:
    """``("plan", ".dwg")``; a leading or a trailing dot starts no extension."""
    stem, dot, extension = name.rpartition(".")
    if not stem or not extension or len(as_bytes(extension)) > _EXTENSION_MAX_BYTES:
        return name, ""
    return stem, dot + extension


def with_suffix(name: str, identifier: str, digits: int = 8) -> str:
    """``plan ~1a2b3c4d.dwg``: the hash of ``identifier`` before the extension, within 255 bytes."""
    stem, extension = split_extension(name)
    tail = f" ~{id_hash(identifier, digits)}{extension}"
    return cut(stem, NAME_MAX_BYTES - len(tail.encode())) + tail


def cut(text: str, max_bytes: int) -> str:
    """The longest prefix of whole characters that fits."""
    raw = as_bytes(text)
    if len(raw) <= max_bytes:
        return text
    found = raw[:max_bytes].decode("utf-8", "surrogateescape")
    while not text.startswith(found):  # up to three bytes of a character that was cut in two
        found = found[:-1]
    return found


def as_bytes(name: str) -> bytes:
    """A name as the kernel has it; it may hand over bytes that are no UTF-8."""
    return name.encode("utf-8", "surrogateescape")


def check_name(name: str) -> None:
    """NameTooLongError for a name that no entry can have: over 255 bytes.

    Absence is another answer: a program that gets ENOENT may go on to create the name.
    """
    if len(as_bytes(name)) > NAME_MAX_BYTES:
        raise NameTooLongError(
            f"the name {printable(name[:20])!r}… is longer than {NAME_MAX_BYTES} bytes",
            hint="names that the service has longer are cut: list the directory",
        )


def entry_names(children: Iterable[Child]) -> dict[str, Child]:
    """Unique legal names for all children of one directory, sorted by name.

    Of equal names a child whose name is legal as it stands goes before those whose name was made
    legal; then the oldest (by creation time, then id) has the plain name; an unknown creation
    time counts as youngest. The result depends only on the set of children. Duplicate ids count
    once, the last one wins: pages of one answer may overlap while entries move.
    """
    unique = {own_id(child): child for child in children}
    claims: dict[str, list[Child]] = {}
    for child in unique.values():
        name = legal_name(child.name)
        if len(name.encode()) > NAME_MAX_BYTES:
            name = with_suffix(name, own_id(child))
        claims.setdefault(name, []).append(child)
    named: dict[str, Child] = {}
    losers: list[Child] = []
    for name, claimants in claims.items():
        first, *others = _by_precedence(name, claimants)
        named[name] = first
        losers += others
    for child in sorted(losers, key=own_id):
        named[_free_name(legal_name(child.name), own_id(child), named)] = child
    return dict(sorted(named.items()))


def _by_precedence(name: str, claimants: list[Child]) -> list[Child]:
    """Sorted: the first one has ``name`` plain."""
    if len(claimants) == 1:
        return claimants

    def key(child: Child) -> tuple[bool, int, str]:
        made_ns = created_ns(child)
        return (child.name != name, _FOREVER if made_ns is None else made_ns, own_id(child))

    return sorted(claimants, key=key)


def _free_name(name: str, identifier: str, taken: dict[str, Child]) -> str:
    """A suffixed name; more digits if the real name of another child equals it."""
    for digits in (8, 16, 32, 64):
        candidate = with_suffix(name, identifier, digits)
        if candidate not in taken:
            return candidate
    raise AssertionError("two different ids with the same SHA-256")


def aside_name(identifier: str) -> str:
    """Of a file while it is being written: it gets its own when it is whole."""
    return f".{id_hash(identifier, 16)}.partial"


def is_aside(name: str) -> bool:
    """Whether ``aside_name`` makes such names."""
    return name.endswith(".partial") and _ASIDE.fullmatch(name) is not None


def inode_number(identity: str) -> int:
    """A 63-bit number that is the same on every mount; never 0 and never the root's 1."""
    digest = hashlib.blake2b(identity.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return max(int.from_bytes(digest, "big") >> 1, 2)


def printable(name: str) -> str:
    """``name`` for terminals and logs: U+FFFD for each undecodable byte and control character."""
    return "".join(char if char.isprintable() else "�" for char in name)

"""Listings ↔ plain text for the disk. Pure.

    line 1      {"version", "moment", "directory", "parent", "rollup_ns", "shared", "rows",
                 "incomplete"}
    each next   a JSON array of up to ROWS_A_LINE rows: [name, kind, values…]

Lines, because parsing one text of 50 000 entries would block the interpreter for 300 ms. Rows omit
the ids that all entries of a folder share (project, hub, folder). Any other text is a
BadRecordError, which the caller treats as a miss.
"""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from dmfs.compact import intern_compact
from dmfs.model import (
    Child,
    DeletedFolder,
    DeletedItem,
    Directory,
    File,
    Folder,
    Hub,
    Node,
    Project,
    Root,
    Shortcut,
    VersionList,
    WithDeleted,
)
from dmfs.system.clock import Moment

FORMAT_VERSION = 2
ROWS_A_LINE = 500
"""About 3 ms of parsing, less than the interpreter's switch interval of 5 ms."""

_KINDS: Mapping[str, type[Any]] = {
    "h": Hub, "p": Project, "d": Folder, "f": File, "s": Shortcut, "r": Root,
    "x": DeletedItem, "y": DeletedFolder,
}  # fmt: skip
_SOURCES: Mapping[str, type[Any]] = {"v": VersionList, "w": WithDeleted}
"""Directories that stand for a question about one node."""
_SOURCE_LETTERS = {kind: letter for letter, kind in _SOURCES.items()}
_LETTERS = {kind: letter for letter, kind in _KINDS.items()}
_LATE: Mapping[type[Any], tuple[Any, ...]] = {
    File: ("", ""), DeletedItem: ("", ""), Folder: (False,), DeletedFolder: (False,),
}  # fmt: skip
"""Of the last fields of a kind, the defaults."""
_SHARED = ("project_id", "hub_id", "folder_id")
_FIELDS = {kind: tuple(field.name for field in fields(kind)) for kind in _KINDS.values()}
_ROW_FIELDS = {
    kind: tuple(name for name in _FIELDS[kind] if kind in (Hub, Project, Root)
                or name not in _SHARED)
    for kind in _KINDS.values()
}  # fmt: skip
_PLACES: Mapping[type[Any], tuple[int, tuple[str, ...]]] = {
    Folder: (1, ("project_id", "hub_id")),
    DeletedFolder: (1, ("project_id", "hub_id")),
    File: (3, ("folder_id", "project_id", "hub_id")),
    DeletedItem: (3, ("folder_id", "project_id", "hub_id")),
    Shortcut: (2, ("folder_id", "project_id", "hub_id")),
}
"""The position of the shared ids among a node's fields."""
_INTERNED = {
    kind: [names.index(name) for name in ("created_by", "extension_type") if name in names]
    for kind, names in _ROW_FIELDS.items()
}
"""Texts that are equal in many entries: interned."""
_HUB_VALUES_WITH_REGION = 4
"""Records of earlier releases have the region as a hub's last value; decoding ignores it."""
_SHORT = {
    kind: [names.index(name) for name in ("link", "version") if name in names]
    for kind, names in _ROW_FIELDS.items()
}
_TEXTS = frozenset({
    "created_by", "extension_type", "link", "version", "version_id", "id", "name", "item_id",
    "storage_id", "reserved_by", "label",
})  # fmt: skip
_NUMBERS = frozenset({
    "size_bytes", "mtime_ns", "created_ns", "version_number", "rollup_ns", "object_count",
})  # fmt: skip


_FLAGS = frozenset({"service", "no_files"})


def row_fields(letter: str, *, whole: bool = False) -> tuple[str, ...]:
    """Names of the values in a row of that kind, in their order, of those of releases before this
    one, too, but for a hub's region; ``whole``: of a node by itself. KeyError."""
    return (_FIELDS if whole else _ROW_FIELDS)[_KINDS[letter]]


class BadRecordError(ValueError):
    """A text that no release with this format version writes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A listing as plain data, with the moment at which it was valid."""

    moment: Moment
    directory: Directory
    parent: str
    rollup_ns: int | None
    entries: Mapping[str, Child]
    undescribed: int = 0
    lost: int = 0


def encode(record: Record) -> bytes:
    """Text of a record. Slow (50 000 entries: 0.5 s), so call it in a thread.

    BadRecordError for entries whose shared ids differ.
    """
    rows = [[name, *_row(child)] for name, child in record.entries.items()]
    shared = _shared(record.entries.values())
    head = {
        "version": FORMAT_VERSION,
        "moment": list(record.moment),
        "directory": _whole(record.directory),
        "parent": record.parent,
        "rollup_ns": record.rollup_ns,
        "shared": shared,
        "rows": len(rows),
        "incomplete": [record.undescribed, record.lost],
    }
    lines = [json.dumps(head)]
    starts = range(0, len(rows), ROWS_A_LINE)
    lines += [json.dumps(rows[start : start + ROWS_A_LINE]) for start in starts]
    return "\n".join(lines).encode("ascii")


def encode_node(node: Node) -> str:
    """Text of a single node of any kind."""
    return json.dumps(_whole(node))


def decode_node(text: str) -> Node:
    """The node in a text; BadRecordError for any text that ``encode_node`` does not write."""
    try:
        return _node(json.loads(text))
    except BadRecordError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError) as e:
        raise BadRecordError(f"not a node: {e}") from None


def _node(row: Any) -> Node:
    letter, *values = row
    kind = _KINDS[letter]
    if kind is Root:
        return Root(*values)
    values = _completed(kind, values, _FIELDS[kind])
    _check(kind, values, _FIELDS[kind])
    if kind is Shortcut:
        at = _FIELDS[kind].index("body")
        values[at] = base64.b64decode(values[at], validate=True)
    return kind(*values)  # type: ignore[no-any-return]


def _shared(children: Iterable[Child]) -> list[str]:
    """The ids that all entries of one directory share."""
    found: dict[str, str] = {}
    for child in children:
        if isinstance(child, File | Shortcut | Folder):
            for name in _SHARED:
                value = getattr(child, name, None)
                if value is not None and found.setdefault(name, value) != value:
                    raise BadRecordError(f"entries of different {name}")
    return [found.get(name, "") for name in _SHARED]


def _row(child: Child) -> list[Any]:
    kind = type(child)
    return _trimmed(child, [_LETTERS[kind], *(getattr(child, name) for name in _ROW_FIELDS[kind])])


def _whole(node: Node) -> list[Any]:
    kind = type(node)
    if kind in _SOURCE_LETTERS:
        return [_SOURCE_LETTERS[kind], _whole(node.tip if kind is VersionList else node.of)]  # type: ignore[union-attr]
    return _trimmed(node, [_LETTERS[kind], *(getattr(node, name) for name in _FIELDS[kind])])


def _trimmed(node: Node, values: list[Any]) -> list[Any]:
    """Without the last values that most rows do not have: as releases write and read them that do
    not know of these."""
    for default in reversed(_LATE.get(type(node), ())):
        if values[-1] != default:
            break
        values.pop()
    return [_plain(value) for value in values]


def _completed(kind: type[Any], values: list[Any], names: tuple[str, ...]) -> list[Any]:
    missing = len(names) - len(values)
    late = _LATE.get(kind, ())
    return [*values, *late[-missing:]] if 0 < missing <= len(late) else values


def _plain(value: Any) -> Any:
    return base64.b64encode(value).decode("ascii") if isinstance(value, bytes) else value


def decode(raw: bytes) -> Record:
    """The record in a text; call it in a thread. BadRecordError for any text that ``encode`` does
    not write."""
    try:
        first, _, rest = raw.partition(b"\n")
        head = json.loads(first)
        if head["version"] != FORMAT_VERSION:
            raise BadRecordError(f"version {head['version']}")
        shared = dict(zip(_SHARED, head["shared"], strict=True))
        if not all(isinstance(value, str) for value in shared.values()):
            raise BadRecordError("shared ids are not texts")
        entries: dict[str, Child] = {}
        for line in rest.split(b"\n") if rest else []:
            for name, letter, *values in json.loads(line):
                child = _child(letter, values, shared)
                entries[child.name if child.name == name else name] = child
        if len(entries) != head["rows"] or not all(type(name) is str for name in entries):
            raise BadRecordError("rows are missing")
        undescribed, lost = head.get("incomplete", (0, 0))
        if not (type(undescribed) is type(lost) is int and undescribed >= 0 and lost >= 0):
            raise BadRecordError("incomplete is no pair of counts")
        wall_s, boot, boot_s = head["moment"]
        return Record(
            moment=Moment((float(wall_s), _text(boot), float(boot_s))),
            directory=_directory(head["directory"]),
            parent=_text(head["parent"]),
            rollup_ns=_number(head["rollup_ns"]),
            entries=entries,
            undescribed=undescribed,
            lost=lost,
        )
    except BadRecordError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError) as e:
        raise BadRecordError(f"not a listing: {e}") from None


def _child(letter: Any, values: list[Any], shared: Mapping[str, str]) -> Child:
    """A node from its row. Checks the types of all values, because nothing from a damaged disk may
    reach the kernel; the same few combinations of types repeat in all rows."""
    kind = _KINDS[letter]
    values = _completed(kind, _without_region(kind, values), _ROW_FIELDS[kind])
    types = (kind, *map(type, values))
    if types not in _GOOD_TYPES:
        _check(kind, values)
        if len(_GOOD_TYPES) < _COMBINATIONS_MAX:
            _GOOD_TYPES.add(types)
    if kind is Shortcut:
        at = _ROW_FIELDS[kind].index("body")
        values[at] = base64.b64decode(values[at], validate=True)
    for at in _INTERNED[kind]:
        values[at] = sys.intern(values[at])
    for at in _SHORT[kind]:
        values[at] = intern_compact(values[at])
    place, names = _PLACES.get(kind, (0, ()))
    common = [shared[name] for name in names]
    return kind(*values[:place], *common, *values[place:])  # type: ignore[no-any-return]


_GOOD_TYPES: set[tuple[type[Any], ...]] = set()
_COMBINATIONS_MAX = 1000


def _without_region(kind: type[Any], values: list[Any]) -> list[Any]:
    if kind is Hub and len(values) == _HUB_VALUES_WITH_REGION:
        return values[:-1]
    return values


def _check(kind: type[Any], values: list[Any], names: tuple[str, ...] = ()) -> None:
    names = names or _ROW_FIELDS[kind]
    if kind is Root or len(values) != len(names):
        raise BadRecordError("a row of another shape")
    required = _TEXTS - {"version_id"} if kind is Shortcut else _TEXTS
    for name, value in zip(names, values, strict=True):
        if name in _NUMBERS:
            _number(value)
        elif name in _FLAGS:
            if not isinstance(value, bool):
                raise BadRecordError(f"{name} is no truth value")
        elif not isinstance(value, str) and (value is not None or name in required):
            raise BadRecordError(f"{name} is no text")


def _directory(row: Any) -> Directory:
    letter, *values = row
    if letter in _SOURCES:
        (about,) = map(_node, values)
        if not isinstance(about, File | Shortcut if letter == "v" else Project | Folder):
            raise BadRecordError("no such source")
        return _SOURCES[letter](about)  # type: ignore[no-any-return]
    kind = _KINDS[letter]
    if issubclass(kind, File | Shortcut):
        raise BadRecordError("not a directory")
    values = _without_region(kind, values)
    if kind is not Root:
        values = _completed(kind, values, _FIELDS[kind])
        _check(kind, values, _FIELDS[kind])
    return kind(*values)  # type: ignore[no-any-return]


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise BadRecordError("not a text")
    return value


def _number(value: Any) -> int | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        raise BadRecordError("not a number")
    return value

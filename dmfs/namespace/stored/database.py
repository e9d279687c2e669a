"""The texts of stored listings, read from diskcache's table without diskcache, whose import takes
as long as reading thousands of them. Blocks; for a process without a loop. Never writes."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

from dmfs.namespace.listing_codec import FORMAT_VERSION

BUSY_S = 1.0
"""A mount that writes keeps the table for milliseconds."""
AT_ONCE = 200
"""Keys in one question: with texts of some kilobytes, a few megabytes."""
_IN_TABLE, _IN_FILE = 1, 2
"""``diskcache.core.MODE_RAW`` and ``MODE_BINARY``: where a value is."""


class StoredListings:
    """Of one sign-in. No method raises an error of the disk: what cannot be read is not known."""

    def __init__(self, cache_dir: Path, partition: str) -> None:
        directory = cache_dir / "listings"
        self._places = [
            directory / f"v{FORMAT_VERSION}",
            directory / f"pinned-v{FORMAT_VERSION}",
        ]
        self._partition = partition

    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        """During the body the tables are open."""
        self._tables: list[tuple[Path, sqlite3.Connection]] = []
        try:
            for place in self._places:
                with contextlib.suppress(sqlite3.Error, OSError):
                    self._tables.append((place, _connect(place / "cache.db")))
            yield
        finally:
            for _, table in self._tables:
                table.close()

    def texts(self, identities: Sequence[str]) -> Iterator[tuple[str, str]]:
        """Identity and text of each directory whose listing is stored, in any order."""
        for start in range(0, len(identities), AT_ONCE):
            missing = {
                f"{self._partition} {each}": each for each in identities[start : start + AT_ONCE]
            }
            for place, table in self._tables:
                for key, text in _read(place, table, list(missing)):
                    yield missing.pop(key), text
                if not missing:
                    break


def _connect(file: Path) -> sqlite3.Connection:
    if not file.exists():
        raise FileNotFoundError(file)
    # not immutable: what a mount has just written may stand in the log beside it
    return sqlite3.connect(f"file:{_quoted(file)}?mode=ro", uri=True, timeout=BUSY_S)


def _quoted(file: Path) -> str:
    return str(file).replace("%", "%25").replace("?", "%3f").replace("#", "%23")


def _read(place: Path, table: sqlite3.Connection, keys: list[str]) -> list[tuple[str, str]]:
    marks = ",".join("?" * len(keys))
    found = []
    with contextlib.suppress(sqlite3.Error):
        for key, mode, name, value in table.execute(
            f"SELECT key, mode, filename, value FROM Cache WHERE raw = 1 AND key IN ({marks})",  # noqa: S608 - marks alone
            keys,
        ):
            with contextlib.suppress(OSError, ValueError, TypeError):
                raw = value if mode == _IN_TABLE else (place / name).read_bytes()
                if mode in (_IN_TABLE, _IN_FILE):
                    found.append((key, raw.decode("ascii")))
    return found

"""Orders and what came of them, in ``<state>/exports.db``: no design is ordered twice.

    exports(scope, project_id, version_id, format, state, since, job_id, reason, design,
            storage_id, size, sha1, keep, shown, warned)
    formats(scope, extension_type, formats, since)

``scope`` is the sign-in. ``design`` is a text of ``listing_codec``. All methods block, as those of
``StateDatabase``.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from dmfs.exports.records import Export, Key
from dmfs.model import Shortcut, StorageId
from dmfs.namespace.listing_codec import BadRecordError, decode_node, encode_node
from dmfs.system.sqlite.state_database import StateDatabase

log = logging.getLogger(__name__)

_STEPS = (
    """
CREATE TABLE exports (
    scope TEXT NOT NULL, project_id TEXT NOT NULL, version_id TEXT NOT NULL, format TEXT NOT NULL,
    state TEXT NOT NULL, since REAL NOT NULL, job_id TEXT NOT NULL, reason TEXT NOT NULL,
    design TEXT NOT NULL, storage_id TEXT NOT NULL, size INTEGER, sha1 TEXT NOT NULL,
    keep INTEGER NOT NULL, shown INTEGER NOT NULL, warned REAL NOT NULL,
    PRIMARY KEY (scope, project_id, version_id, format)) WITHOUT ROWID;
CREATE TABLE formats (
    scope TEXT NOT NULL, extension_type TEXT NOT NULL, formats TEXT NOT NULL, since REAL NOT NULL,
    PRIMARY KEY (scope, extension_type)) WITHOUT ROWID
""",
)
FORMATS_S = 86400.0
"""So long the formats of an extension type are remembered."""
REMEMBERED_S = 30 * 86400.0
"""What is not shown in the drive is forgotten after so long: what became of a job of then, nobody
asks any more."""
_COLUMNS = (
    "state, since, job_id, reason, design, storage_id, size, sha1, keep, shown, warned, format"
)


class ExportStore:
    """See above. There is no file before the first export."""

    def __init__(self, state_directory: Path) -> None:
        self.path = state_directory / "exports.db"
        self._db = StateDatabase(
            self.path, _STEPS, tables="exports, formats", rest="exports rest",
            lost="exports that were shown are not any more",
        )  # fmt: skip

    def close(self) -> None:
        self._db.close()

    def changed(self) -> bool:
        """Whether anybody wrote since the last call, other than through this object."""
        return self._db.changed()

    def load(self, scope: str) -> list[Export]:
        """Everything of one sign-in; rows that no release writes are left out."""
        with self._db.used(make=False) as db:
            if db is None:
                return []
            rows = db.execute(
                f"SELECT {_COLUMNS} FROM exports WHERE scope = ?", (scope,)  # noqa: S608
            ).fetchall()  # fmt: skip
        return [each for row in rows if (each := _export(row)) is not None]

    def get(self, scope: str, key: Key) -> Export | None:
        """One export; None if there is none."""
        with self._db.used(make=False) as db:
            if db is None:
                return None
            row = db.execute(
                f"SELECT {_COLUMNS} FROM exports"  # noqa: S608
                " WHERE scope = ? AND project_id = ? AND version_id = ? AND format = ?",
                (scope, *key),
            ).fetchone()
        return None if row is None else _export(row)

    def put(self, scope: str, exports: Iterable[Export]) -> None:
        """They are so from now on. One transaction."""
        with self._db.writing() as db:
            db.executemany(
                "REPLACE INTO exports (scope, project_id, version_id, format, state, since, job_id,"
                " reason, design, storage_id, size, sha1, keep, shown, warned)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (scope, *each.key, each.state, each.since_s, each.job_id, each.reason,
                     encode_node(each.design), each.storage_id, each.size_bytes, each.sha1,
                     each.keep, each.shown, each.warned_s)
                    for each in exports
                ],
            )  # fmt: skip

    def forget(self, scope: str, keys: Iterable[Key]) -> None:
        """There are no such exports any more."""
        with self._db.writing() as db:
            db.executemany(
                "DELETE FROM exports"
                " WHERE scope = ? AND project_id = ? AND version_id = ? AND format = ?",
                [(scope, *key) for key in keys],
            )

    def forget_old(self, scope: str, now_s: float) -> None:
        """What was made or failed long ago, and is not to be shown."""
        with self._db.used(make=False) as db:
            if db is not None:
                db.execute(
                    "DELETE FROM exports WHERE scope = ? AND NOT keep AND since < ?",
                    (scope, now_s - REMEMBERED_S),
                )

    def formats(self, scope: str, extension_type: str, now_s: float) -> tuple[str, ...] | None:
        """As they were warned within the last day."""
        with self._db.used(make=False) as db:
            if db is None:
                return None
            row = db.execute(
                "SELECT formats, since FROM formats WHERE scope = ? AND extension_type = ?",
                (scope, extension_type),
            ).fetchone()
        if row is None or not 0 <= now_s - row[1] < FORMATS_S:
            return None
        found = _parsed(row[0])
        return tuple(found) if found else None

    def remember_formats(
        self, scope: str, extension_type: str, formats: Sequence[str], now_s: float
    ) -> None:
        with self._db.writing() as db:
            db.execute(
                "REPLACE INTO formats VALUES (?, ?, ?, ?)",
                (scope, extension_type, json.dumps(list(formats)), now_s),
            )


def _parsed(text: str) -> list[str]:
    try:
        found = json.loads(text)
    except ValueError:
        return []
    whole = isinstance(found, list) and all(isinstance(each, str) for each in found)
    return found if whole else []


def _export(row: Sequence[Any]) -> Export | None:
    state, since, job_id, reason, design, storage_id, size, sha1, keep, shown, warned, format_ = row
    try:
        node = decode_node(design)
    except BadRecordError as error:
        log.info("an export cannot be read (%s)", error)
        return None
    if not isinstance(node, Shortcut):
        return None
    return Export(
        node, format_, state, since, job_id, reason, StorageId(storage_id), size, sha1,
        bool(keep), bool(shown), warned,
    )  # fmt: skip

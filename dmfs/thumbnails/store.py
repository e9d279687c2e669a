"""Pictures on disk, a file each, shared by all mounts of a sign-in; and the links' patterns.

``<cache>/thumbnails/<sign-in>/ab/abcd….png``, by a hash of the version's id: a version never
changes, so neither does its picture. All sign-ins share one limit; what was used longest ago goes
first. No method raises an error of the disk: without it a picture costs a call.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from dmfs.names import id_hash
from dmfs.system.clock import wall_time_s
from dmfs.system.disk_health import DiskHealth, Kind
from dmfs.system.disk_threads import DiskThreads
from dmfs.system.private_files import private_directory
from dmfs.thumbnails.png import VALUE_MAX_BYTES, is_whole_png

log = logging.getLogger(__name__)

T = TypeVar("T")

LIMIT_BYTES = 64 * 1024 * 1024
"""Some 10 000 pictures of 6 KB."""
LEAVE = 0.9
"""Of the limit, after room was made."""
USED_STEP_S = 6 * 3600.0
"""A use is written down when the last one is older than that."""
TEMPORARY_S = 3600.0
"""A file that is being written is that old only if its writer is dead."""
LINKS_MAX_BYTES = 8 * 1024 * 1024
FORMAT_VERSION = 1
NAME_DIGITS = 40
PLACES = 2
_numbers = itertools.count()


class PictureStore:
    """Of one sign-in (``partition``) on one disk."""

    def __init__(self, directory: Path, partition: str, limit_bytes: int = LIMIT_BYTES) -> None:
        self._root = directory / "thumbnails"
        self._own = self._root / partition
        self._limit_bytes = limit_bytes
        self._used_bytes: int | None = None
        """Of all sign-ins, as far as this process knows; None before it looked."""
        self._threads = DiskThreads(PLACES)
        self._health = DiskHealth(log, "the disk of pictures", "they are asked for again")

    async def load(self, version_id: str) -> bytes | None:
        """A picture; None if it is not here, or damaged."""
        return await self._try("read", lambda: self._load(version_id))

    async def save(self, version_id: str, picture: bytes) -> None:
        """Keep a picture, and make room for it."""
        await self._try("write", lambda: self._save(version_id, picture))

    async def load_links(self) -> Mapping[str, Any]:
        """What ``save_links`` saved; {} if there is nothing."""
        return await self._try("read", self._load_links) or {}

    async def save_links(self, links: Mapping[str, Any]) -> None:
        """Keep patterns of links for the next start."""
        text = json.dumps({"version": FORMAT_VERSION, **links}).encode("ascii")
        await self._try("write", lambda: self._replace(self._own / "links.json", text))

    async def _try(self, kind: Kind, work: Callable[[], T]) -> T | None:
        if not self._health.usable(kind):
            return None
        try:
            found = await self._threads.run(work)
        except OSError as error:
            self._health.failed(kind, error)
            return None
        if kind == "write":
            self._health.worked(kind)
        return found

    # In threads

    def _file(self, version_id: str) -> Path:
        name = id_hash(version_id, NAME_DIGITS)
        return self._own / name[:2] / f"{name}.png"

    def _load(self, version_id: str) -> bytes | None:
        path = self._file(version_id)
        try:
            with path.open("rb") as file:
                picture = file.read(VALUE_MAX_BYTES + 1)
                used_s = os.fstat(file.fileno()).st_mtime
        except FileNotFoundError:
            return None
        if not is_whole_png(picture):
            path.unlink(missing_ok=True)
            return None
        if abs(wall_time_s() - used_s) > USED_STEP_S:
            with contextlib.suppress(OSError):  # a full or read-only disk still gives pictures
                os.utime(path)
        return picture

    def _save(self, version_id: str, picture: bytes) -> None:
        if self._used_bytes is None:
            self._used_bytes = sum(size for _, size, _ in self._pictures())
        self._replace(self._file(version_id), picture)
        self._used_bytes += len(picture)
        if self._used_bytes > self._limit_bytes:
            self._used_bytes = self._make_room()

    def _replace(self, path: Path, data: bytes) -> None:
        private_directory(path.parent)
        temporary = path.parent / f".{os.getpid()}-{next(_numbers)}"
        try:
            temporary.write_bytes(data)
            temporary.replace(path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise

    def _pictures(self) -> Iterator[tuple[float, int, Path]]:
        """When each file was used, its size, where it is. What is gone meanwhile is left out."""
        for folder, _, names in os.walk(self._root):
            for name in names:
                path = Path(folder, name)
                with contextlib.suppress(OSError):
                    status = path.stat()
                    yield status.st_mtime, status.st_size, path

    def _make_room(self) -> int:
        """Bytes that are left."""
        known = sorted(self._pictures(), key=lambda each: each[0])
        left, now_s = sum(size for _, size, _ in known), wall_time_s()
        for used_s, size, path in known:
            is_temporary = path.name.startswith(".")
            if is_temporary and now_s - used_s < TEMPORARY_S:
                continue
            if not is_temporary and (left <= self._limit_bytes * LEAVE or path.suffix != ".png"):
                continue
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
                left -= size
        return left

    def _load_links(self) -> Mapping[str, Any]:
        try:
            with (self._own / "links.json").open("rb") as file:
                found = json.loads(file.read(LINKS_MAX_BYTES))
        except (FileNotFoundError, ValueError, RecursionError):
            return {}
        fits = isinstance(found, dict) and found.get("version") == FORMAT_VERSION
        return found if fits else {}

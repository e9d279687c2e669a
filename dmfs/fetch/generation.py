"""One content of a storage object: the ETags that its bytes come under. Any thread may use it.

    NEW ── the first ETag, from a GET or from the index on disk ──▶ KNOWN
    NEW ── blocks at rest without an ETag ──▶ UNPROVEN ── one of them compared ──▶ KNOWN
    any ── another content is confirmed, or nothing can be compared ──▶ DETACHED

    UNPROVEN never returns to NEW: bytes of its blocks may be in memory, or with a reader.

Another ETag is another generation. What is cached of an object (in memory and on disk) belongs to
exactly one of them, so bytes of two are never mixed.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from enum import Enum
from typing import NamedTuple

from isal import isal_zlib

from dmfs.fetch.curl.transfer import ETagGuard
from dmfs.model import StorageId
from dmfs.spans import BLOCK_BYTES, Span

Stretch = tuple[int, int]
"""(start, stop) of what one ETag is for: the whole object or, where it is signed in parts, one of
these. An object signed in parts first and as a whole later has other ETags."""


class State(Enum):
    """What is known of a generation; see the diagram of the module."""

    NEW = "new"
    UNPROVEN = "unproven"
    KNOWN = "known"
    DETACHED = "detached"


class Sample(NamedTuple):
    """A piece of the content (at most a block) and its CRC-32, to compare others with."""

    span: Span
    crc: int


class Generation:
    """The ETag guard of each stretch. ``number`` counts the generations since the mount."""

    def __init__(
        self,
        storage_id: StorageId,
        size_bytes: int,
        *,
        number: int = 0,
        etags: Mapping[Stretch, str] | None = None,
    ) -> None:
        self.storage_id = storage_id
        self.size_bytes = size_bytes
        self.number = number
        self.state = State.KNOWN if etags else State.NEW
        self.given = False
        """Whether bytes were given out in this mount: a reader or the kernel may have them."""
        self.successor: Generation | None = None
        """What new opens use instead, once this one is detached."""
        self._guards = {stretch: ETagGuard(etag) for stretch, etag in (etags or {}).items()}
        self._sample: Sample | None = None
        # The loop and disk threads change guards and state; the curl thread sets a guard's ETag.
        self._lock = threading.Lock()

    def guard(self, stretch: Stretch) -> ETagGuard | None:
        """None for a stretch of which it is not known whether it belongs here."""
        return self._guards.get(stretch)

    def begin(self, stretch: Stretch) -> ETagGuard | None:
        """As ``guard``; of a new generation the first GET decides, whatever ETag it brings."""
        with self._lock:
            if self.state is State.NEW:
                self.state = State.KNOWN
                self._guards[stretch] = ETagGuard()
            return self._guards.get(stretch)

    def add(self, stretch: Stretch, etag: str) -> None:
        """A stretch was proved to belong here."""
        with self._lock:
            self._guards.setdefault(stretch, ETagGuard(etag))
            if self.state is not State.DETACHED:
                self.state = State.KNOWN

    def etags(self) -> dict[Stretch, str]:
        """All ETags known so far."""
        with self._lock:
            return {stretch: each.etag for stretch, each in self._guards.items() if each.etag}

    def accept(self, etags: Mapping[Stretch, str], *, has_blocks: bool) -> bool:
        """Whether blocks that came under ``etags`` belong here; if so, these are known from now on.

        The first generation accepts any. One whose GETs have begun must share a stretch: only its
        ETag tells. One that took another's place without an ETag accepts none: what is at rest may
        be of the one before it.
        """
        with self._lock:
            if self.state is State.DETACHED:
                return False
            shared = [stretch for stretch in etags if stretch in self._guards]
            if self._guards and not shared:
                return False
            if self.number and not self._guards and (etags or has_blocks):
                return False
            guards = {stretch: self._guards[stretch] for stretch in shared}
            # first without setting any: a refusal must not leave an ETag of the other content here
            if any(each.etag and each.etag != etags[at] for at, each in guards.items()):
                return False
            if not all(each.admits(etags[at]) for at, each in guards.items()):
                return False
            for stretch, etag in etags.items():
                self._guards.setdefault(stretch, ETagGuard(etag))
            if self._guards:
                self.state = State.KNOWN
            elif has_blocks:
                self.state = State.UNPROVEN
            return True

    def detach(
        self, etags: Mapping[Stretch, str] | None = None, *, size_bytes: int | None = None
    ) -> Generation:
        """Another content takes the object's place, under ``etags`` as far as they are known.
        Open files of this generation get an error. Returns the other one."""
        with self._lock:
            if self.successor is None:
                size_bytes = self.size_bytes if size_bytes is None else size_bytes
                self.state = State.DETACHED
                self.successor = Generation(
                    self.storage_id, size_bytes, number=self.number + 1, etags=etags
                )
            return self.successor

    @property
    def sample(self) -> Sample | None:
        """A piece that was fetched in this mount."""
        return self._sample

    def remember(self, start: int, data: memoryview) -> None:
        """Bytes from ``start`` on were fetched: keep the checksum of one piece."""
        if self._sample is None and data:
            self._sample = sample_of(start, data)


def sample_of(start: int, data: memoryview) -> Sample:
    """A sample of the first block of ``data``."""
    piece = data[:BLOCK_BYTES]
    return Sample(Span(start, start + len(piece)), isal_zlib.crc32(piece))

"""The sha1 of an object, computed while its parts come: a service has it when the last is there."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Protocol

import trio

from dmfs.emulator.world import content_threads
from dmfs.emulator.world.content import Content


class _Part(Protocol):
    @property
    def content(self) -> Content: ...


class PartDigest:
    """Of one session. Parts are hashed in their order, whatever order they come in."""

    def __init__(self) -> None:
        self._sha1 = hashlib.sha1(usedforsecurity=False)
        self._hashed: list[Content] = []
        self._turn = trio.Lock()

    async def advance(self, parts: Mapping[int, _Part]) -> None:
        """Hash those that come next and are there."""
        async with self._turn:
            while (part := parts.get(len(self._hashed) + 1)) is not None:
                content = part.content
                await content_threads.feed(content, self._sha1)
                self._hashed.append(content)

    def of(self, contents: Sequence[Content]) -> str | None:
        """In hex; None unless exactly these were hashed: one was sent again, or is still to be."""
        same = len(contents) == len(self._hashed) and all(
            one is other for one, other in zip(contents, self._hashed, strict=True)
        )
        return self._sha1.hexdigest() if same else None

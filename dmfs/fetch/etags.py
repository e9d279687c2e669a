"""Which ETag is the right one: whether a GET's bytes belong to the generation that is read.

Bytes under another ETag than before are not mixed in. But the ETag seen first may be the odd one (a
node of the CDN in trouble), and so may be the other one. So another ETag is a question: two GETs by
a fresh URL, at once and thus on two connections, must agree. Their answer is believed.

The first bytes of a further stretch count once they are proved: what is known already must be the
same *after* the new ETag was seen, and the new one must be seen twice, since an odd one is as new.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import NamedTuple, NoReturn, Protocol

import cachetools
import trio

from dmfs.errors import DriveError, ETagDiffersError, ObjectChangedError
from dmfs.fetch.generation import Generation, Sample, State, Stretch
from dmfs.model import StorageId
from dmfs.spans import Span
from dmfs.system.concurrency import SingleFlight, gather

log = logging.getLogger(__name__)

OBJECTS_REMEMBERED = 4096
WITNESSES = 2
CHANGE_EVERY_S = 60.0
"""A CDN that cannot make up its mind costs an error instead of the whole cache, again and again."""
PROOFS_MAX = 3
"""Each meets one more odd answer."""


class Piece(NamedTuple):
    """An answer to a small GET."""

    etags: dict[Stretch, str]
    """Of all stretches that it touches."""
    sample: Sample


class Witness(Protocol):
    """Small GETs of one object, each checked like any other."""

    what: str
    """For error texts: ``read 'a.dwg'``."""

    def renew(self) -> None:
        """Sign again before the next GET."""
        ...

    async def stretches(self) -> list[Stretch]:
        """As the object is signed now."""
        ...

    async def etag(self, stretch: Stretch, known: str = "") -> str:
        """The ETag of a stretch now; without a byte if it is ``known``."""
        ...

    async def piece(self, span: Span) -> Piece:
        """The bytes of a span now."""
        ...

    async def known_sample(self) -> Sample | None:
        """A piece of what is cached; None if nothing is. DriveError where it cannot be read."""
        ...


class ETags:
    """``settle`` when an answer came under another ETag; ``compare`` before the first GET of a
    stretch that joins others, and ``prove`` after it."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._changed: cachetools.TTLCache[tuple[StorageId, Stretch], bool] = cachetools.TTLCache(
            OBJECTS_REMEMBERED, CHANGE_EVERY_S, timer=trio.current_time
        )
        self._settling: SingleFlight[tuple[Generation, Stretch], None] = SingleFlight(nursery)
        self._comparing: SingleFlight[Generation, None] = SingleFlight(nursery)
        self._proving: SingleFlight[tuple[Generation, Stretch, str], None] = SingleFlight(nursery)

    async def settle(self, generation: Generation, stretch: Stretch, witness: Witness) -> None:
        """Return if the ETag known so far is confirmed. ObjectChangedError if another one is (then
        the generation is detached); ETagDiffersError if the witnesses do not agree."""
        await self._settling.join(
            (generation, stretch), lambda: self._settle(generation, stretch, witness)
        ).wait()

    async def compare(self, generation: Generation, witness: Witness) -> None:
        """Unless an ETag of the present layout is known or nothing is cached: fetch one cached
        piece again. Errors as of ``settle``."""
        check(generation, witness.what)
        if not await self._known(generation, witness):
            await self._comparing.join(
                generation, lambda: self._compare(generation, witness)
            ).wait()

    async def prove(
        self, generation: Generation, stretch: Stretch, etag: str, witness: Witness
    ) -> None:
        """Add a stretch whose bytes came under ``etag``, unless that was an odd one. Errors as of
        ``settle``."""
        key = generation, stretch, etag
        await self._proving.join(
            key, lambda: self._prove(generation, stretch, etag, witness)
        ).wait()

    @staticmethod
    async def _known(generation: Generation, witness: Witness) -> list[Stretch]:
        return [each for each in await witness.stretches() if generation.guard(each)]

    async def _settle(self, generation: Generation, stretch: Stretch, witness: Witness) -> None:
        check(generation, witness.what)
        witness.renew()
        etags = set(await gather([lambda: witness.etag(stretch)] * WITNESSES))
        guard = generation.guard(stretch)
        if guard is not None and etags == {guard.etag}:
            log.info("%s: an answer under another ETag was the odd one", witness.what)
            return
        if len(etags) != 1 or "" in etags:
            raise _undecided(witness.what)
        self._detach(generation, {stretch: etags.pop()}, witness.what)

    async def _prove(
        self, generation: Generation, stretch: Stretch, etag: str, witness: Witness
    ) -> None:
        """The order counts: a known ETag that is seen after the new one stood all the while."""
        for _ in range(PROOFS_MAX):
            check(generation, witness.what)
            known = await self._known(generation, witness)
            guard = generation.guard(known[0]) if known else None
            if guard is None:  # signed in other parts meanwhile
                await self.compare(generation, witness)
                continue
            old, new = await gather([
                partial(witness.etag, known[0], guard.etag),
                partial(witness.etag, stretch, etag),
            ])  # fmt: skip
            if guard.admits(old):
                if new == etag:
                    generation.add(stretch, etag)
                return
            await self._settle(generation, known[0], witness)
        raise _undecided(witness.what)

    async def _compare(self, generation: Generation, witness: Witness) -> None:
        """No ETag can be compared: blocks of an index without ETags, or signed in other parts."""
        try:
            sample = generation.sample or await witness.known_sample()
        except DriveError:  # of a disk that fails; a new open goes on without it
            generation.detach()
            raise object_changed(witness.what) from None
        if sample is None:
            if generation.state is State.NEW:
                return
            generation.detach()
            raise object_changed(witness.what)
        piece = await witness.piece(sample.span)
        if piece.sample != sample:
            witness.renew()
            piece, other = await gather([lambda: witness.piece(sample.span)] * WITNESSES)
            if piece != other:
                raise _undecided(witness.what)
            if piece.sample != sample:
                self._detach(generation, piece.etags, witness.what)
            log.info("%s: an answer with other bytes was the odd one", witness.what)
        for stretch, etag in piece.etags.items():
            generation.add(stretch, etag)

    def _detach(self, generation: Generation, etags: dict[Stretch, str], what: str) -> NoReturn:
        keys = [(generation.storage_id, stretch) for stretch in etags]
        if any(key in self._changed for key in keys):
            raise _undecided(what)
        log.warning("%s: it comes under another ETag now; what is cached is fetched again", what)
        self._changed.update(dict.fromkeys(keys, True))
        generation.detach({stretch: etag for stretch, etag in etags.items() if etag})
        raise object_changed(what)


def check(generation: Generation, what: str) -> None:
    """ObjectChangedError once the generation is detached."""
    if generation.state is State.DETACHED:
        raise object_changed(what)


def object_changed(what: str) -> ObjectChangedError:
    """The error of an open file whose object has another content now."""
    return ObjectChangedError(
        f"cannot {what}: it comes under another ETag than what was read before",
        hint="open it again",
    )


def _undecided(what: str) -> ETagDiffersError:
    return ETagDiffersError(f"cannot {what}: the stored object keeps changing its ETag")

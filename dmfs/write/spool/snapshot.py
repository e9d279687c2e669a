"""A confirmed generation of a draft: it never changes, whatever is written meanwhile."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from dmfs.errors import BadResponseError, DriveError
from dmfs.spans import MIB
from dmfs.write.records import Change, DraftId
from dmfs.write.spool.card import make_card, write_card
from dmfs.write.spool.data_file import DataFile, Stretch
from dmfs.write.spool.disk import Disk
from dmfs.write.spool.extents import ExtentMap, Piece
from dmfs.write.spool.journal import Pieces
from dmfs.write.spool.room import RoomCount
from dmfs.write.spool.sums import Mark

ReadBase = Callable[[int, int], Awaitable[bytes]]
"""Offset and length → so many bytes of the base version."""
log = logging.getLogger(__name__)

KIND = "content"
CARD_EXTENTS = 200
"""On a card that is written with each confirmation."""
COPY_BYTES = 8 * MIB
MOST_BYTES = 16 * MIB
"""In one read of a snapshot."""


class Confirmed(NamedTuple):
    """A generation, as the journal has it."""

    generation: int
    size_bytes: int
    mtime_ns: int


@dataclass(frozen=True, eq=False)
class Generation:
    """What was confirmed."""

    number: int
    size_bytes: int
    mtime_ns: int
    extents: ExtentMap
    """Frozen."""
    file: DataFile
    mark: Mark
    """Where the file ended."""


class Snapshot:
    """A generation in use: its bytes stay until it is released."""

    def __init__(self, generation: Generation) -> None:
        self._of = generation
        self.released = False

    @property
    def generation(self) -> int:
        return self._of.number

    @property
    def size_bytes(self) -> int:
        return self._of.size_bytes

    @property
    def mtime_ns(self) -> int:
        return self._of.mtime_ns

    @property
    def file(self) -> DataFile:
        return self._of.file

    @property
    def needs_base(self) -> bool:
        """Whether some bytes are the base version's."""
        return self._of.extents.base_runs(self._of.size_bytes)

    def pieces(self, start: int, stop: int) -> list[Piece]:
        """What ``[start, stop)`` consists of, in order and without a gap."""
        return self._of.extents.pieces(start, min(stop, self._of.size_bytes))

    async def descriptor(self) -> int:
        """Of the data file, where pieces of the kind ``data`` lie at their ``position``; the
        caller closes it. Bytes that are taken from it are compared with nothing."""
        return await self._of.file.descriptor()

    async def read(self, start: int, stop: int, read_base: ReadBase) -> bytes:
        """The bytes of ``[start, stop)``, at most 16 MiB. SpoolError where what is on the disk is
        not what was written: all of it is compared with its checksums."""
        assert stop - start <= MOST_BYTES
        pieces = self.pieces(start, stop)
        wanted = [Stretch(each.position, each.length) for each in pieces if each.kind == "data"]
        data = iter(await self._of.file.read(wanted, self._of.mark, strictly=True))
        found = [
            next(data) if each.kind == "data" else await read_other(each, read_base)
            for each in pieces
        ]
        return found[0] if len(found) == 1 else b"".join(found)


async def read_other(piece: Piece, read_base: ReadBase) -> bytes:
    """The bytes of a hole or of the base version. BadResponseError if that is short."""
    if piece.kind == "hole":
        return bytes(piece.length)
    data = await read_base(piece.position, piece.length)
    if len(data) != piece.length:
        raise BadResponseError(f"the base version gave {len(data)} of {piece.length} bytes")
    return bytes(data)


# A generation in the journal, on the card, in another file


def row_of(draft_id: DraftId, generation: Generation) -> Change:
    record = {
        "file": generation.file.number,
        "data_bytes": generation.mark.end,
        "size_bytes": generation.size_bytes,
        "base_bytes": generation.extents.base_bytes,
        "mtime_ns": generation.mtime_ns,
        "generation": generation.number,
    }
    return Change(KIND, draft_id, record)


def pieces_of(draft_id: DraftId, stored: Generation | None, now: Generation) -> Pieces:
    """What the journal has to change from ``stored`` (None: unknown) to ``now``. Chunks are shared
    between maps until one of them changes, so that identity tells."""
    chunks = now.extents.chunks
    if stored is None or stored.file is not now.file:
        return Pieces(
            draft_id, True, {number: chunk.encode(number) for number, chunk in chunks.items()},
            now.file.sums.pages(now.mark, 0),
        )  # fmt: skip
    before = stored.extents.chunks
    extents: dict[int, bytes | None] = dict.fromkeys(before.keys() - chunks.keys())
    for number, chunk in chunks.items():
        if before.get(number) is not chunk:
            extents[number] = chunk.encode(number)
    return Pieces(draft_id, False, extents, now.file.sums.pages(now.mark, stored.mark.end))


def card_of(
    generation: Generation, draft: Mapping[str, Any] | None, *, with_all: bool = False
) -> dict[str, Any]:
    """The card; ``draft`` is the draft's row, as far as it is known. ``with_all`` extents, however
    many they are."""
    whole = generation.extents.is_whole(generation.size_bytes)
    lists = whole or with_all or generation.extents.count() <= CARD_EXTENTS
    return make_card(
        draft=draft,
        data=generation.file.path.name,
        size_bytes=generation.size_bytes,
        generation=generation.number,
        mtime_ns=generation.mtime_ns,
        whole=whole,
        base_bytes=generation.extents.base_bytes,
        extents=extent_list(generation) if lists else None,
    )


async def show(generation: Generation, draft: Mapping[str, Any] | None, disk: Disk) -> None:
    """Write the card. A comfort: that it fails is no failure of the confirmation."""
    card, directory = card_of(generation, draft), generation.file.path.parent

    def write() -> None:
        directory.mkdir(mode=0o700, exist_ok=True)
        write_card(directory, card)

    try:
        await disk.run(write, "write the card")
    except DriveError as error:
        log.warning("%s has no card: %s", directory, error.message)


def extent_list(generation: Generation) -> list[tuple[int, int, int]]:
    """Offset, length and position in the data file of all that was written, in order."""
    return [
        (piece.start, piece.length, piece.position)
        for piece in generation.extents.pieces(0, generation.size_bytes)
        if piece.kind == "data"
    ]


async def copied(
    old: Generation, file: DataFile, room: RoomCount, goes_on: Callable[[], bool]
) -> Generation | None:
    """The same generation with its bytes in ``file``, in their order; None once ``goes_on`` says
    no. The bytes are not durable yet."""
    extents = ExtentMap(old.extents.base_bytes)
    for begin, whole, place in extent_list(old):
        for done in range(0, whole, COPY_BYTES):
            length = min(COPY_BYTES, whole - done)
            wanted = [Stretch(place + done, length)]
            (data,) = await old.file.read(wanted, old.mark, strictly=True)
            await room.reserve(length)
            extents.put(begin + done, begin + done + length, file.append(data))
            if file.is_full(length):
                await file.spill()
            if not goes_on():
                return None
    await file.spill()
    return replace(old, extents=extents.freeze(), file=file, mark=file.sums.mark)

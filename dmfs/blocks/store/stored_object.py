"""One storage object as a process has it open in the block store, and its blocks."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from dataclasses import dataclass, field

from isal import isal_zlib

from dmfs.blocks.store.sparse_file import SparseFile
from dmfs.fetch.generation import Generation, Stretch
from dmfs.model import StorageId
from dmfs.spans import BLOCK_BYTES, Span, bytes_of

ABSENT, PRESENT, VERIFIED = 0, 1, 2


@dataclass(eq=False)
class StoredObject:
    """One storage object as this process has it open. Its fields change under the index's lock,
    except that ``states`` may be read on the loop at any time (a byte changes atomically)."""

    generation: Generation
    size_bytes: int
    states: bytearray = field(repr=False)
    row: int = 0
    """0 while nothing of the object is at rest; then ``data`` is its file."""
    data: SparseFile | None = None
    touched_at: float = 0.0
    checked: bool = False
    """All of it was compared with the service's sha1."""
    etags: dict[Stretch, str] = field(default_factory=dict)
    """Those of the generation that the index has as well."""
    old_files: list[SparseFile] = field(default_factory=list, repr=False)
    """Of a cache that was replaced; closed when the object is released."""

    @property
    def storage_id(self) -> StorageId:
        return self.generation.storage_id

    def complete(self) -> bool:
        """Whether every block is at rest."""
        return bool(self.row) and ABSENT not in self.states


def block_crc(storage_id: str, number: int, data: memoryview) -> int:
    """CRC-32 of a block, bound to its place. By isal: 40 GB/s and more, where zlib makes 4."""
    return isal_zlib.crc32(data, _seed(storage_id, number))


def _seed(storage_id: str, number: int) -> int:
    return isal_zlib.crc32(f"{storage_id} {number}".encode())


def right_bytes(
    stored: StoredObject, blocks: Span, data: memoryview, crcs: Mapping[int, int]
) -> int:
    """How many bytes of ``data``, read from the start of ``blocks``, are whole blocks that match
    ``crcs``.

    If they are all right (as ever), that takes one long call: after each of sixteen short ones the
    thread would wait for the interpreter, that is, for the loop to hand bytes to the kernel.
    """
    span = bytes_of(blocks, stored.size_bytes)
    if len(data) == span.length and isal_zlib.crc32(data) == _joint_crc(stored, blocks, crcs):
        return span.length
    good = 0
    for number in range(blocks.start, blocks.stop):
        expected = bytes_of(Span(number, number + 1), stored.size_bytes).length
        block = data[good : good + expected]
        if len(block) < expected or crcs.get(number) != block_crc(stored.storage_id, number, block):
            break
        good += expected
    return good


def _joint_crc(stored: StoredObject, blocks: Span, crcs: Mapping[int, int]) -> int | None:
    """The CRC-32 that ``blocks`` have as one stretch if each matches ``crcs``; None if there can be
    none. (If one of them does not match, theirs is another, but for the 2**-32 of every CRC.)"""
    joint = 0
    try:
        for number in range(blocks.start, blocks.stop):
            size_bytes = bytes_of(Span(number, number + 1), stored.size_bytes).length
            # without its seed: the CRC is linear, and combining adds the first one's shift
            plain = isal_zlib.crc32_combine(
                _seed(stored.storage_id, number), crcs[number], size_bytes
            )
            joint = isal_zlib.crc32_combine(joint, plain, size_bytes)
    except (KeyError, TypeError, OverflowError):
        return None  # a row that is missing, or that another program wrote
    return joint


def block_of(data: memoryview, index: int) -> memoryview:
    """The ``index``-th block of ``data``; the last one may be short."""
    return data[index * BLOCK_BYTES : (index + 1) * BLOCK_BYTES]


def crcs_of(stored: StoredObject, blocks: Mapping[int, memoryview]) -> list[tuple[int, int]]:
    """Number and checksum of each block."""
    return [(n, block_crc(stored.storage_id, n, data)) for n, data in blocks.items()]


def file_of(stored: StoredObject) -> SparseFile:
    """Of a stored with something at rest; an OSError where it was let go meanwhile."""
    if stored.data is None:
        raise OSError(errno.EBADF, "the object was closed")
    return stored.data

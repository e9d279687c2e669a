"""Where an open may do without a signing: leave to read is a folder's, so one file's answer is good
for its siblings, for a while.

All in memory, of this sign-in alone, and bounded: what is forgotten costs a signing.
"""

from __future__ import annotations

import cachetools
import trio

from dmfs.model import File, StorageId

LEAVE_S = 900.0
"""For so long an answer holds. Permissions may change; nothing tells when."""
FOLDERS_REMEMBERED = 4096
REFUSED_REMEMBERED = 4096

_Kind = tuple[str, str, str]


class ReadLeave:
    """What the service's signings told: ``granted``, ``refused``; ``covers`` asks."""

    def __init__(self) -> None:
        self._given: cachetools.TTLCache[_Kind, None] = cachetools.TTLCache(
            FOLDERS_REMEMBERED, LEAVE_S, timer=trio.current_time
        )
        self._refused: cachetools.LRUCache[StorageId, None] = cachetools.LRUCache(
            REFUSED_REMEMBERED
        )
        self._wrong_sizes: cachetools.LRUCache[_Kind, None] = cachetools.LRUCache(
            FOLDERS_REMEMBERED
        )

    def granted(self, file: File, size_bytes: int) -> None:
        """The file was signed, and is of that size."""
        self._refused.pop(file.storage_id, None)
        if file.size_bytes == size_bytes:
            self._given[_kind(file)] = None
        elif file.size_bytes is not None:
            self._wrong_sizes[_kind(file)] = None

    def refused(self, file: File, *, with_siblings: bool) -> None:
        """The file cannot be read; with its siblings where that may be a matter of permissions."""
        self._refused[file.storage_id] = None
        if with_siblings:
            self._given.pop(_kind(file), None)

    def covers(self, file: File) -> bool:
        """Whether the file may be opened on the listing's word: a sibling of its type was signed
        lately, with the size that was listed, and none with another one."""
        kind = _kind(file)
        return (
            bool(file.size_bytes)  # of an empty file the kernel asks no byte: nobody would notice
            and kind in self._given
            and kind not in self._wrong_sizes
            and file.storage_id not in self._refused
        )


def _kind(file: File) -> _Kind:
    """A folder and a type: the published bytes of a cloud model may have another size than listed,
    where those of every uploaded file have the right one."""
    return file.project_id, file.folder_id, file.extension_type

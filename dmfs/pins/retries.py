"""What failed, and is not tried again for a while."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from dmfs.errors import (
    DriveError,
    OfflineError,
    SignedOutError,
    UnreachableError,
    WrongBytesError,
)
from dmfs.model import StorageId
from dmfs.pins.records import Key, PinnedFile
from dmfs.system.backoff import Cooldown

RETRY_FIRST_S, RETRY_MAX_S = 5.0, 300.0
"""After a failure of a file or a directory."""
WRONG_FIRST_S, WRONG_MAX_S = 3600.0, 86400.0
"""After bytes that were wrong twice: each try fetches all of them."""


class _Failed(NamedTuple):
    wrong: bool
    """Of its bytes."""
    failures: int
    pause: Cooldown


class Retries:
    """Of files, directories and questions, each by a key of its own."""

    def __init__(self) -> None:
        self._failed: dict[object, _Failed] = {}

    def may_try(self, what: object) -> bool:
        return what not in self._failed or self._failed[what].pause.is_over

    def failed(self, what: object, error: DriveError | None) -> None:
        """Not again for a while, which doubles. A network that is away is the breaker's affair;
        bytes that are wrong may have gone wrong on their way, once."""
        wrong, before = isinstance(error, WrongBytesError), self._failed.get(what)
        failures = before.failures + 1 if before is not None and before.wrong == wrong else 1
        if isinstance(error, OfflineError):
            failures = 1
        pause_s = min(RETRY_FIRST_S * 2 ** (failures - 1), RETRY_MAX_S)
        if wrong and failures > 1:
            pause_s = min(WRONG_FIRST_S * 2 ** (failures - 2), WRONG_MAX_S)
        self._start(what, _Failed(wrong, failures, Cooldown(pause_s)))

    def was_wrong(self, what: object) -> None:
        """Its bytes were, before this process began."""
        if what not in self._failed:
            self._start(what, _Failed(True, 2, Cooldown(WRONG_FIRST_S)))

    def _start(self, what: object, failed: _Failed) -> None:
        failed.pause.start()
        self._failed[what] = failed

    def worked(self, what: object) -> None:
        """It may be tried at any time."""
        self._failed.pop(what, None)

    def keep(self, those: Collection[object]) -> None:
        """Forget what nobody tries again: its pause would be over for ever."""
        for each in self._failed.keys() - set(those):
            del self._failed[each]

    def due(self) -> bool:
        """Whether something that failed may be tried again now."""
        return any(each.pause.is_over for each in self._failed.values())


def is_everybodys(error: DriveError) -> bool:
    """Whether it says nothing of this file."""
    return isinstance(error, UnreachableError | SignedOutError)


def what(file: PinnedFile) -> tuple[Key, StorageId]:
    """By which it is known that its fetch failed: another version is tried at once."""
    return file.key, file.coming.storage_id if file.coming is not None else StorageId("")

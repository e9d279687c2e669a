"""What a failure means for an upload: it waits, or it is for a person. Pure."""

from __future__ import annotations

from enum import Enum, auto
from typing import NamedTuple

from dmfs import errors

LOCKED_LOOK_S = 300.0
IN_USE_MAX_S = 1800.0
"""So long a version may be in the middle of being processed."""
FIRST_S, MAX_S = 5.0, 300.0
SIGNED_OUT_LOOK_S = 300.0


class Kind(Enum):
    """Of a pause."""

    BACKOFF = auto()
    """Doubled each time, 5 s to 5 min."""
    FIXED = auto()
    FAILED = auto()
    """No pause: only a person ends it."""


class Pause(NamedTuple):
    """``wait_s``: of FIXED, and the least of BACKOFF."""

    kind: Kind
    reason: str
    wait_s: float = 0.0


class Stop(Exception):
    """An upload that cannot go on: its reason is for a person."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Anew(Exception):
    """Its storage or its session is of no use any more: another one. ``counts``: because the
    service has other bytes than ours, which must not go on for ever."""

    def __init__(self, reason: str, *, counts: bool = True) -> None:
        super().__init__(reason)
        self.reason, self.counts = reason, counts


class Wait(Exception):
    """Not now."""

    def __init__(self, reason: str, wait_s: float) -> None:
        super().__init__(reason)
        self.pause = Pause(Kind.FIXED, reason, wait_s)


SIGNED_OUT = (errors.SignedOutError, errors.TokenRefusedError, errors.GrantRefusedError)
UNKNOWN = (errors.UnknownOutcomeError, errors.DeadlineError, errors.BadResponseError)
"""After these a change may have happened, or may happen yet."""
GONE = (errors.NotFoundError, errors.GoneError)


def pause_after(error: errors.DriveError, in_use_s: float) -> Pause:
    """What to do after a step failed. ``in_use_s``: how long it has been busy already."""
    if isinstance(error, SIGNED_OUT):
        return Pause(Kind.FIXED, "signed out", SIGNED_OUT_LOOK_S)
    if isinstance(error, errors.LockedError):
        return Pause(Kind.FIXED, error.message, LOCKED_LOOK_S)
    if isinstance(error, errors.InUseError) and in_use_s < IN_USE_MAX_S:
        return Pause(Kind.BACKOFF, error.message)
    if isinstance(error, errors.UnknownOutcomeError):
        return Pause(Kind.BACKOFF, error.message)
    if isinstance(error, errors.UnreachableError):
        return Pause(Kind.BACKOFF, "offline")
    if isinstance(error, errors.BusyError):
        return Pause(Kind.BACKOFF, "the service is busy", error.retry_after_s or 0.0)
    if isinstance(error, _FOR_A_PERSON):
        return Pause(Kind.FAILED, error.message)
    return Pause(Kind.BACKOFF, error.message, error.retry_after_s or 0.0)


_FOR_A_PERSON = (
    errors.AccessError,
    errors.InUseError,
    errors.BadInputError,
    errors.NameTakenError,
    errors.BadNameError,
    errors.NameTooLongError,
    errors.NotPermittedError,
    errors.NotFoundError,
    errors.GoneError,
    errors.SpoolLimitError,
)

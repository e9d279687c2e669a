"""Everything that can go wrong, as the user of a drive would name it.

Floor 0. Below ``fuse.py`` only these fly (and bugs). Each class carries the errno that the kernel
will be told, so the translation is complete by construction and nothing ever searches a text.

    DriveError                EIO
    ├── NotFoundError         ENOENT      nothing of that name; a definite answer
    ├── NotADirectory   ENOTDIR
    ├── IsADirectory    EISDIR
    ├── AccessError           EACCES      no permission, not signed in
    │   ├── TokenRefusedError             the token was refused: renew once
    │   ├── SignedOutError                nobody is signed in, or no more
    │   └── GrantRefusedError             the token endpoint said no
    ├── BusyError             EBUSY       rate-limited (429) beyond the deadline
    │   └── SpeculationDropped                  speculation that gave way
    ├── UnreachableError      EIO         network or service down
    │   └── OfflineError                  known to be down: nothing was tried
    ├── BadResponseError        EIO         an answer that is damaged or makes no sense
    ├── DeadlineError          ETIMEDOUT   slower than the deadline
    ├── GoneError             ESTALE      the bytes of an open version are gone
    ├── ReadOnlyError         EROFS       any write
    ├── NoAttributeError      ENODATA     unknown xattr
    ├── UnsupportedError      EOPNOTSUPP  xattr of a foreign namespace
    └── SetupError            EINVAL      configuration, mountpoint: fix and start again
        └── UsageError                    the command line itself: exit code 2
"""

from __future__ import annotations

import copy
import errno
from typing import ClassVar, Self


class DriveError(Exception):
    """A failure that a person should be able to understand and act on.

    ``message`` is one line that says what is wrong; ``hint`` is one line that says what to do
    (may be empty). Neither may ever hold a token, a client secret or a signed URL.
    """

    errno: ClassVar[int] = errno.EIO

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.status = 0
        """The HTTP status that it was made of, where there was one."""
        self.request_id = ""
        """The service's own number of the request, for a word with its support."""
        self.retry_after_s: float | None = None
        """When the service wants to be asked again at the earliest, where it said so."""

    def again(self) -> Self:
        """A copy to raise to one more waiter (one instance raised twice mixes tracebacks)."""
        twin = copy.copy(self)
        twin.__traceback__ = None
        twin.__cause__ = self
        return twin


class NotFoundError(DriveError):
    """Nothing of that name: said by an answer that was complete, never by a failure."""

    errno = errno.ENOENT


class NotADirectory(DriveError):
    """A file where a directory was needed."""

    errno = errno.ENOTDIR


class IsADirectory(DriveError):
    """A directory where a file was needed."""

    errno = errno.EISDIR


class AccessError(DriveError):
    """The service knows who asks and says no, or nobody is signed in."""

    errno = errno.EACCES


class TokenRefusedError(AccessError):
    """HTTP 401: the token expired, was revoked, or lacks a scope. Renewed once, never in a loop."""


class SignedOutError(AccessError):
    """Nobody is signed in, or the sign-in cannot be used. Never remembered as an answer about a
    file or a folder: it ends with the next ``dmfs login``."""


class GrantRefusedError(AccessError):
    """The token endpoint said no; ``code`` is OAuth's word for why, such as ``invalid_grant``."""

    def __init__(self, message: str, *, hint: str = "", code: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code


class BusyError(DriveError):
    """The rate limit holds us off for longer than the request may take."""

    errno = errno.EBUSY


class SpeculationDropped(BusyError):
    """Speculation that gave way; whoever joined it asks again for itself."""


class UnreachableError(DriveError):
    """The network or the service is down."""

    errno = errno.EIO


class OfflineError(UnreachableError):
    """Known to be down: nothing was tried."""


class BadResponseError(DriveError):
    """An answer that is damaged, oversized or contradicts itself."""

    errno = errno.EIO


class DeadlineError(DriveError):
    """The deadline of the request passed first."""

    errno = errno.ETIMEDOUT


class GoneError(DriveError):
    """The bytes of a version that was listed or opened are no longer there."""

    errno = errno.ESTALE


class ReadOnlyError(DriveError):
    """The drive does not take writes."""

    errno = errno.EROFS


class NoAttributeError(DriveError):
    """An xattr of ours that does not apply here."""

    errno = errno.ENODATA


class UnsupportedError(DriveError):
    """An xattr namespace that the drive does not keep.

    EOPNOTSUPP rather than ENODATA: coreutils then stops probing the device, which took
    ``ls -l`` of 10 000 files from 1.3 s to 0.05 s.
    """

    errno = errno.EOPNOTSUPP


class SetupError(DriveError):
    """Bad configuration, credentials or mountpoint; the start fails with this line."""

    errno = errno.EINVAL


class UsageError(SetupError):
    """What was typed makes no sense; trying again will not help (exit code 2)."""


class UrlRefusedError(DriveError):
    """403 from the CDN: the URL expired (or was revoked). A fresh one is to be signed."""


class ObjectChangedError(BadResponseError):
    """The storage object has another content now: an open file must not mix the two."""

    errno = GoneError.errno


class ETagDiffersError(ObjectChangedError):
    """Right in everything but the ETag: it is not known yet which of the two is the odd one."""

    errno = errno.EIO


class KeyringError(SignedOutError):
    """The keyring is locked, silent, absent or refuses."""

"""All errors of the drive, each with the errno that the kernel gets.

Below ``fuse`` the drive raises only these; any other exception is a bug. The errno stands on the
class, so the translation is complete by construction and no code searches a text.

    DriveError                 EIO
    ├── NotFoundError          ENOENT      a complete answer does not contain the name
    ├── NameTooLongError       ENAMETOOLONG over 255 bytes: no entry can have it
    ├── NotADirectory          ENOTDIR
    ├── IsADirectory           EISDIR
    ├── AccessError            EACCES      no permission, not signed in
    │   ├── TokenRefusedError              the service refuses the token: renew it once
    │   ├── SignedOutError                 no user is signed in
    │   │   └── KeyringError               the desktop's keyring does not work
    │   └── GrantRefusedError              the token endpoint refuses
    ├── BusyError              EBUSY       rate-limited (429) beyond the deadline
    │   └── SpeculationDropped             speculation that gave way
    ├── UnreachableError       EIO         the network or the service is down
    │   ├── OfflineError                   the drive knows that it is down and does not try
    │   ├── MountGoneError                 nobody answers at a mount's control socket
    │   └── CertificateError               the host's certificate is not trusted
    ├── BadResponseError       EIO         a response that is damaged or contradicts itself
    │   ├── PartialAnswerError             some entries of a directory cannot be told
    │   ├── WrongBytesError                all came, and their checksum is another one
    │   └── ObjectChangedError             another ETag than before
    │       └── ETagDiffersError           only the ETag is wrong
    ├── UrlRefusedError        EIO         the CDN refuses the signed URL
    ├── DeadlineError          ETIMEDOUT   slower than the deadline
    │   └── StalledError                   it just was, and is not waited for again
    ├── ShortageError          ENOBUFS     this machine ran out of something
    │   └── TooLargeError      ENOMEM      a result does not fit into memory
    ├── GoneError              ESTALE      the bytes of an open version are gone
    ├── ReadOnlyError          EROFS       any write without ``rw``
    ├── NoRoomError            ENOSPC      no room on the disk for what is to be stored
    ├── SpoolLimitError        EDQUOT      the spool's own limit, or the service's for a folder
    ├── SpoolError             EIO         the spool or its journal does not take or give bytes
    ├── NotPermittedError      EPERM       the service has no call for it
    ├── BadNameError           EINVAL      a name that the service refuses
    ├── ExistsError            EEXIST      the name is taken
    ├── NotEmptyError          ENOTEMPTY
    ├── OtherFolderError       EXDEV       an item does not move between folders
    ├── LockedError (AccessError) EACCES   reserved by somebody else
    ├── BadInputError          EINVAL      HTTP 400: the service does not take the request
    ├── NameTakenError         EEXIST      HTTP 409: another object of that name
    ├── InUseError             EBUSY       HTTP 409 else: modified, or being processed
    ├── UnknownOutcomeError (UnreachableError) EIO  sent, and no answer says whether it happened
    ├── InDoubtError           EIO         a design may have been ordered: nobody can tell
    ├── PartsRefusedError      EIO         a completion that names missing or wrong parts
    ├── NoAttributeError       ENODATA     unknown xattr
    ├── UnsupportedError       EOPNOTSUPP  xattr of a foreign namespace
    └── SetupError             EINVAL      configuration, mountpoint: fix it and start again
        ├── SpoolTakenError                another process has the spool
        └── UsageError                     the command line: exit code 2
"""

from __future__ import annotations

import copy
import errno
from collections.abc import Sequence
from typing import Any, ClassVar, Self


class DriveError(Exception):
    """A failure that a user can understand and act on.

    ``message`` is one line that says what is wrong; ``hint`` is one line that says what to do
    (may be empty). Neither may contain a token, a client secret or a signed URL.
    """

    errno: ClassVar[int] = errno.EIO

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.status = 0
        """HTTP status of the response behind this error; 0 if there was none."""
        self.request_id = ""
        """The service's id of the request, for its support; '' if there is none."""
        self.retry_after_s: float | None = None
        """Retry-After in seconds, if sent."""

    def copy(self) -> Self:
        """A copy to raise in one more waiter: one instance raised twice mixes tracebacks."""
        twin = copy.copy(self)
        twin.__traceback__ = None
        twin.__cause__ = self
        return twin


class NotFoundError(DriveError):
    """There is nothing of that name. Only a complete answer raises this, never a failure."""

    errno = errno.ENOENT


class NameTooLongError(DriveError):
    """A name over 255 bytes. No entry has one, and none can be made."""

    errno = errno.ENAMETOOLONG


class NotADirectory(DriveError):
    """A file where a directory was needed."""

    errno = errno.ENOTDIR


class IsADirectory(DriveError):
    """A directory where a file was needed."""

    errno = errno.EISDIR


class AccessError(DriveError):
    """The service knows the user and refuses, or no user is signed in."""

    errno = errno.EACCES


class NeighbourRefusedError(AccessError):
    """The file would have to be fetched for a program that opens all it sees. Counted by the drive,
    and no failure that a person has to hear of."""


class TokenRefusedError(AccessError):
    """HTTP 401: the token expired, was revoked, or lacks a scope. Renewed once, never in a loop."""


class SignedOutError(AccessError):
    """No user is signed in, or the sign-in does not work. Caches do not store it as an answer about
    a file or a folder: it ends with the next ``dmfs login``."""


class GrantRefusedError(AccessError):
    """The token endpoint refuses; ``code`` is OAuth's error code, such as ``invalid_grant``."""

    def __init__(self, message: str, *, hint: str = "", code: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code


class BusyError(DriveError):
    """The rate limit delays the request beyond its deadline."""

    errno = errno.EBUSY


class SpeculationDropped(BusyError):
    """Speculation that gave way; a request that joined it must start its own call."""


class UnreachableError(DriveError):
    """The network or the service is down."""

    errno = errno.EIO


class OfflineError(UnreachableError):
    """The drive knows that the network or the service is down, and does not try."""


class MountGoneError(UnreachableError):
    """Nobody answers at a mount's control socket: its process is gone."""


class CertificateError(UnreachableError):
    """The host's certificate is not trusted: a proxy of this network, or a wrong clock."""


class BadResponseError(DriveError):
    """A response that is damaged, too large or contradicts itself."""

    errno = errno.EIO


class PartialAnswerError(BadResponseError):
    """Rows of an answer that not even a name is known of; the rest of it is whole."""

    def __init__(
        self, message: str, rest: Sequence[Any] = (), lost: Sequence[str] = (), *, hint: str = ""
    ) -> None:
        super().__init__(message, hint=hint)
        self.rest = rest
        """The children that are known."""
        self.lost = lost
        """Of each lost row its id, '' where that is unknown too."""


class DeadlineError(DriveError):
    """The deadline of the request passed before its answer came."""

    errno = errno.ETIMEDOUT


class StalledError(DeadlineError):
    """The same let a whole deadline pass a moment ago and has not answered since: fails at once, or
    after a short wait. ``retry_after_s``: when it is looked at again."""


class ShortageError(DriveError):
    """This machine has no more descriptors, memory, threads or disk space: not the service's fault,
    and nothing to remember."""

    errno = errno.ENOBUFS


class TooLargeError(ShortageError):
    """A result is larger than the memory that this process may have."""

    errno = errno.ENOMEM


class NoRoomError(DriveError):
    """The cache on disk has no room for what is to be kept there."""

    errno = errno.ENOSPC


class GoneError(DriveError):
    """The service no longer has the bytes of a version that it listed, or that is open."""

    errno = errno.ESTALE


class ReadOnlyError(DriveError):
    """The drive does not accept writes."""

    errno = errno.EROFS


class SpoolLimitError(DriveError):
    """More than the spool may hold, or than a folder of the service takes."""

    errno = errno.EDQUOT


class SpoolError(DriveError):
    """The spool or its journal does not take bytes, or what it gives is not what it took."""


class NotPermittedError(DriveError):
    """The service has no call for this, whoever asks."""

    errno = errno.EPERM


class BadNameError(DriveError):
    """A name that the service does not take."""

    errno = errno.EINVAL


class ExistsError(DriveError):
    """There is something of that name."""

    errno = errno.EEXIST


class NotEmptyError(DriveError):
    """A directory that is to go has entries."""

    errno = errno.ENOTEMPTY


class OtherFolderError(DriveError):
    """The service does not move an item to another folder: mv(1) copies and deletes then."""

    errno = errno.EXDEV


class LockedError(AccessError):
    """The item is reserved by another user."""


class BadInputError(DriveError):
    """HTTP 400: the service does not take the request as it is."""

    errno = errno.EINVAL


class NameTakenError(DriveError):
    """HTTP 409: the container has another object of that name."""

    errno = errno.EEXIST


class InUseError(DriveError):
    """HTTP 409 in its other meanings: modified meanwhile, or being uploaded, updated or copied."""

    errno = errno.EBUSY


class UnknownOutcomeError(UnreachableError):
    """A change was sent, and no answer says whether it happened: look before you send it again."""


class InDoubtError(DriveError):
    """An export may have been ordered, and the service has no way to tell whether it was."""


class PartsRefusedError(DriveError):
    """A completion of an upload that the storage refuses; ``parts`` are the numbers (from 1) of
    those that are missing or wrong, none where it does not say."""

    def __init__(self, message: str, parts: Sequence[int] = (), *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.parts = tuple(parts)


class NoAttributeError(DriveError):
    """A ``user.dmfs.`` xattr that does not apply to this node."""

    errno = errno.ENODATA


class UnsupportedError(DriveError):
    """An xattr namespace that the drive does not serve.

    EOPNOTSUPP rather than ENODATA: coreutils then stops probing the device, so that ``ls -l`` of
    10 000 files takes 0.05 s instead of 1.3 s.
    """

    errno = errno.EOPNOTSUPP


class SetupError(DriveError):
    """Bad configuration, credentials or mountpoint; the start fails with this line."""

    errno = errno.EINVAL


class SpoolTakenError(SetupError):
    """Another process has the spool."""


class UsageError(SetupError):
    """The command line makes no sense; trying again will not help (exit code 2)."""


class UrlRefusedError(DriveError):
    """403 from the CDN: the URL expired or the service revoked it. The caller signs a new one."""


class WrongBytesError(BadResponseError):
    """All bytes came, and they are not what the service's sha1 says."""


class ObjectChangedError(BadResponseError):
    """The storage object has another content now: an open file must not mix the two."""

    errno = GoneError.errno


class ETagDiffersError(ObjectChangedError):
    """Right in everything but the ETag: it is not known yet which of the two is the odd one."""

    errno = errno.EIO


class KeyringError(SignedOutError):
    """The keyring is locked, silent, absent or refuses."""

"""``@request``: what every handler of a FUSE request needs around it.

A deadline (a process blocked in lookup ignores SIGKILL until it is answered), an access line, a
counter, and a net that turns any exception into an errno: anything but FUSEError ends
``pyfuse3.main`` and unmounts the drive under its users. The one place where a DriveError becomes
an errno.
"""

from __future__ import annotations

import errno
import functools
import logging
import os
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

import pyfuse3
import trio

from dmfs.errors import DriveError, NeighbourRefusedError, ShortageError
from dmfs.ratelimit.limits import Priority
from dmfs.ratelimit.priority import RequestPriority, at_priority
from dmfs.system.concurrency import deadline
from dmfs.system.resources import shortage_of
from dmfs.telemetry.access_log import AccessRecord, access
from dmfs.telemetry.activity import Activity
from dmfs.telemetry.processes import Process

log = logging.getLogger(__name__)

EVERYDAY = frozenset(
    {errno.ENOENT, errno.ENAMETOOLONG, errno.EROFS, errno.ENODATA, errno.EOPNOTSUPP, errno.EISDIR}
)
"""Programs meet these all the time: no warning in the log."""


def wants_to_write(flags: int) -> bool:
    """Whether the flags of an open(2) ask for more than reading."""
    return flags & os.O_ACCMODE != os.O_RDONLY or bool(flags & os.O_TRUNC)


class Handlers(Protocol):
    """What ``@request`` needs of the object whose methods it decorates."""

    metadata_timeout_s: float
    data_timeout_s: float
    count_request: Callable[[str, str, float], None]
    activity: Activity

    def process_of(self, arguments: tuple[Any, ...]) -> Process:
        """Who makes the request of these arguments of a handler."""
        ...


H = TypeVar("H", bound=Handlers)
P = ParamSpec("P")
R = TypeVar("R")
Handler = Callable[Concatenate[H, P], Coroutine[Any, Any, R]]


def request(
    *, data: bool = False, names: bool = False
) -> Callable[[Handler[H, P, R]], Handler[H, P, R]]:
    """Decorate a handler; ``data`` chooses the longer deadline, ``names`` means that indexers and
    thumbnailers wait behind all others, and nothing is listed ahead of them nor polled for them."""

    def wrap(handler: Handler[H, P, R]) -> Handler[H, P, R]:
        name = handler.__name__.strip("_")

        @functools.wraps(handler)
        async def guarded(self: H, /, *args: P.args, **kwargs: P.kwargs) -> R:
            record = AccessRecord(name, self.process_of(args))
            self.activity.begin(record)
            access.set(record)
            code = errno.EIO
            try:
                with deadline(self.data_timeout_s if data else self.metadata_timeout_s, name):
                    if names and record.process.kind is not None:
                        with at_priority(RequestPriority(Priority.POLL)):
                            result = await handler(self, *args, **kwargs)
                    else:
                        result = await handler(self, *args, **kwargs)
                code = 0
                return result
            except DriveError as error:
                code = error.errno
                quiet = code in EVERYDAY or isinstance(error, NeighbourRefusedError)
                record.failed(error, logging.DEBUG if quiet else logging.WARNING)
                if not quiet:
                    self.activity.on_failure(record, error, errno.errorcode.get(code, str(code)))
            except pyfuse3.FUSEError as error:
                code = error.errno
                raise
            except Exception as error:
                short = shortage_of(error)
                failure: DriveError
                if short:
                    code, failure = (
                        ShortageError.errno,
                        ShortageError(f"this machine has no {short}"),
                    )
                    log.warning("%s %s: this machine has no more %s", name, record.path, short)
                else:
                    failure = DriveError("a bug in dmfs", hint="its log has more")
                    log.exception("bug in %s %s", name, record.path)
                self.activity.on_failure(record, failure, errno.errorcode[code])
            finally:
                record.done(code)
                outcome = errno.errorcode.get(code, str(code)) if code else "ok"
                self.count_request(name, outcome, trio.current_time() - record.started)
                self.activity.end(record, outcome)
            raise pyfuse3.FUSEError(code)

        return guarded

    return wrap

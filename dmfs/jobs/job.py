"""What a job is: one verb with parameters, which tells its progress as JSON objects.

A door (the control socket, the command line without a mount) looks a job up by its verb, runs it,
and passes on what it tells. Whoever cancels it loses nothing: each job can be repeated.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from dmfs.errors import UsageError

if TYPE_CHECKING:  # what is told of parameters is of use without a drive, too
    from dmfs.drive import Drive

Event = Mapping[str, Any]
"""One line of progress. ``event`` says of what kind it is; the last one is ``done``."""
Tell = Callable[[Event], Awaitable[None]]
"""Takes one event; waits while the reader is slow."""
Parameters = Mapping[str, Any]
"""As they came over the wire: any JSON values."""
Job: TypeAlias = "Callable[[Drive, Parameters, Tell], Awaitable[None]]"
"""Runs to its end; DriveError if it cannot, UsageError for parameters that make no sense."""


def text_of(parameters: Parameters, key: str, default: str | None = None) -> str:
    """A parameter that is a text. UsageError if it is missing or another type."""
    value = parameters.get(key, default)
    if not isinstance(value, str):
        raise UsageError(f"{key} is missing, or no text")
    return value


def texts_of(parameters: Parameters, key: str) -> list[str]:
    """A parameter that is a list of texts, at least one."""
    values = parameters.get(key)
    if not isinstance(values, list) or not values or not all(isinstance(v, str) for v in values):
        raise UsageError(f"{key} is missing, or no list of texts")
    return list(values)


def flag_of(parameters: Parameters, key: str) -> bool:
    """A parameter that is true or false; false where it is missing."""
    value = parameters.get(key, False)
    if not isinstance(value, bool):
        raise UsageError(f"{key} is neither true nor false")
    return value

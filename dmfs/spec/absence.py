"""What fsspec asks by way of failure, answered honestly: only what is not there is absent.

fsspec's own ``exists``, ``isfile`` and ``isdir`` say False to any error, and its ``walk`` leaves
out what it cannot list: a program that copies or deletes by them would take an outage for an
empty folder.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from dmfs.spec.address import path_of

ABSENT = (errno.ENOENT, errno.ENOTDIR)

OnError = str | Callable[[OSError], object]
Found = tuple[str, Any, Any]
"""A directory, its directories and its files: lists of names, or facts by name (``detail``)."""


class _Names(Protocol):
    def info(self, path: str, **more: Any) -> dict[str, Any]: ...

    def ls(self, path: str, detail: bool = True, **more: Any) -> list[Any]: ...

    def walk(self, path: str, *given: Any, **more: Any) -> Iterator[Found]: ...


def kind_of(fs: _Names, path: str) -> str | None:
    """``file``, ``directory``, or None for what is not there. OSError if it cannot be told."""
    try:
        return str(fs.info(path)["type"])
    except OSError as error:
        if error.errno in ABSENT:
            return None
        raise


def taker_of(on_error: OnError) -> Callable[[OSError], object] | None:
    """What takes an error; None if it is raised."""
    if callable(on_error):
        return on_error
    return (lambda _: None) if on_error == "omit" else None


class HonestNames:
    """For a filesystem of fsspec that has ``info`` and ``ls``."""

    def exists(self: _Names, path: str, **_: Any) -> bool:
        """OSError if it cannot be told."""
        return kind_of(self, path) is not None

    def isdir(self: _Names, path: str) -> bool:
        """OSError if it cannot be told."""
        return kind_of(self, path) == "directory"

    def isfile(self: _Names, path: str) -> bool:
        """OSError if it cannot be told."""
        return kind_of(self, path) == "file"

    def walk(
        self: _Names, path: str, maxdepth: int | None = None, topdown: bool = True,
        on_error: OnError = "raise", detail: bool = False, **more: Any,
    ) -> Iterator[Found]:  # fmt: skip
        """As ``os.walk``; a caller may take names out of the directories. ``on_error`` holds for
        the whole tree: ``raise`` (fsspec's default is ``omit``), ``omit``, or a function that is
        called with the OSError. A path that is not there gives nothing."""
        if maxdepth is not None and maxdepth < 1:
            raise ValueError("maxdepth must be at least 1")
        path = path_of(str(path))
        try:
            listing = self.ls(path, detail=True, **more)
        except OSError as error:
            taker = taker_of(on_error)
            if taker is not None:
                taker(error)
            elif error.errno not in ABSENT:
                raise
            return
        facts = {each["name"].rpartition("/")[2]: each for each in listing if each["name"] != path}
        directories = {name: each for name, each in facts.items() if each["type"] == "directory"}
        files: dict[str, Any] = {
            name: each for name, each in facts.items() if name not in directories
        }
        if not facts and listing:
            files[""] = listing[0]
        found = (path, directories, files) if detail else (path, list(directories), list(files))
        if topdown:
            yield found
        if maxdepth is None or maxdepth > 1:
            deeper = None if maxdepth is None else maxdepth - 1
            for name in list(found[1]):
                below = f"{path.rstrip('/')}/{name}"
                yield from self.walk(below, deeper, topdown, on_error, detail, **more)
        if not topdown:
            yield found

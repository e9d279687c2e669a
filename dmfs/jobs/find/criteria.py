"""What ``find`` looks for: names, kind, size and time of entries. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dmfs.errors import UsageError
from dmfs.jobs.find.globs import compiled
from dmfs.jobs.job import Parameters
from dmfs.jobs.selection import newer_ns_of
from dmfs.setting_types import parse_size

FILES, DIRECTORIES = "f", "d"


@dataclass(frozen=True, slots=True)
class SizeTest:
    """``+10M``: larger than that (``sign`` 1), ``-4K``: smaller (-1), ``10``: just that (0)."""

    sign: int
    size_bytes: int

    def takes(self, size_bytes: int) -> bool:
        """Whether a file of this size is meant."""
        if self.sign > 0:
            return size_bytes > self.size_bytes
        return size_bytes < self.size_bytes if self.sign else size_bytes == self.size_bytes


@dataclass(frozen=True, slots=True)
class Criteria:
    """All of them must hold. None, or '', is no condition."""

    name: str | None = None
    """A glob, as of find(1)."""
    any_case: str | None = None
    """A glob in which upper and lower case are equal."""
    kind: str = ""
    newer_ns: int | None = None
    size: SizeTest | None = None

    @property
    def only_files(self) -> bool:
        """Whether no directory can be meant. A size is a file's."""
        return self.kind == FILES or self.size is not None

    @property
    def needs_details(self) -> bool:
        """Whether name and kind do not decide."""
        return self.newer_ns is not None or self.size is not None

    def of_names(self) -> Callable[[str], bool]:
        """Whether a name is meant."""
        tests = []
        if self.name is not None:
            tests.append(compiled(self.name).match)
        if self.any_case is not None:
            tests.append(compiled(self.any_case, any_case=True).match)
        if len(tests) == 1:
            (only,) = tests
            return lambda name: only(name) is not None
        return lambda name: all(test(name) for test in tests)

    def takes_kind(self, *, is_directory: bool) -> bool:
        """Whether files or directories are meant."""
        return not (self.only_files if is_directory else self.kind == DIRECTORIES)

    def takes_details(self, size_bytes: int, mtime_ns: int) -> bool:
        """Whether size and time are as they are meant."""
        return (self.newer_ns is None or mtime_ns > self.newer_ns) and (
            self.size is None or self.size.takes(size_bytes)
        )


def criteria_of(parameters: Parameters, now_s: float) -> Criteria:
    """``name``, ``iname``, ``type``, ``newer`` and ``size`` of a job; each may be missing.
    UsageError."""
    kind = parameters.get("type") or ""
    if kind not in ("", FILES, DIRECTORIES):
        raise UsageError(f"type: {kind!r} is neither f (files) nor d (directories)")
    newer, size = parameters.get("newer"), parameters.get("size")
    criteria = Criteria(
        _glob(parameters, "name"),
        _glob(parameters, "iname"),
        kind,
        None if newer is None else newer_ns_of(newer, now_s),
        None if size is None else size_of(size),
    )
    if criteria.size is not None and kind == DIRECTORIES:
        raise UsageError("a directory has no size", hint="size goes with files: -type f")
    return criteria


def size_of(text: object) -> SizeTest:
    """``+10M`` and the like. UsageError."""
    words = text.strip() if isinstance(text, str) else ""
    sign = {"+": 1, "-": -1}.get(words[:1], 0)
    try:
        return SizeTest(sign, parse_size(words[1:] if sign else words))
    except ValueError:
        raise UsageError(
            f"size: {text!r} is no size", hint="such as +10M (more), -4K (less), 4096 (bytes)"
        ) from None


def _glob(parameters: Parameters, key: str) -> str | None:
    glob = parameters.get(key)
    if glob is None:
        return None
    if not isinstance(glob, str) or not glob:
        raise UsageError(f"{key}: the pattern is empty", hint="such as '*.rvt'; '*' is any name")
    if "/" in glob:
        raise UsageError(
            f"{key}: no name has a '/' in it, so {glob!r} is none's",
            hint="name the folder as PATH, and the pattern of the name alone",
        )
    return glob

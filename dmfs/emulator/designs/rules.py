"""What an export can be, how long it takes, how it ends: settings, and rules for some jobs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields, replace
from fnmatch import fnmatchcase
from typing import Any

from dmfs.emulator.world.model import Json, Version

OUTCOMES = ("done", "failed", "queued", "processing", "vanished", "lost")
"""The two states are for ever. ``vanished``: the job ends, its download is a 404; ``lost``: the
download is there, its object is a 404."""
_FORMATS = {
    "fusion360:Design": ["f3z", "step", "stl", "iges", "sat", "obj"],
    "fusion360:Drawing": ["pdf", "dwg"],
}
_MATCHED = ("version", "item", "format", "name")


@dataclass(frozen=True, slots=True)
class Course:
    """How one job goes: seconds and numbers of polls until its next state, its outcome, how long
    its download lives (None: for ever), and how long it is (None: by a hash of its storage id)."""

    queue_s: float = 0.0
    process_s: float = 0.0
    queue_polls: int = 0
    process_polls: int = 0
    outcome: str = "done"
    download_ttl_s: float | None = None
    size_bytes: int | None = None

    def state(self, passed_s: float, polls: int) -> str:
        """``queued``, ``processing``, ``failed`` or ``finished``, that long and so many polls after
        the POST, the one that asks included."""
        if passed_s < self.queue_s or polls <= self.queue_polls or self.outcome == "queued":
            return "queued"
        ready_s, ready_polls = self.queue_s + self.process_s, self.queue_polls + self.process_polls
        if passed_s < ready_s or polls <= ready_polls or self.outcome == "processing":
            return "processing"
        return "failed" if self.outcome == "failed" else "finished"


@dataclass(slots=True)
class ExportSettings:
    """See ``docs/emulator.md``. ``course`` is that of a job without a rule."""

    course: Course = field(default_factory=Course)
    formats: dict[str, list[str]] = field(
        default_factory=lambda: {kind: list(known) for kind, known in _FORMATS.items()}
    )
    """By extension type, without ``versions:autodesk.``."""
    job_ttl_s: float | None = None
    """So long after its POST a job is known (404 afterwards)."""
    user_needed: bool = True
    """In ``a.`` projects a two-legged token is refused."""
    scope_status: int = 403
    """Of a POST whose token lacks ``data:create``."""
    job_in_list: bool = True
    """The answer to a POST has its job in a list, as the schema says, or bare, as the example."""

    def update(self, changes: Json) -> None:
        """Set several at once, those of the course too; ValueError names what makes no sense."""
        course = {key: changes[key] for key in _COURSE if key in changes}
        self.course = changed(self.course, course)
        for key, value in changes.items():
            if key in _COURSE:
                continue
            check = _CHECKS.get(key)
            if check is None:
                raise ValueError(f"unknown setting {key!r}")
            setattr(self, key, check(key, value))

    def as_dict(self) -> Json:
        found = asdict(self)
        course: Json = found.pop("course")
        return course | found


def formats_of(settings: ExportSettings, version: Version) -> list[str]:
    """What a version could be had as: a file as what it is; nothing where there are no bytes."""
    kind = version.type.removeprefix("versions:autodesk.")
    if kind in settings.formats:
        return settings.formats[kind]
    return [version.file_type] if version.storage is not None and version.file_type else []


@dataclass(slots=True)
class Rule:
    """Another course for some jobs: of those that match, after ``skip`` each ``every``-th, at most
    ``times`` of them."""

    match: Json
    course: Json
    every: int = 1
    skip: int = 0
    times: int | None = None
    seen: int = 0
    hits: int = 0

    def takes(self, values: Json) -> bool:
        """Whether it applies to a job with these ``_MATCHED`` values; counts it."""
        if not all(fnmatchcase(str(values[key]), want) for key, want in self.match.items()):
            return False
        self.seen += 1
        at = self.seen - self.skip
        if at < 1 or at % self.every or (self.times is not None and self.hits >= self.times):
            return False
        self.hits += 1
        return True


def make_rule(order: Json) -> Rule:
    """The rule of an order; ValueError says what makes no sense."""
    match = order.get("match", {})
    if not isinstance(match, dict) or not set(match) <= set(_MATCHED):
        raise ValueError(f"match has some of {', '.join(_MATCHED)}")
    counts = {key: order[key] for key in ("every", "skip", "times") if key in order}
    for key, value in counts.items():
        if not (key == "times" and value is None):
            _count(key, value, at_least=key == "every")
    course = {key: value for key, value in order.items() if key not in {"match", *counts}}
    changed(Course(), course)
    return Rule({key: str(value) for key, value in match.items()}, course, **counts)


def changed(course: Course, changes: Json) -> Course:
    """The course with some of its fields changed."""
    for key, value in changes.items():
        if key not in _COURSE:
            raise ValueError(f"a job's course has no {key!r}, only {', '.join(_COURSE)}")
        _COURSE[key](key, value)
    return replace(course, **changes)


def _count(key: str, value: Any, *, at_least: int = 0) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < at_least:
        raise ValueError(f"{key} is a whole number from {int(at_least)} on, not {value!r}")
    return value


def _seconds(key: str, value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{key} is a number that is not negative, not {value!r}")
    return float(value)


def _or_none(check: Callable[[str, Any], Any]) -> Callable[[str, Any], Any]:
    return lambda key, value: None if value is None else check(key, value)


def _among(*known: Any) -> Callable[[str, Any], Any]:
    def check(key: str, value: Any) -> Any:
        if value not in known:
            raise ValueError(f"{key} is one of {known}, not {value!r}")
        return value

    return check


def _table(key: str, value: Any) -> dict[str, list[str]]:
    if not isinstance(value, dict) or not all(isinstance(each, list) for each in value.values()):
        raise ValueError(f"{key} has a list for each extension type")
    return {str(kind): [str(each) for each in known] for kind, known in value.items()}


_COURSE: dict[str, Callable[[str, Any], Any]] = {
    "queue_s": _seconds,
    "process_s": _seconds,
    "queue_polls": _count,
    "process_polls": _count,
    "outcome": _among(*OUTCOMES),
    "download_ttl_s": _or_none(_seconds),
    "size_bytes": _or_none(_count),
}
assert list(_COURSE) == [each.name for each in fields(Course)]
_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "formats": _table,
    "job_ttl_s": _or_none(_seconds),
    "user_needed": _among(False, True),
    "scope_status": _among(401, 403),
    "job_in_list": _among(False, True),
}

"""What installing and removing the desktop's files means for each of them. Pure.

A file is ours if it has the bytes that we would write, or those that we wrote last (their SHA-256
is in the record). All else is somebody's own: it is neither overwritten nor removed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

RECORD = "dmfs/desktop-files.json"
"""Below the share directory: name → SHA-256 of what was installed."""


class State(StrEnum):
    """Of one file."""

    CURRENT = "current"
    MISSING = "missing"
    OLDER = "older"
    """Ours, of another version of dmfs."""
    FOREIGN = "foreign"
    """Made or changed by somebody else."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do, and the record afterwards."""

    write: list[str] = field(default_factory=list)
    remove: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    """Left as they are."""
    record: dict[str, str] = field(default_factory=dict)


def digest(data: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def state_of(wanted: str | None, found: str | None, recorded: str | None) -> State:
    """Of digests: what we have for a name, what is there, what was written last."""
    if found is None:
        return State.MISSING
    if found == wanted:
        return State.CURRENT
    return State.OLDER if found == recorded else State.FOREIGN


def install_plan(
    wanted: Mapping[str, str], found: Mapping[str, str], record: Mapping[str, str]
) -> Plan:
    """``name → digest`` of our files, of what is at those places and at those of the record."""
    plan = Plan()
    for name, ours in sorted(wanted.items()):
        state = state_of(ours, found.get(name), record.get(name))
        if state is State.FOREIGN:
            plan.foreign.append(name)
            continue
        plan.record[name] = ours
        if state is not State.CURRENT:
            plan.write.append(name)
    for name, last in sorted(record.items()):  # of a version that had more
        if name not in wanted and found.get(name) == last:
            plan.remove.append(name)
    return plan


def remove_plan(
    wanted: Mapping[str, str], found: Mapping[str, str], record: Mapping[str, str]
) -> Plan:
    """The same, to have nothing of ours there."""
    plan = Plan()
    for name in sorted(wanted.keys() | record.keys()):
        state = state_of(wanted.get(name), found.get(name), record.get(name))
        if state is State.FOREIGN:
            plan.foreign.append(name)
        elif state is not State.MISSING:
            plan.remove.append(name)
    return plan

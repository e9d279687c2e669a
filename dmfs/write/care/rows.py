"""What waits to go up, as a person reads it: one row a file, or a change of a name. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from dmfs.system.clock import iso_seconds
from dmfs.write.records import Draft, State

FILE, RENAME, COPY, DELETE = "file", "rename", "copy", "delete"
BAD = (State.FAILED, State.CONFLICT)
OPEN = (State.WAITING, State.UPLOADING)
SMALL_BYTES = 1024**2
"""A new file of so many bytes is up as soon as the service takes one more. By their bytes and the
rate of the few that just go, a thousand of 20 KB were told to take 30 minutes instead of 18."""


@dataclass(frozen=True, slots=True)
class Row:
    """``what``: a file that goes up, or a ``rename``, ``copy`` or ``delete`` of an item."""

    path: str
    """In the whole drive; the name alone where the way to it is not known."""
    what: str
    state: State
    reason: str = ""
    done_bytes: int = 0
    size_bytes: int = 0
    rate: float = 0.0
    """Bytes a second."""
    since_s: float = 0.0
    """Wall clock: of the last confirmation; 0: unknown."""
    next_try_s: float = 0.0
    """Seconds until then; 0: now, or nobody knows."""
    item_id: str = ""
    draft_id: str = ""
    base_version: int = 0
    """Number of the version that it was opened from; 0: a new file."""

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        row = {**asdict(self), "state": self.state.value, "since": iso_seconds(self.since_s)}
        del row["since_s"]
        row["rate"], row["next_try_s"] = round(self.rate), round(self.next_try_s, 1)
        return row


@dataclass(frozen=True, slots=True)
class Report:
    """All of a profile."""

    rows: Sequence[Row]
    damaged: str = ""
    """What the spool found damaged at its start, in words."""
    others: int = 0
    """Drafts of other sign-ins of the profile, which wait for these."""
    used_bytes: int = 0
    limit_bytes: int = 0
    mountpoint: str = ""
    """Of the mount that writes; '' if none does."""
    left_s: float = 0.0
    """``time_left_s`` of all rows."""

    def as_json(self, *, local: bool) -> dict[str, Any]:
        """``local``: with what never goes up."""
        rows = [row.as_json() for row in self.rows if local or row.state is not State.LOCAL]
        return {
            "uploads": rows, "damaged": self.damaged, "others": self.others,
            "used_bytes": self.used_bytes, "limit_bytes": self.limit_bytes,
            "mountpoint": self.mountpoint, "left_s": round(self.left_s, 1),
        }  # fmt: skip


def row_of(draft: Draft, folder: str) -> Row:
    """What the journal says of a draft. ``folder``: its path, '' if unknown."""
    base = draft.base
    return Row(
        path_in(folder, draft.place.name), FILE, draft.state, draft.reason,
        size_bytes=draft.size_bytes, since_s=draft.changed_at_s or draft.made_at_s,
        item_id=base.item_id if base is not None else "", draft_id=draft.id,
        base_version=base.number if base is not None else 0,
    )  # fmt: skip


def waiting_among(drafts: Iterable[Draft]) -> int:
    """How many of these go up some day, or failed to."""
    goes_up = (*OPEN, *BAD)
    return sum(not each.orphan and each.state in goes_up for each in drafts)


def path_in(folder: str, name: str) -> str:
    """``folder``: '' if unknown."""
    return f"{folder.rstrip('/')}/{name}" if folder else name


def in_order(rows: Iterable[Row]) -> list[Row]:
    """What needs a person first, then what goes on, then what waits."""
    order = [State.FAILED, State.CONFLICT, State.UPLOADING, State.WAITING, State.LOCAL]
    return sorted(rows, key=lambda row: (order.index(row.state), row.path))


def counts(rows: Iterable[Row]) -> dict[str, int]:
    """Of the status: how many files are in which state, and how many renames and deletions wait."""
    states = Counter(row.state for row in rows if row.what == FILE)
    names = Counter(row.state for row in rows if row.what != FILE)
    return {
        "waiting": states[State.WAITING],
        "uploading": states[State.UPLOADING],
        "failed": states[State.FAILED] + names[State.FAILED],
        "conflicts": states[State.CONFLICT],
        "local": states[State.LOCAL],
        "names": names[State.WAITING],
    }


def time_left_s(rows: Iterable[Row], new_files_s: Callable[[int], float]) -> float:
    """Seconds until all files are up that go up by themselves, if it goes on as now: by the bytes
    and their rate, or by the new files and what the service takes of them, whichever takes longer.
    0: nothing is under way, or nobody knows.

    ``new_files_s``: seconds until the last of so many new files may be sent."""
    going = [row for row in rows if row.state in OPEN and row.what == FILE]
    new_files = [row for row in going if not row.base_version]
    heavy = [row for row in going if row.base_version or row.size_bytes > SMALL_BYTES]
    rate = sum(row.rate for row in heavy if row.state is State.UPLOADING)
    bytes_left = sum(row.size_bytes - row.done_bytes for row in heavy)
    return max(bytes_left / rate if rate else 0.0, new_files_s(len(new_files)))


def left(rows: Iterable[Row]) -> list[Row]:
    """What has not reached the service, and shall."""
    return [row for row in rows if row.state in (*OPEN, State.FAILED)]


def is_bad(rows: Iterable[Row]) -> bool:
    """Whether a person has to look."""
    return any(row.state in BAD for row in rows)


def find(rows: Sequence[Row], given: str) -> list[Row]:
    """Those that a person means by a path of the drive, or by the id of a draft; by a name alone
    only where no path is known."""
    wanted = "/" + given.strip("/")
    exact = [row for row in rows if row.path == wanted or row.draft_id == given.strip("/")]
    if exact:
        return exact
    name = wanted.rpartition("/")[2]
    return [row for row in rows if "/" not in row.path and row.path == name]


def is_exact(found: Sequence[Row]) -> bool:
    """Whether what ``find`` found is of the whole path, or of the draft, and not of a name alone
    that may be in any folder: given a name alone, both are the same."""
    return any("/" in row.path for row in found)

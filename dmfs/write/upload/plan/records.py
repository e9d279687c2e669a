"""What the journal knows of an upload: enough to go on with it after a kill. Pure."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from enum import StrEnum
from typing import Any, Self

from dmfs.model import File, StorageId
from dmfs.write.records import Base, Change, DraftId, NewItem, NewVersion, Place, Target
from dmfs.write.upload.plan.part_plan import PartPlan, part_size

KIND = "upload"
NO_STORAGE = StorageId("")


class Step(StrEnum):
    """What comes next."""

    STORAGE = "storage"
    PARTS = "parts"
    COMPLETE = "complete"
    POST = "post"
    POSTED = "posted"
    """The service has it; the rest of the drive does not know yet."""
    COPY = "copy"
    """Ours went over a version that nobody had seen: it is brought back into sight."""


@dataclass(frozen=True, slots=True)
class UploadRow:
    """A row of the journal (kind ``upload``, key: the draft's id)."""

    draft_id: DraftId
    wanted: Target
    """As the upload was ordered."""
    target: Target
    """As it has become: a conflict copy, a new item instead of a deleted one."""
    generation: int
    size_bytes: int
    part_bytes: int
    step: Step = Step.STORAGE
    storage_id: StorageId = NO_STORAGE
    storage_name: str = ""
    """The name that the storage was made for: its extension binds."""
    upload_key: str = field(default="", repr=False)
    upload_ends_s: float = 0.0
    """Wall clock: then the service drops the parts."""
    etags: Mapping[int, str] = field(default_factory=dict)
    """Of the parts that the storage has."""
    doubtful: bool = False
    """The storage gave ETags that are no MD5 of ours: the sha1 of the whole has to decide."""
    sha1: str = ""
    remakes: int = 0
    """Storages that were given up because the service has other bytes."""
    refusals: int = 0
    """Completions that were refused."""
    expected: int = 0
    """The number that the version gets if nobody is quicker."""
    posts: int = 0
    post_sent_at_s: float = 0.0
    """Wall clock of the last POST of which it is not known whether it worked; 0: there is none."""
    first_post_s: float = 0.0
    """Wall clock of the first POST of this storage."""
    conflict: str = ""
    """Why it goes up beside, in words."""
    posted: File | None = None
    conforming: bool = True
    overtaken: int = 0
    """The number of the version that ours went over; 0: none."""
    copies: int = 0
    """Times that a copy of it was asked for."""

    @classmethod
    def begin(cls, draft_id: DraftId, target: Target, generation: int, size_bytes: int) -> Self:
        return cls(draft_id, target, target, generation, size_bytes, part_size(size_bytes))

    @property
    def plan(self) -> PartPlan:
        return PartPlan(self.size_bytes, self.part_bytes)

    @property
    def in_doubt(self) -> bool:
        """Whether a POST was sent and nobody knows what came of it."""
        return self.step is Step.POST and self.post_sent_at_s > 0

    @property
    def at_large(self) -> bool:
        """Whether something of it may be at the service."""
        return self.in_doubt or self.step in (Step.POSTED, Step.COPY)

    def anew(self) -> UploadRow:
        """With a storage still to be made."""
        return replace(
            self, step=Step.STORAGE, storage_id=NO_STORAGE, storage_name="", upload_key="",
            upload_ends_s=0.0, etags={}, doubtful=False, refusals=0, posts=0,
            post_sent_at_s=0.0, first_post_s=0.0,
        )  # fmt: skip

    def change(self) -> Change:
        """For the journal."""
        row = {name: getattr(self, name) for name in _NAMES}
        row["wanted"], row["target"] = _target_row(self.wanted), _target_row(self.target)
        row["etags"] = {str(number): etag for number, etag in self.etags.items()}
        row["posted"] = None if self.posted is None else asdict(self.posted)
        return Change(KIND, self.draft_id, row)

    def removal(self) -> Change:
        return Change(KIND, self.draft_id, None)

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> Self:
        """ValueError, TypeError, KeyError, AttributeError for a row of another shape."""
        known = {each.name: row[each.name] for each in fields(cls) if each.name in row}
        known["wanted"], known["target"] = _target(row["wanted"]), _target(row["target"])
        known["step"] = Step(row["step"])
        known["etags"] = {int(number): str(etag) for number, etag in row["etags"].items()}
        known["posted"] = None if row.get("posted") is None else File(**row["posted"])
        if known["part_bytes"] <= 0 or known["size_bytes"] < 0:
            raise ValueError(known["part_bytes"])
        found = cls(**known)
        found.check()
        return found

    def check(self) -> None:
        """ValueError where the row lacks what its step goes on from."""
        at = list(Step).index(self.step)
        lacks = (
            (at >= 1 and not self.storage_id)
            or (2 <= at <= 3 and not self.sha1)
            or (at == 2 and set(self.etags) != set(range(1, self.plan.count + 1)))
            or (at >= 4 and self.posted is None)
        )
        if lacks:
            raise ValueError(self.step)


_NAMES = tuple(each.name for each in fields(UploadRow))


@functools.lru_cache(maxsize=256)  # a row is written for each part, and its targets stay the same
def _target_row(target: Target) -> Mapping[str, Any]:
    return {"kind": "version" if isinstance(target, NewVersion) else "item", **asdict(target)}


def _target(row: Mapping[str, Any]) -> Target:
    place = Place(**row["place"])
    if row["kind"] == "version":
        return NewVersion(place, Base(**row["base"]), row["name"])
    return NewItem(place, row["name"])


def moved_on(target: Target, posted: File, earlier: UploadRow) -> Target:
    """What the next generation is aimed at, now that the ``earlier`` one is ``posted``."""
    name = target.name
    if earlier.conflict or (isinstance(target, NewVersion) and name == target.base.name):
        name = posted.name
    return NewVersion(target.place, Base.of(posted, earlier.size_bytes), name)

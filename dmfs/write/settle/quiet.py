"""Which names of a folder have come to rest. Pure.

Names that renames connected are one save and rest together. Locks and temporary files, which live
as long as a program runs, do not count.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from dmfs.write.settle.nouns import FolderState, NameState, Rules


@dataclass(frozen=True, slots=True)
class Rest:
    """``since`` is when it came, or will come; inf: nobody knows, for a file is open."""

    ready: bool
    since: float
    why: str = ""


OPEN = float("inf")


class Quiet:
    """``of[name]``: whether the name rests; ``group[name]``: the save that it belongs to."""

    def __init__(
        self, folder: FolderState, always_local: Collection[str], now: float, rules: Rules
    ) -> None:
        self._now = now
        self._rules = rules
        self._unimportant = always_local
        self.group = _groups(folder.names)
        members: dict[str, list[NameState]] = {}
        for name, state in folder.names.items():
            members.setdefault(self.group[name], []).append(state)
        quiet_at = {group: self._quiet_at(states) for group, states in members.items()}
        folder_at = max(quiet_at.values(), default=0.0)
        verdicts = {
            group: self._verdict(states, quiet_at[group], folder_at)
            for group, states in members.items()
        }
        self.of: dict[str, Rest] = {name: verdicts[group] for name, group in self.group.items()}

    def _quiet_at(self, states: list[NameState]) -> float:
        """0: nothing to wait for."""
        return max(
            (self._rests_at(state) for state in states if state.name not in self._unimportant),
            default=0.0,
        )

    def _rests_at(self, state: NameState) -> float:
        if state.draft is not None and state.draft.open_writers:
            if stays_open(state, self._now, self._rules):
                return 0.0
            return OPEN
        return state.touched_at + self._rules.upload_delay_s

    def _verdict(self, states: list[NameState], quiet_at: float, folder_at: float) -> Rest:
        if quiet_at > self._now:
            why = "open for writing" if quiet_at == OPEN else "being saved"
            return Rest(False, quiet_at, why)
        if folder_at <= self._now:
            return Rest(True, folder_at)
        began_at = min(state.began_at for state in states)
        since = min(folder_at, began_at + self._rules.busy_cap_s)
        return Rest(since <= self._now, since, "other files of the folder are being saved")


def stays_open(state: NameState, now: float, rules: Rules) -> bool:
    """Whether a file goes up although a program holds it open: it was confirmed long ago."""
    draft = state.draft
    return (
        draft is not None
        and draft.has_news
        and draft.synced_at is not None
        and now >= draft.synced_at + rules.open_upload_after_s
    )


def open_look_at(names: Mapping[str, NameState], now: float, rules: Rules) -> Iterator[float]:
    """When files that are still open go up all the same."""
    for state in names.values():
        draft = state.draft
        if draft is not None and draft.open_writers and draft.has_news:
            at = OPEN if draft.synced_at is None else draft.synced_at + rules.open_upload_after_s
            if now < at < OPEN:
                yield at


def _groups(names: Mapping[str, NameState]) -> dict[str, str]:
    leader = {name: name for state in names.values() for name in (state.name, *state.partners)}

    def find(name: str) -> str:
        while leader[name] != name:
            leader[name] = leader[leader[name]]
            name = leader[name]
        return name

    for name, state in names.items():
        for other in state.partners:
            leader[find(other)] = find(name)
    return {name: find(name) for name in names}

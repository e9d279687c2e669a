"""Which names of a folder stay here. Pure.

Most rows of the table say it by themselves. Of the others the rest of the save decides: a backup is
one if its file was written anew at that moment, a temporary file if the file that it is for is
missing at that moment.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping

from dmfs.names import split_extension
from dmfs.write.settle.local_names import Kind, Match, Role
from dmfs.write.settle.nouns import FolderState, NameState, Rules

_NEW_BYTES = (Role.TEMPORARY, Role.SCRATCH)


class Locality:
    """``why``: name → why it stays here; ``unclear``: names that may turn out to, and are waited
    for a little longer; ``always``: those that say nothing about what a person does."""

    def __init__(self, folder: FolderState, rules: Rules) -> None:
        self._folder = folder
        self._window_s = rules.upload_delay_s
        self.why: dict[str, str] = {}
        self.unclear: set[str] = set()
        self.always: set[str] = set()
        self._matches = {name: rules.local_names.find(name) for name in folder.names}
        self._temporaries = _Moments(
            state
            for name, state in folder.names.items()
            if state.draft is not None and _role(self._matches[name]) is Role.TEMPORARY
        )
        self._missing = _Moments(_missing(folder, self._matches))
        self._written: dict[str, list[NameState]] = {}
        for name, state in folder.names.items():
            if state.draft is not None:
                for each in {name, split_extension(name)[0]}:
                    self._written.setdefault(each, []).append(state)
        for name, state in folder.names.items():
            self._look_at(name, state, self._matches[name])

    def temporary_near(self, at: float, *, but: str = "") -> bool:
        """Whether a program's new content, not in its place yet, is of the same moment."""
        return self._temporaries.near(at, self._window_s, but=but)

    def _look_at(self, name: str, state: NameState, match: Match | None) -> None:
        if match is not None and match.row.kind is Kind.ALWAYS and self._is_beside(match):
            self.always.add(name)
        if state.empty:
            return
        if self._folder.local:
            self.why[name] = "the folder stays on this machine"
        elif match is None:
            pass
        elif name in self.always or state.local or self._in_dance(state, match):
            self.why[name] = f"a {match.row.role} file of {match.row.program}"
        elif match.row.kind is Kind.IN_DANCE and match.row.role in _NEW_BYTES:
            self.unclear.add(name)

    def _is_beside(self, match: Match) -> bool:
        return not match.row.beside or self._is_there(match.file)

    def _is_there(self, name: str) -> bool:
        state = self._folder.names.get(name)
        return name in self._folder.siblings if state is None else not state.empty

    def _is_touched(self, name: str) -> bool:
        """Whether something stands there that writing has to do with."""
        state = self._folder.names.get(name)
        return state is not None and not state.empty

    def _in_dance(self, state: NameState, match: Match) -> bool:
        if match.row.kind is Kind.ALWAYS:
            return False
        if state.origins:
            if any(self._is_touched(each) for each in state.origins):
                return True  # what it was moved away for has come
            return self.temporary_near(state.touched_at, but=state.name)
        if match.row.role is Role.BACKUP:
            return self._rewritten_near(state, match.file)
        return self._missing_near(state)

    def _rewritten_near(self, state: NameState, file: str) -> bool:
        """Whether the file was written at the moment when this copy of it was made."""
        return any(
            other.name != state.name and abs(other.touched_at - state.touched_at) <= self._window_s
            for other in self._written.get(file, ())
        )

    def _missing_near(self, state: NameState) -> bool:
        return self._missing.near(state.touched_at, self._window_s, but=state.name)


class _Moments:
    """When names were touched, in the order of time."""

    def __init__(self, states: Iterable[NameState]) -> None:
        self._states = sorted(states, key=_touched_at)

    def near(self, at: float, window_s: float, *, but: str) -> bool:
        """Whether another name than ``but`` was touched so near to ``at``."""
        first = bisect_left(self._states, at - window_s, key=_touched_at)
        return any(
            each.name != but and each.touched_at <= at + window_s
            for each in self._states[first : first + 2]
        )


def _touched_at(state: NameState) -> float:
    return state.touched_at


def _role(match: Match | None) -> Role | None:
    return None if match is None else match.row.role


def _missing(folder: FolderState, matches: Mapping[str, Match | None]) -> list[NameState]:
    """Names whose item has gone, or was moved aside, and where nothing else is yet."""
    elsewhere = {
        state.clean.item_id
        for name, state in folder.names.items()
        if state.clean is not None and not state.alias and matches[name] is None
    } | {
        state.draft.own.item_id
        for name, state in folder.names.items()
        if state.draft is not None and state.draft.own is not None and matches[name] is None
    }
    return [
        state
        for state in folder.names.values()
        if state.empty and state.was is not None and state.was.item_id not in elsewhere
    ]

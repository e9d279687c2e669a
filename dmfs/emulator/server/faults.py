"""Faults on order: which request they hit. ``fault_kinds`` says what they do to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

KINDS = frozenset(
    "status reset_before_headers reset_after_headers reset_mid_body stall_before_headers "
    "stall_mid_body drip html_200 truncated_json wrong_json_types malformed_json empty_body "
    "huge_body wrong_content_range ok_200_instead_of_206 short_body long_body wrong_bytes "
    "changed_etag expired_url redirect page_circle next_other_host huge_headers "
    "rotten_row".split()
)
_MATCHES = frozenset({"origin", "route", "page", "contains"})


@dataclass(slots=True)
class Fault:
    """One order. ``seen`` counts matching requests, ``hits`` those that were spoilt."""

    id: int
    kind: str
    match: dict[str, Any]
    times: int | None
    skip: int
    params: dict[str, Any] = field(default_factory=dict)
    seen: int = 0
    hits: int = 0

    def matches(self, origin: str, route: str, page: int, target: str) -> bool:
        match = self.match
        return (
            match.get("origin", origin) == origin
            and match.get("route", route) == route
            and match.get("page", page) == page
            and match.get("contains", "") in target
        )

    def as_dict(self) -> dict[str, Any]:
        return {
            "id": self.id, "kind": self.kind, "match": self.match, "times": self.times,
            "skip": self.skip, "hits": self.hits, "params": self.params,
        }  # fmt: skip


class Faults:
    """All orders, oldest first."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._last_id = 0

    def add(self, order: dict[str, Any]) -> Fault:
        """ValueError if the order makes no sense: a misspelt fault must not pass for health."""
        order = dict(order)
        match = {
            key: value for key, value in (order.pop("match", None) or {}).items()
            if value is not None
        }  # fmt: skip
        kind = order.pop("kind", None)
        if kind not in KINDS:
            raise ValueError(f"unknown fault kind {kind!r}")
        if unknown := set(match) - _MATCHES:
            raise ValueError(f"unknown match keys {sorted(unknown)}")
        times, skip = order.pop("times", 1), order.pop("skip", 0)
        if not (times is None or isinstance(times, int)) or not isinstance(skip, int):
            raise ValueError("times is an integer or null, skip an integer")
        self._last_id += 1
        fault = Fault(self._last_id, kind, match, times, skip, order)
        self._faults.append(fault)
        return fault

    def clear(self) -> None:
        self._faults.clear()

    def as_list(self) -> list[dict[str, Any]]:
        return [fault.as_dict() for fault in self._faults]

    def pick(self, origin: str, route: str, page: int, target: str) -> Fault | None:
        """The first fault that applies to this request, counted as a hit."""
        for fault in self._faults:
            if not fault.matches(origin, route, page, target):
                continue
            if fault.times is not None and fault.hits >= fault.times:
                continue
            fault.seen += 1
            if fault.seen > fault.skip:
                fault.hits += 1
                return fault
        return None

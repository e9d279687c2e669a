"""Faults on order: which request they hit. ``fault_kinds`` says what they do to it."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, field
from typing import Any

BODY_KINDS = frozenset("reset_mid_upload stall_mid_upload".split())
"""They strike while the body of a request comes in."""
KINDS = BODY_KINDS | frozenset(
    "status reset_before_headers reset_after_headers reset_mid_body stall_before_headers "
    "stall_mid_body drip html_200 truncated_json wrong_json_types malformed_json empty_body "
    "huge_body wrong_content_range ok_200_instead_of_206 short_body long_body wrong_bytes "
    "changed_etag expired_url redirect page_circle next_other_host huge_headers "
    "rotten_row missing_row reset_before_effect stall_before_effect late_effect "
    "request_timeout slow_down corrupt_upload no_etag wrong_size".split()
)
_MATCHES = frozenset({"origin", "route", "page", "contains", "body"})


@dataclass(frozen=True, slots=True)
class Call:
    """What an order is matched against. ``body`` is empty for parts of uploads."""

    origin: str
    route: str
    page: int
    target: str
    body: bytes = b""


@dataclass(slots=True)
class Counted:
    """An order that applies to some of the calls it matches."""

    id: int
    match: dict[str, Any]
    times: int | None
    skip: int
    seen: int = 0
    hits: int = 0

    def matches(self, call: Call) -> bool:
        match = self.match
        return (
            match.get("origin", call.origin) == call.origin
            and match.get("route", call.route) == call.route
            and match.get("page", call.page) == call.page
            and match.get("contains", "") in call.target
            and match.get("body", "").encode() in call.body
        )

    def strikes(self, call: Call) -> bool:
        """Whether it applies to this call; counts it as seen, and as a hit."""
        if not self.matches(call) or (self.times is not None and self.hits >= self.times):
            return False
        self.seen += 1
        if self.seen <= self.skip:
            return False
        self.hits += 1
        return True


def parsed_match(order: dict[str, Any]) -> tuple[dict[str, Any], int | None, int]:
    """``match``, ``times`` and ``skip`` of an order, taken out of it; ValueError."""
    match = {
        key: value for key, value in (order.pop("match", None) or {}).items() if value is not None
    }
    if unknown := set(match) - _MATCHES:
        raise ValueError(f"unknown match keys {sorted(unknown)}")
    times, skip = order.pop("times", 1), order.pop("skip", 0)
    if not (times is None or isinstance(times, int)) or not isinstance(skip, int):
        raise ValueError("times is an integer or null, skip an integer")
    return match, times, skip


@dataclass(slots=True)
class Fault(Counted):
    """One order. ``seen`` counts matching requests, ``hits`` those that were spoilt."""

    kind: str = ""
    params: dict[str, Any] = field(default_factory=dict)

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
        match, times, skip = parsed_match(order)
        kind = order.pop("kind", None)
        if kind not in KINDS:
            raise ValueError(f"unknown fault kind {kind!r}")
        self._last_id += 1
        fault = Fault(self._last_id, match, times, skip, kind=kind, params=order)
        self._faults.append(fault)
        return fault

    def clear(self) -> None:
        self._faults.clear()

    def as_list(self) -> list[dict[str, Any]]:
        return [fault.as_dict() for fault in self._faults]

    def pick(self, call: Call, kinds: Container[str] = KINDS - BODY_KINDS) -> Fault | None:
        """The first fault of these kinds that applies to this request, counted as a hit."""
        return next(
            (fault for fault in self._faults if fault.kind in kinds and fault.strikes(call)), None
        )

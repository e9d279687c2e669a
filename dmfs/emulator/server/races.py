"""Races on order: what somebody else does just before or just after a call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from dmfs.emulator.server.faults import Call, Counted, parsed_match

Order = dict[str, Any]


@dataclass(slots=True)
class Race(Counted):
    """``orders`` are carried out ``when`` (before or after) a matching call has its effect."""

    when: str = "before"
    orders: list[Order] = field(default_factory=list)
    trouble: str | None = None
    """Why an order could not be carried out."""

    def as_dict(self) -> Order:
        return {
            "id": self.id, "match": self.match, "when": self.when, "times": self.times,
            "skip": self.skip, "hits": self.hits, "changes": self.orders, "trouble": self.trouble,
        }  # fmt: skip


class Races:
    """All orders, oldest first."""

    def __init__(self) -> None:
        self._races: list[Race] = []
        self._last_id = 0

    def add(self, order: Order) -> Race:
        """ValueError if the order makes no sense."""
        order = dict(order)
        match, times, skip = parsed_match(order)
        when = order.pop("when", "before")
        orders = order.pop("changes", None) or [order.pop("change", None)]
        if when not in ("before", "after"):
            raise ValueError("when is before or after")
        if not isinstance(orders, list) or not all(isinstance(each, dict) for each in orders):
            raise ValueError("change is an object, or changes a list of them")
        if order:
            raise ValueError(f"unknown keys {sorted(order)}")
        self._last_id += 1
        race = Race(self._last_id, match, times, skip, when=when, orders=orders)
        self._races.append(race)
        return race

    def clear(self) -> None:
        self._races.clear()

    def as_list(self) -> list[Order]:
        return [race.as_dict() for race in self._races]

    def pick(self, call: Call) -> list[Race]:
        """All races that this call starts, counted."""
        return [race for race in self._races if race.strikes(call)]


def run(races: list[Race], when: str, carry_out: Callable[[Order], object]) -> None:
    """Carry out the orders of one moment; what fails is written down and stops nothing."""
    for race in races:
        for order in race.orders if race.when == when else ():
            try:
                carry_out(order)
            except (LookupError, ValueError, TypeError) as error:
                race.trouble = str(error)

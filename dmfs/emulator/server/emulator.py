"""The state of one emulator: the two services, and what the server adds to them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial

from dmfs.emulator.api.service import Service
from dmfs.emulator.http.line import Line
from dmfs.emulator.http.rate_limits import Limits
from dmfs.emulator.server.call_log import Calls
from dmfs.emulator.server.faults import Faults
from dmfs.emulator.server.races import Races
from dmfs.emulator.settings import Origins, Settings
from dmfs.emulator.sign_in.service import SignIn
from dmfs.emulator.world import changes, facts
from dmfs.emulator.world.changing.finding import Node
from dmfs.emulator.world.designs import orders
from dmfs.emulator.world.model import Json, World


@dataclass
class Emulator:
    """Both services share the settings and the origins' URLs; the server counts and spoils."""

    world: World
    settings: Settings
    origins: Origins = field(default_factory=Origins)
    calls: Calls = field(default_factory=Calls)
    faults: Faults = field(default_factory=Faults)
    races: Races = field(default_factory=Races)

    def __post_init__(self) -> None:
        self.limits = Limits(self.settings)
        self._line = Line()
        self.sign_in = SignIn(self.settings, self.limits, self.origins)
        self.service = Service(self.world, self.settings, self.origins)
        self._refuse: Callable[[str, float], None] | None = None

    def listening(self, api_url: str, cdn_url: str, refuse: Callable[[str, float], None]) -> None:
        """Both origins listen; ``refuse(origin, seconds)`` closes one of them for a while."""
        self.origins.api_url, self.origins.cdn_url = api_url, cdn_url
        self._refuse = refuse

    def refuse(self, origin: str, seconds: float) -> None:
        """Close the listener of an origin for that long."""
        if self._refuse is not None:
            self._refuse(origin, seconds)

    @property
    def carry(self) -> Callable[[int], Awaitable[None]] | None:
        """Waits until so many bytes have passed the line that all share; None: it has no limit."""
        rate = self.settings.line_bytes_per_s
        return partial(self._line.carry, bytes_per_s=rate) if rate else None

    def carry_out(self, order: Json) -> Json:
        """A change of the world, or of what surrounds it, and the new raw facts; LookupError,
        ValueError."""
        if order.get("op") in orders.OPS:
            return orders.apply(self.world, order)
        node = self.changed(order)
        return {} if node is None else facts.of(node)

    def changed(self, order: Json) -> Node | None:
        """The same; what was changed, None for what is no part of the world."""
        own: dict[str, Callable[[], object]] = {
            "expire_tokens": self.sign_in.tokens.expire_all,
            "expire_urls": self.service.signer.expire_all,
            "expire_downloads": self.service.exports.expire,
            "expire_uploads": self.service.writing.uploads.expire_all,
            "end_sessions": self.sign_in.sessions.end,
            "settings": lambda: self.settings.update(_rest(order)),
            "fault": lambda: self.faults.add(_rest(order)),
        }
        act = own.get(str(order.get("op")))
        if act is not None:
            act()
            return None
        result = changes.apply(self.world, order)
        self._remember(str(order["op"]), result.id)
        return result

    def _remember(self, op: str, id_: str) -> None:
        history = self.service.writing.history
        item = self.world.items.get(id_)
        if item is not None and item.tip.id not in history.made and op in _VERSION_OPS:
            history.version(item, item.tip, None, op)
        elif item is not None or id_ in self.world.folders:
            history.node(item or self.world.folders[id_], None, op)


_VERSION_OPS = frozenset({"new_version", "rename", "promote", "hide", "restore", "add_item"})


def _rest(order: Json) -> Json:
    return {key: value for key, value in order.items() if key != "op"}

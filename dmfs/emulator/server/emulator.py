"""The state of one emulator: the two services, and what the server adds to them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from dmfs.emulator.api.service import Service
from dmfs.emulator.http.rate_limits import Limits
from dmfs.emulator.server.call_log import Calls
from dmfs.emulator.server.faults import Faults
from dmfs.emulator.settings import Origins, Settings
from dmfs.emulator.sign_in.service import SignIn
from dmfs.emulator.world.model import World


@dataclass
class Emulator:
    """Both services share the settings and the origins' URLs; the server counts and spoils."""

    world: World
    settings: Settings
    origins: Origins = field(default_factory=Origins)
    calls: Calls = field(default_factory=Calls)
    faults: Faults = field(default_factory=Faults)

    def __post_init__(self) -> None:
        self.limits = Limits(self.settings)
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

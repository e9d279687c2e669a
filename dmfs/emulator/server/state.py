"""Everything a handler may need, in one place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from dmfs.emulator.api.page_cache import PageCache
from dmfs.emulator.api.url_signing import Signer
from dmfs.emulator.server.call_log import Calls
from dmfs.emulator.server.faults import Faults
from dmfs.emulator.server.rate_limits import Limits
from dmfs.emulator.server.settings import Settings
from dmfs.emulator.sign_in.apps import Tokens
from dmfs.emulator.sign_in.service_accounts import Key
from dmfs.emulator.sign_in.sessions import Sessions
from dmfs.emulator.world.model import World


@dataclass
class Emulator:
    """The state of one emulator. ``refuse`` is filled in by the server."""

    world: World
    settings: Settings
    api_url: str = ""
    cdn_url: str = ""
    calls: Calls = field(default_factory=Calls)
    faults: Faults = field(default_factory=Faults)
    refuse: Callable[[str, float], None] = lambda origin, seconds: None
    pages: PageCache = field(default_factory=PageCache)
    service_keys: dict[str, Key] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.limits = Limits(self.settings)
        self.tokens = Tokens(self.settings)
        self.sessions = Sessions(self.settings)
        self.signer = Signer(self.settings)

"""Everything a handler may need, in one place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from dmfs_emulator.auth import Tokens
from dmfs_emulator.calls import Calls
from dmfs_emulator.faults import Faults
from dmfs_emulator.limits import Limits
from dmfs_emulator.pagecache import PageCache
from dmfs_emulator.serviceaccounts import Key
from dmfs_emulator.sessions import Sessions
from dmfs_emulator.settings import Settings
from dmfs_emulator.signing import Signer
from dmfs_emulator.world import World


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

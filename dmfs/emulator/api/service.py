"""What the handlers of the API and the CDN share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from dmfs.emulator.api.page_cache import PageCache
from dmfs.emulator.api.url_signing import Signer
from dmfs.emulator.designs.jobs import Exports
from dmfs.emulator.settings import Origins, Settings
from dmfs.emulator.thumbnails.state import Thumbnails
from dmfs.emulator.world.model import World
from dmfs.emulator.writing.state import Writing

Later = Callable[[], Awaitable[None] | None]
"""What is to be done some time later."""


def _not_at_all(seconds: float, what: Later) -> None:
    """Without a server nothing is done later."""


@dataclass
class Service:
    """The world, the signer of its URLs, and the pages rendered so far."""

    world: World
    settings: Settings
    origins: Origins
    pages: PageCache = field(default_factory=PageCache)

    def __post_init__(self) -> None:
        self.signer = Signer(self.settings)
        self.writing = Writing()
        self.exports = Exports(self.world)
        self.thumbnails = Thumbnails()
        self.later: Callable[[float, Later], None] = _not_at_all
        """Call something in so many seconds; a server sets it to what can wait."""

    @property
    def api_url(self) -> str:
        return self.origins.api_url

    @property
    def cdn_url(self) -> str:
        return self.origins.cdn_url

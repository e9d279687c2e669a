"""The pictures of a drive, joined."""

from __future__ import annotations

import trio

from dmfs.aps.client import Aps
from dmfs.aps.questions.thumbnail import ThumbnailCalls
from dmfs.config import Settings
from dmfs.http.circuit_breaker import CircuitBreaker
from dmfs.thumbnails.store import PictureStore
from dmfs.thumbnails.thumbnails import Thumbnails

WAIT_SHARE = 0.9
"""Of a request's deadline: the better error wins."""


def open_thumbnails(
    settings: Settings, scope: str, aps: Aps, breaker: CircuitBreaker, nursery: trio.Nursery
) -> Thumbnails:
    """Of the sign-in ``scope``; nothing is on disk where nothing else is."""
    store = None if settings.cache_size == 0 else PictureStore(settings.cache_dir, scope)
    return Thumbnails(
        ThumbnailCalls(aps), store, nursery,
        is_away=lambda: breaker.is_open, wait_s=settings.metadata_timeout * WAIT_SHARE,
    )  # fmt: skip

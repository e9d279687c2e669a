"""A ``Drive`` over parts of the test's own choice; the parts that it leaves out do nothing."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

from dmfs.drive import Drive, Parts
from dmfs.ratelimit.limiter import RateLimiter
from dmfs.telemetry.activity import Activity


def a_drive(**parts: Any) -> Drive:
    """``listings=…, blocks=…, sizes=…``: no network, no prefetch, no polling."""
    inert: dict[str, Any] = {
        "settings": SimpleNamespace(
            metadata_timeout=30.0, data_timeout=60.0, max_window=128 * 1024 * 1024
        ),
        "aps": None,
        "listings": SimpleNamespace(
            subscribe=lambda _on_change: None,
            fresh_for=lambda _directory: 60.0,
            known=lambda _directory: None,
            listed_at=lambda _directory: None,
            incomplete=lambda _directory: 0,
            gauges=dict,
        ),
        "blocks": SimpleNamespace(settle=lambda: None, gauges=dict),
        "sizes": SimpleNamespace(
            of=lambda file: file.size_bytes or 0,
            may_wait=lambda _file: False,
            is_known=lambda _file: True,
        ),
        "fetcher": SimpleNamespace(prepare=lambda: None, under_way=0),
        "file_prefetcher": SimpleNamespace(on_first_read=lambda _listing, _name: None, gauges=dict),
        "tree_prefetcher": SimpleNamespace(entering=lambda _directory: nullcontext(), gauges=dict),
        "poller": SimpleNamespace(on_use=lambda _directory: None, gauges=dict),
        "client": SimpleNamespace(breaker=SimpleNamespace(is_open=False), gauges=dict),
        "hosts": None,
        "limiter": RateLimiter(),
        "activity": Activity(),
        "sign_in": SimpleNamespace(person="", signed_out_since_s=None),
        "block_store": None,
    }
    return Drive(Parts(**(inert | parts)))

"""The rate limiter that the settings ask for: of this machine, or of many."""

from __future__ import annotations

import trio

from dmfs.config import Settings
from dmfs.ratelimit.limiter import RateLimiter
from dmfs.ratelimit.limits import parse_rates
from dmfs.ratelimit.shared_log import FileRateLog

ALONE, UNTOLD = "-alone", "-untold"
"""After the directory of a client id: calls that were made without the coordinator, and those of
them that it does not know yet."""


async def open_limiter(settings: Settings, nursery: trio.Nursery) -> RateLimiter:
    """One log of calls for all processes of this client id, here or everywhere. SetupError for a
    coordinator that makes no sense; one that is away is none."""
    rates = parse_rates(settings.rates, settings.rate_window)
    machine = FileRateLog(settings.state_dir, settings.client_id)
    if not settings.quota:
        return RateLimiter(rates, machine)
    # 0.1 s of a start, and few drives share
    from dmfs.ratelimit.cluster.address import digest_of  # noqa: PLC0415
    from dmfs.ratelimit.cluster.coordinator import Coordinator  # noqa: PLC0415
    from dmfs.ratelimit.cluster.ledger import ClusterRateLog  # noqa: PLC0415

    coordinator = Coordinator(settings.quota, settings.client_id)
    alone, untold = (
        FileRateLog(settings.state_dir, settings.client_id, kind=kind) for kind in (ALONE, UNTOLD)
    )
    # of each client id its own: with one for all, each start would tell its calls again
    marker = settings.state_dir / "budget" / f"{digest_of(settings.client_id)}-told"
    log = ClusterRateLog(
        coordinator, machine, alone, untold, rates, settings.cluster_workers, marker
    )
    await nursery.start(log.run)
    return RateLimiter(rates, log)

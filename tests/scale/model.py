"""How long a pass over very many files takes, by each way of sharing what is known. Pure.

The published rates decide: every file has to be signed once before its bytes can be read, every
folder to be listed, and both count for the client id, whoever asks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from dmfs.ratelimit.limits import BURST_SHARE, MARGIN_S, PUBLISHED_PER_MIN, WINDOW_S, Priority

PAGE_ENTRIES = 200
CLUSTER_MARGIN_S = 2.0
"""A call counts so much longer where machines share a quota: their clocks differ, too."""


@dataclass(frozen=True)
class Rates:
    """Calls in a window, of all workers together."""

    listings: int = PUBLISHED_PER_MIN["contents"]
    signings: int = PUBLISHED_PER_MIN["oss"]
    window_s: float = WINDOW_S
    margin_s: float = MARGIN_S


@dataclass(frozen=True)
class Measured:
    """Constants of one machine; see ``tests.scale.measure``."""

    entry_memory_bytes: float = 849.0
    entry_disk_bytes: float = 439.0
    object_disk_bytes: float = 266.0
    """Of the index, for an object at rest, beside its blocks."""
    worker_bytes: float = 80 * 1024 * 1024
    read_bytes_per_s: float = 400e6
    """Of one worker on two processors."""
    signings_at_start: int = 16
    """Of a process over a kept cache, for the files that it reads first."""


@dataclass(frozen=True)
class Job:
    """What is to be read once."""

    workers: int = 1000
    files: int = 10_000_000
    files_a_folder: int = 100
    file_bytes: float = 1e6
    line_bytes_per_s: float = 1.25e9
    """Of the gateway, or of all workers' way out: 10 Gbit/s."""
    rates: Rates = field(default_factory=Rates)
    measured: Measured = field(default_factory=Measured)

    @property
    def folders(self) -> int:
        return math.ceil(self.files / self.files_a_folder)

    @property
    def list_calls(self) -> int:
        """Of one who lists everything."""
        return self.folders * max(1, math.ceil(self.files_a_folder / PAGE_ENTRIES))


@dataclass(frozen=True)
class Cost:
    """Of a pass. The bytes flow while signing goes on: the slower one decides."""

    listings: int
    signings: int
    fetched_bytes: float
    listing_s: float
    signing_s: float
    bytes_s: float

    @property
    def total_s(self) -> float:
        return self.listing_s + max(self.signing_s, self.bytes_s)


def calls_s(
    calls: int, limit: int, rates: Rates, burst: float = BURST_SHARE[Priority.READ]
) -> float:
    """Seconds until so many calls have gone: of each window's a part at once, the rest spread over
    it."""
    span_s = rates.window_s + rates.margin_s
    windows, rest = divmod(calls, limit)
    spread = max(0.0, rest / limit - burst) / (1 - burst)
    return (windows + spread) * span_s


def cost_of(
    job: Job, *, listers: int, signers: int = 1, fetched: float = 1.0, rates: Rates | None = None
) -> Cost:
    """``listers`` list everything; every file is signed ``signers`` times; ``fetched``: how often
    each byte comes from the service."""
    rates = rates or job.rates
    listings = job.list_calls * listers
    signings = job.files * signers
    fetched_bytes = job.files * job.file_bytes * fetched
    rate = min(job.line_bytes_per_s, job.workers * job.measured.read_bytes_per_s)
    return Cost(
        listings, signings, fetched_bytes,
        calls_s(listings, rates.listings, rates), calls_s(signings, rates.signings, rates),
        fetched_bytes / rate,
    )  # fmt: skip


def ways(job: Job) -> dict[str, Cost]:
    """A pass over all files by each way; the last ones are second passes."""
    shared = Rates(job.rates.listings, job.rates.signings, job.rates.window_s, CLUSTER_MARGIN_S)
    signings = min(job.files, job.workers * job.measured.signings_at_start)
    signing_s = calls_s(signings, job.rates.signings, job.rates)
    again = Cost(0, signings, 0.0, 0.0, signing_s, 0.0)
    return {
        "every worker lists for itself": cost_of(job, listers=job.workers),
        "pickled listings": cost_of(job, listers=1),
        "pickled listings, addresses signed by the driver": cost_of(job, listers=1),
        "pickled listings, one quota shared by a server": cost_of(job, listers=1, rates=shared),
        "one gateway": cost_of(job, listers=1),
        "second pass, caches kept": again,
    }


def sizes(job: Job) -> dict[str, float]:
    """Bytes: what is held where."""
    entries = job.files + job.folders
    share = job.files / job.workers
    return {
        "all listings in memory": entries * job.measured.entry_memory_bytes,
        "all listings on disk": entries * job.measured.entry_disk_bytes,
        "listings of one worker's share, in memory": share * job.measured.entry_memory_bytes,
        "a gateway's blocks": job.files * job.file_bytes,
        "a gateway's index": job.files * job.measured.object_disk_bytes,
        "memory of all workers": job.workers * job.measured.worker_bytes,
    }


def signed_bytes_per_s(job: Job) -> float:
    """Bytes a second that the signings allow, of files of that size."""
    return job.rates.signings / (job.rates.window_s + job.rates.margin_s) * job.file_bytes


def break_even_bytes(job: Job) -> float:
    """The size of a file from which on the line decides and not the signings."""
    return job.line_bytes_per_s / signed_bytes_per_s(job) * job.file_bytes

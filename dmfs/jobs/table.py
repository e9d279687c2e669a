"""Every job by its verb: ``POST /v1/VERB`` on the socket, ``dmfs VERB`` on the command line."""

from __future__ import annotations

from collections.abc import Mapping

from dmfs.jobs.evict import evict
from dmfs.jobs.job import Job
from dmfs.jobs.offline import offline
from dmfs.jobs.pinning import pin, pins, unpin
from dmfs.jobs.refresh import refresh
from dmfs.jobs.reports import lively
from dmfs.jobs.warm import warm
from dmfs.jobs.writing.changes import mkdir, put, restore, rm
from dmfs.jobs.writing.remedies import discard, retry, seen
from dmfs.jobs.writing.sending import wait

JOBS: Mapping[str, Job] = {
    "refresh": lively(refresh),
    "warm": lively(warm),
    "evict": lively(evict),
    "offline": lively(offline),
    "pin": lively(pin),
    "pins": lively(pins),
    "unpin": lively(unpin),
    "wait": lively(wait),
    "retry": lively(retry),
    "discard": lively(discard),
    "seen": lively(seen),
    "put": lively(put),
    "rm": lively(rm),
    "mkdir": lively(mkdir),
    "restore": lively(restore),
}

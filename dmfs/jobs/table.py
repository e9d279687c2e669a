"""Every job by its verb: ``POST /v1/VERB`` on the socket, ``dmfs VERB`` on the command line."""

from __future__ import annotations

from collections.abc import Mapping

from dmfs.jobs.job import Job
from dmfs.jobs.pinning import pin, pins, unpin

JOBS: Mapping[str, Job] = {"pin": pin, "pins": pins, "unpin": unpin}

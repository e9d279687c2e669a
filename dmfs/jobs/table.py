"""Every job by its verb: ``POST /v1/VERB`` on the socket, ``dmfs VERB`` on the command line."""

from __future__ import annotations

from collections.abc import Mapping

from dmfs.jobs.job import Job

JOBS: Mapping[str, Job] = {}

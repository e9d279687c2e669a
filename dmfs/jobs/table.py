"""Every job by its verb: ``POST /v1/VERB`` on the socket, ``dmfs VERB`` on the command line."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

from dmfs.drive import Drive
from dmfs.jobs.evict import evict
from dmfs.jobs.job import Job, Parameters, Tell
from dmfs.jobs.offline import offline
from dmfs.jobs.pinning import pin, pins, unpin
from dmfs.jobs.refresh import refresh
from dmfs.jobs.reports import lively
from dmfs.jobs.warm import warm


def _writing(module: str, verb: str) -> Job:
    """A job of ``jobs.writing``: a drive that is read alone starts without what writing needs."""
    return _later(f"writing.{module}", verb)


def _later(module: str, verb: str) -> Job:
    """A job loaded when it is run."""

    async def run(drive: Drive, parameters: Parameters, tell: Tell) -> None:
        job: Job = getattr(import_module(f"dmfs.jobs.{module}"), verb)
        await lively(job)(drive, parameters, tell)

    return run


JOBS: Mapping[str, Job] = {
    "refresh": lively(refresh),
    "warm": lively(warm),
    "evict": lively(evict),
    "offline": lively(offline),
    "pin": lively(pin),
    "pins": lively(pins),
    "unpin": lively(unpin),
    "refs": _later("relations.refs", "refs"),
    "path": _later("links.verbs", "path"),
    "url": _later("links.verbs", "url"),
    "find": _later("find.job", "find"),
    "versions": _later("history.versions", "versions"),
    "export": _later("export.job", "export"),
    "wait": _writing("sending", "wait"),
    "retry": _writing("remedies", "retry"),
    "discard": _writing("remedies", "discard"),
    "seen": _writing("remedies", "seen"),
    "put": _writing("changes", "put"),
    "rm": _writing("changes", "rm"),
    "mkdir": _writing("changes", "mkdir"),
    "restore": _writing("changes", "restore"),
}

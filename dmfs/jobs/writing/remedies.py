"""``retry``, ``discard`` and ``seen``: what a person does about what waits."""

from __future__ import annotations

from dmfs.drive import Drive
from dmfs.errors import UsageError
from dmfs.jobs.job import Parameters, Tell, flag_of, text_of, texts_of
from dmfs.jobs.reports import Reports
from dmfs.jobs.writing.place import directory_at, writing_of
from dmfs.write.care.remedies import Remedies
from dmfs.write.records import DraftId


async def retry(drive: Drive, parameters: Parameters, tell: Tell) -> None:
    """``{"path"?, "to"?, "name"?, "beside"?}``; without a path all that failed, and what waits for
    a better moment.

    Events: ``done`` (``retried``: paths).
    """
    remedies = Remedies(writing_of(drive))
    path, to = text_of(parameters, "path", ""), text_of(parameters, "to", "")
    name, beside = text_of(parameters, "name", ""), flag_of(parameters, "beside")
    if not path and (to or name or beside):
        raise UsageError("which file?", hint="dmfs uploads retry PATH --to DIR")
    rows = remedies.rows(path) if path else remedies.failed()
    retried = []
    if to or name or beside:
        directory = await directory_at(drive, to) if to else None
        moved = await remedies.retry_elsewhere(rows[0], directory, name, beside=beside)
        retried.append(moved)
    else:
        for row in rows:
            await remedies.retry(row)
            retried.append(row.path)
        writing_of(drive).settler.try_again()
    await Reports(tell).tell("done", retried=retried)


async def discard(drive: Drive, parameters: Parameters, tell: Tell) -> None:
    """``{"paths"}``. Events: ``done`` (``discarded``: paths)."""
    remedies = Remedies(writing_of(drive))
    rows = [row for path in texts_of(parameters, "paths") for row in remedies.rows(path)]
    for row in rows:
        await remedies.discard(row)
    await Reports(tell).tell("done", discarded=[row.path for row in rows])


async def seen(drive: Drive, parameters: Parameters, tell: Tell) -> None:
    """``{"drafts"}``: a person knows of these conflicts. Events: ``done``."""
    drafts = texts_of(parameters, "drafts")
    await Remedies(writing_of(drive)).saw(map(DraftId, drafts))
    await Reports(tell).tell("done")

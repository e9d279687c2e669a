"""``offline``: go on with what is cached and ask nobody, for a flight or a phone's network."""

from __future__ import annotations

from dmfs.drive import Drive
from dmfs.errors import UsageError
from dmfs.jobs.job import Parameters, Tell
from dmfs.jobs.reports import Reports

ANSWER_S = 2.0
"""Back online, the service gets so long to answer before the person is told that it does not."""


async def offline(drive: Drive, parameters: Parameters, tell: Tell) -> None:
    """``{"on": true|false}``. For as long as this process lives: a new mount is online.

    Events: ``done`` (``offline``: whether it is now, ``forced``: whether because it was asked to).
    """
    on = parameters.get("on")
    if not isinstance(on, bool):
        raise UsageError("on is missing, or neither true nor false")
    drive.force_offline(on)
    reached = not on and await drive.parts.client.probe(ANSWER_S)
    await Reports(tell).tell("done", offline=not reached, forced=on)

"""The gate: which program may have bytes fetched by an open (see ``neighbours``)."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from dmfs.blocks.reader import AnyReader
from dmfs.blocks.whole.at_hand import from_cache_alone, is_at_hand
from dmfs.drive.parts import Parts
from dmfs.errors import NeighbourRefusedError
from dmfs.model import Directory, File, Leaf
from dmfs.names import printable
from dmfs.neighbours.decision import Caller, Verdict, What, decide, extension_of, is_gated
from dmfs.neighbours.programs import has_terminal
from dmfs.telemetry.processes import Process

log = logging.getLogger(__name__)

FoundIn = tuple[Directory, str]
Opens = Callable[[FoundIn | None], Awaitable[AnyReader]]
"""An open as anybody's; without a place nothing is fetched ahead of it."""


class Gate:
    """Of one drive. Asked for programs of the table alone: for all others it costs nothing."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def open(
        self, process: Process, leaf: Leaf, found_in: FoundIn | None, opens: Opens
    ) -> AnyReader:
        """A reader, as the policy has it. NeighbourRefusedError at once, and without a call."""
        if not isinstance(leaf, File):
            return await opens(found_in)
        policy, sizes = self._parts.settings.neighbours, self._parts.sizes
        caller = Caller(process.kind, has_terminal(process.pid))
        if not is_gated(policy, caller):  # no look at the cache for these
            return await opens(found_in)
        size_bytes = sizes.of(leaf) if sizes.is_known(leaf) else None
        cached = await is_at_hand(self._parts.blocks, sizes, leaf)
        match decide(policy, caller, What(size_bytes, extension_of(leaf.name), cached)):
            case Verdict.FREELY:
                return await opens(found_in)
            case Verdict.ALONE:
                return await opens(None)
            case Verdict.CACHED:
                with from_cache_alone():
                    return await opens(None)
            case Verdict.REFUSED:
                self._count(process)
                raise NeighbourRefusedError(
                    f"{printable(process.name)} is kept away from {printable(leaf.name)!r}"
                )

    def _count(self, process: Process) -> None:
        """One line and one event for each program: there may be ten thousand refusals."""
        assert process.kind is not None
        if not self._parts.activity.refusals.count(process.name, process.kind):
            return
        kind = process.kind.value
        log.info(
            "%s (%d) is kept away from files that would have to be fetched: it is a program that"
            " opens all it sees (%s); dmfs status counts them, the setting neighbours decides",
            printable(process.name), process.pid, kind,
        )  # fmt: skip
        self._parts.activity.publish("kept_away", pid=process.pid, program=process.name, kind=kind)

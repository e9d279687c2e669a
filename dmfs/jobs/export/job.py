"""``export``: designs into a directory of this machine, or into the drive beside their shortcuts.

All are ordered first, as fast as the published rate allows, then looked at until they are there;
what is there is fetched at once. Whoever ends it loses nothing: the same command takes up what was
ordered, and orders nothing twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import trio

from dmfs.drive import Drive
from dmfs.errors import (
    DriveError,
    ExistsError,
    InDoubtError,
    NoRoomError,
    SetupError,
    UsageError,
)
from dmfs.exports.exports import Exports
from dmfs.exports.records import Key, export_name, key_of
from dmfs.exports.steps import Wish, chosen_format
from dmfs.jobs.export import landing
from dmfs.jobs.export.designs import Design, find_designs
from dmfs.jobs.job import Parameters, Tell, flag_of, text_of, texts_of
from dmfs.jobs.reports import EVERYBODYS, Reports
from dmfs.names import printable
from dmfs.ratelimit.limits import Priority
from dmfs.ratelimit.priority import RequestPriority, at_priority
from dmfs.system.clock import wall_time_s
from dmfs.system.concurrency import bare_errors, in_thread

AT_ONCE = 512
"""Designs under way: each is a task that sleeps most of the time."""
FETCHES_AT_ONCE = 4
TRIES = 3
UMASK = 0o022


async def export(drive: Drive, parameters: Parameters, tell: Tell) -> None:
    """``{"paths", "format", "output" or "keep", "recursive", "umask"}``: ``output`` is the path of
    a directory.

    Events: ``listing``, ``exporting`` (``done``, ``of``), ``exported`` (``path``, ``to``,
    ``bytes``), ``failed`` at the end, and ``done`` (``exported``, ``there``: what stood there
    already, ``left_out``: designs below folders that the service does not make in this format,
    ``bytes``, ``failed``). DriveError if any failed.
    """
    exports = drive.parts.exports
    if exports is None:
        raise SetupError("this drive exports nothing")
    paths = texts_of(parameters, "paths")
    keep, output = flag_of(parameters, "keep"), text_of(parameters, "output", "")
    if keep == bool(output):
        raise UsageError("either a directory to export to, or keep")
    if output:
        await in_thread(partial(landing.check_directory, Path(output)))
    umask = parameters.get("umask", UMASK)
    work = _Exporting(
        drive, exports, Reports(tell), Path(output) if output else None,
        umask if type(umask) is int else UMASK,
    )  # fmt: skip
    recursive = flag_of(parameters, "recursive")
    with at_priority(RequestPriority(Priority.WRITE)):
        designs = await find_designs(drive, paths, work.reports, recursive=recursive)
        await exports.tools.require_orders()
        await work.run(designs, text_of(parameters, "format", ""))


class _Order(NamedTuple):
    """A design, the format that it is made into, and where it goes."""

    design: Design
    format: str
    place: Path | None


class _Exporting:
    """One run."""

    def __init__(
        self, drive: Drive, exports: Exports, reports: Reports, output: Path | None, umask: int
    ) -> None:
        self._drive, self._exports = drive, exports
        self.reports = reports
        self._output, self._umask = output, umask
        self._wish = Wish(wall_time_s())
        self._fetches = trio.CapacityLimiter(FETCHES_AT_ONCE)
        self._errors: list[tuple[str, DriveError]] = []
        self._in_doubt: list[Key] = []
        self._exported = self._there = self._bytes = self._of = self._ended = 0

    async def run(self, designs: Sequence[Design], wanted: str) -> None:
        orders, left_out = await self._orders(designs, wanted)
        self._of = len(orders)
        slots = trio.CapacityLimiter(AT_ONCE)
        with bare_errors():
            async with trio.open_nursery() as nursery:
                for order in orders:
                    await slots.acquire_on_behalf_of(order)
                    nursery.start_soon(self._one, order, slots)
        for path, error in self._errors:
            await self.reports.failed(path, error)
        await self._exports.maker.warned(self._in_doubt)
        failed = self.reports.failures
        await self.reports.tell(
            "done", exported=self._exported, there=self._there, left_out=left_out,
            bytes=self._bytes, failed=failed,
        )  # fmt: skip
        if failed:
            assert self.reports.first is not None
            raise DriveError(
                f"{failed} of {max(self._of, failed)} designs were not exported",
                hint=self.reports.first.hint,
            )

    # What is to be made

    async def _orders(self, designs: Sequence[Design], wanted: str) -> tuple[list[_Order], int]:
        """And how many below folders cannot be had so."""
        orders: list[_Order] = []
        left_out: Counter[str] = Counter()
        formats: dict[str, tuple[str, ...]] = {}
        places: set[Path] = set()
        for each in designs:
            kind = each.node.extension_type
            if kind not in formats:
                ask = partial(self._exports.formats, each.node)
                formats[kind] = await self.reports.patiently(ask, tries=TRIES)
            chosen = chosen_format(wanted, formats[kind])
            if chosen:
                place = self._place(each, chosen)
                if place is not None and place in places:
                    self._failed(each, ExistsError("another design has the same place"))
                    continue
                if place is not None:
                    places.add(place)
                orders.append(_Order(each, chosen, place))
            elif each.is_named:
                self._failed(each, _not_offered(wanted, formats[kind]))
            else:
                left_out[kind] += 1
        if designs and not orders and not self._errors:
            raise _not_offered(wanted, [each for some in formats.values() for each in some])
        return orders, left_out.total()

    def _place(self, design: Design, file_type: str) -> Path | None:
        if self._output is None:
            return None
        above, _, name = design.below.rpartition("/")
        return self._output / above / export_name(name, file_type, design.node.item_id)

    def _failed(self, design: Design, error: DriveError) -> None:
        self._errors.append((design.path, error))

    # Making it

    async def _one(self, order: _Order, slots: trio.CapacityLimiter) -> None:
        try:
            await self._export(order)
        except (*EVERYBODYS, NoRoomError):
            raise
        except DriveError as error:
            if isinstance(error, InDoubtError):
                self._in_doubt.append(key_of(order.design.node, order.format))
            self._failed(order.design, error)
        finally:
            slots.release_on_behalf_of(order)
        self._ended += 1
        await self.reports.progress(of="exporting", done=self._ended, of_all=self._of)

    async def _export(self, order: _Order) -> None:
        design, place = order.design, order.place
        if place is None:
            found = await self._exports.keep(design.node, order.format, self._wish)
            above, _, name = design.path.rpartition("/")
            shown = export_name(name, order.format, design.node.item_id)
            await self._tell(design, f"{above}/{shown}", found.size_bytes or 0)
            return
        standing = await in_thread(partial(landing.look, place))
        if standing.version == design.node.version_id:
            self._there += 1  # nobody has to be asked for it
            return
        if standing.exists and not standing.item:
            known = await self._exports.find(design.node, order.format)
            if known is not None and await in_thread(partial(landing.is_same, place, known)):
                self._there += 1
                return
        landing.refuse_other(place, standing, design.node, order.format)
        found = await self._exports.obtain(design.node, order.format, self._wish)
        async with self._fetches:
            size_bytes = await landing.write(self._drive, found, place, self._umask)
        await self._tell(design, str(place), size_bytes)

    async def _tell(self, design: Design, to: str, size_bytes: int) -> None:
        self._exported += 1
        self._bytes += size_bytes
        await self.reports.tell("exported", path=design.path, to=to, bytes=size_bytes)


def _not_offered(wanted: str, offered: Sequence[str]) -> UsageError:
    """One line that names those that are."""
    words = ", ".join(dict.fromkeys(offered))
    if not words:
        return UsageError("the service makes no file of it in any format")
    return UsageError(
        f"the service does not make {printable(wanted)} of it", hint=f"it offers: {words}"
    )

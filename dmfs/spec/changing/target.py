"""What an open file writes to, on the loop: a new file that takes its name when it is whole, or
one that is there."""

from __future__ import annotations

from typing import Protocol

from dmfs.drive import Drive
from dmfs.errors import ExistsError, IsADirectory, NotFoundError
from dmfs.jobs.writing.place import writing_of
from dmfs.model import Directory, File
from dmfs.names import aside_name, printable
from dmfs.write.care.putting import check, drop, gone_up
from dmfs.write.handle import Handle
from dmfs.write.records import new_draft_id
from dmfs.write.writing import Writing


class Target(Protocol):
    """A handle, and how it ends."""

    handle: Handle

    async def commit(self, *, wait: bool = False) -> None:
        """Safe on this machine, under its name; ``wait``: and at the service. Once."""
        ...

    async def discard(self) -> None: ...


class Aside:
    """A file under a name that stays on this machine; ``commit`` gives it its own. What stood there
    is seen until then, and stays if nothing is committed."""

    def __init__(
        self, writing: Writing, directory: Directory, name: str, aside: str, handle: Handle,
        *, exclusive: bool,
    ) -> None:  # fmt: skip
        self._writing, self._directory, self._name = writing, directory, name
        self._aside, self.handle, self._exclusive = aside, handle, exclusive

    async def commit(self, *, wait: bool = False) -> None:
        """As ``Target.commit``; what fails leaves what was there."""
        try:
            await self.handle.confirm()
            await self._writing.rename(
                self._directory, self._aside, self._directory, self._name,
                replace=not self._exclusive,
            )  # fmt: skip
        except BaseException:
            await self.discard()
            raise
        self.handle.close()
        if wait:
            await gone_up(self._writing, self.handle.live)

    async def discard(self) -> None:
        self.handle.close()
        await drop(self._writing, self._directory, self._aside)


class InPlace:
    """A file that is there; what is written is seen at once."""

    def __init__(self, writing: Writing, handle: Handle) -> None:
        self._writing, self.handle = writing, handle

    async def commit(self, *, wait: bool = False) -> None:
        """As ``Target.commit``."""
        try:
            await self.handle.confirm()
        finally:
            self.handle.close()
        if wait:
            await gone_up(self._writing, self.handle.live)

    async def discard(self) -> None:
        await self.commit()


async def begin(drive: Drive, directory: Directory, name: str, *, exclusive: bool) -> Aside:
    """A new file, or what the next version of the one that is there will be. ``exclusive``:
    ExistsError for one that is there, now or at the commit."""
    writing = writing_of(drive)
    if exclusive and await writing.child(directory, name) is not None:
        raise ExistsError(f"there is a {printable(name)!r} already")
    await check(writing, directory, name)
    aside = aside_name(new_draft_id())
    _, handle = await writing.create(directory, aside, exclusive=True, truncate=False)
    return Aside(writing, directory, name, aside, handle, exclusive=exclusive)


async def in_place(drive: Drive, directory: Directory, name: str, *, make: bool) -> InPlace:
    """The file that is there; ``make``: else a new one. NotFoundError, IsADirectory."""
    writing = writing_of(drive)
    found = await writing.child(directory, name)
    if found is None and make:
        _, handle = await writing.create(directory, name, exclusive=False, truncate=False)
        return InPlace(writing, handle)
    if found is None:
        raise NotFoundError(f"there is no {printable(name)!r}")
    if not isinstance(found, File):
        raise IsADirectory(f"{printable(name)!r} is no file that can be written")
    handle = await writing.open(found, (directory, name), writes=True, truncate=False)
    return InPlace(writing, handle)

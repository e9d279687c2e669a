"""What this state directory holds in the index of the cache, written down before it is held.

The index says what is held, not for whom: another state directory may share the cache. And pins.db
may be lost. So each keeper lets go of what its own record names and no pin wants.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from pathlib import Path

from dmfs.blocks.disk_tier import DiskTier
from dmfs.model import StorageId
from dmfs.system.concurrency import in_thread
from dmfs.system.private_files import make_private

NAME = "held-{}.txt"


class Holdings:
    """Of one sign-in. DriveError of the cache, OSError of the record."""

    def __init__(self, state_directory: Path, scope: str, disk: DiskTier) -> None:
        self._path = state_directory / NAME.format(scope)
        self._disk = disk
        self.held: set[StorageId] = set()
        """What the index holds, as last read."""
        self._recorded: set[StorageId] = set()
        self._any: bool | None = None

    async def any(self) -> bool:
        """Whether something may be held."""
        if self._any is None:
            self._any = await in_thread(self._path.exists)
        return self._any

    async def load(self) -> None:
        """What the keeper before wrote down."""
        self._recorded |= await in_thread(self._read)

    async def look(self) -> set[StorageId]:
        """What the index holds now."""
        self.held = await self._disk.held()
        return self.held

    async def hold(self, storage_ids: Collection[StorageId]) -> None:
        """From now on, by the index; what it holds already costs nothing."""
        new = set(storage_ids) - self.held
        if not new:
            return
        await in_thread(partial(self._append, new - self._recorded))
        self._recorded |= new
        self._any = True
        await self._disk.hold(hold=new)
        self.held |= new

    async def let_go(self, storage_ids: Collection[StorageId]) -> None:
        await self._disk.hold(let_go=storage_ids)
        self.held -= set(storage_ids)

    def strays(self) -> set[StorageId]:
        """What may be held, by the record."""
        return set(self._recorded)

    async def settle(self, wanted: Collection[StorageId]) -> None:
        """Nothing else is held any more: the record says no more than that."""
        wanted = set(wanted)
        if self._recorded != wanted:
            await in_thread(partial(self._write, wanted))
            self._recorded, self._any = wanted, bool(wanted)

    def _read(self) -> set[StorageId]:
        try:
            text = self._path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return set()
        return {StorageId(line) for line in text.splitlines() if line}

    def _append(self, storage_ids: Collection[StorageId]) -> None:
        make_private(self._path.parent)
        with self._path.open("a", encoding="utf-8") as file:
            file.writelines(f"\n{each}\n" for each in storage_ids)  # the last line may be half one

    def _write(self, storage_ids: Collection[StorageId]) -> None:
        if not storage_ids:
            self._path.unlink(missing_ok=True)
            return
        make_private(self._path.parent)
        new = self._path.with_suffix(".new")
        new.write_text("".join(f"{each}\n" for each in storage_ids), encoding="utf-8")
        new.replace(self._path)

"""Random walks: programs, other people, faults and restarts; the drive against the book."""

from __future__ import annotations

import itertools
import os
import random
from contextlib import AsyncExitStack
from typing import Any
from unittest.mock import patch

import trio

from dmfs.errors import DriveError, NotPermittedError
from dmfs.model import File
from dmfs.write import opening
from dmfs.write.handle import Handle
from dmfs.write.records import State
from tests.write.model.machine import BOB, Machine, read_all, until
from tests.write.model.notes import Book, Note
from tests.write.model.place import Place, sha256
from tests.write.model.trouble import FAULTS, LAG_S, LEVELS, LOST, NAMES

OURS = (
    "create", "create", "write", "write", "write", "truncate", "fsync", "close", "close", "rename",
    "rename", "unlink", "read", "read", "check", "open", "wait",
)  # fmt: skip
THEIRS = ("new_version", "new_version", "rename", "hide", "add_item", "reserve", "race")


def short(files: dict[str, bytes]) -> dict[str, bytes]:
    """For a person who reads a failure."""
    return {name: data[:24] for name, data in files.items()}


class Walk:
    """One machine, one folder, one seed."""

    def __init__(self, machine: Machine, place: Place, seed: int, **weights: int) -> None:
        self.machine, self.place, self.dice = machine, place, random.Random(seed)
        self.book = Book()
        self.open: list[tuple[Handle, Note]] = []
        self.weights = {
            "ours": 20,
            "theirs": 0,
            "fault": 0,
            "restart": 0,
            "offline": 0,
            "doubt": 0,
        } | weights
        self.log: list[str] = []
        self.count = 0
        self._stack = AsyncExitStack()
        self.seen: set[str] = set()
        """Ids of all versions that the drive has shown: who saves over their bytes knows."""

    changes: tuple[str, ...] = THEIRS
    """What others do."""

    def path(self, name: str) -> str:
        return f"{self.place.path}/{name}"

    def text(self, who: str) -> bytes:
        self.count += 1
        return f"{who} {self.count} of {self.place.path[-9:]} ".encode() * self.dice.choice((1, 40))

    # Rounds

    async def run(self, rounds: int, steps: int) -> None:
        for name in NAMES[:3]:
            data = self.text("first")
            self.place.add(name, data)
            self.book.theirs.add(data)
        await self._on()
        try:
            for _ in range(rounds):
                self.book.begin(await self.shown())
                for _ in range(steps):
                    await self.step()
                await self.settle()
        finally:
            await self._stack.aclose()

    async def _on(self) -> None:
        await self._stack.enter_async_context(self.machine.on())

    async def shown(self) -> dict[str, bytes]:
        """What the drive has."""
        await self.look()
        names = await self.machine.names(self.place.path)
        return {name: await self.machine.read(self.path(name)) for name in names}

    async def look(self) -> None:
        listing = await self.machine.drive.list(await self.machine.directory(self.place.path))
        self.seen |= {
            each.version_id for each in listing.entries.values() if isinstance(each, File)
        }

    async def step(self) -> None:
        kind = self.dice.choices(list(self.weights), list(self.weights.values()))[0]
        if kind == "ours":
            await self.ours(self.dice.choice(OURS))
        elif kind == "theirs":
            self.theirs(self.dice.choice(self.changes))
        elif kind == "fault":
            fault = self.dice.choice(FAULTS)
            self.log.append(f"fault {fault}")
            self.machine.emulator.fault(**fault, times=self.dice.choice((1, 1, 2)))
        elif kind == "restart":
            await self.restart()
        elif kind == "doubt":
            await self.delete_in_doubt(*self.dice.sample(NAMES, 2))
        else:
            self.machine.drive.force_offline(True)
            self.log.append("offline")
            await self.ours(self.dice.choice(OURS))
            self.machine.drive.force_offline(False)

    async def restart(self) -> None:
        self.log.append("restart")
        self.open.clear()
        with patch.object(opening, "FINISH_S", self.dice.choice((0.0, opening.FINISH_S))):
            await self._stack.aclose()
        self.book.killed()
        await self._on()
        names = set(await self.machine.names(self.place.path))
        assert self.book.agrees(names), (names, self.log)

    async def delete_in_doubt(self, name: str, other: str) -> None:
        """A file is deleted when the answer to its POST is lost, and then there may be a kill."""
        for route in ("items_post", "versions_post"):
            self.machine.emulator.fault(**self.dice.choice(LOST), route=route, times=1)
        await self.ours("create", name, other)
        if name in self.book.files and self.open and self.open[-1][1] is self.book.files[name]:
            handle, note = self.open.pop()
            data = self.text("ours")
            await handle.write(0, data)
            self._patch(note, 0, data)
            await self.confirm(handle, note)
            handle.close()
        await trio.sleep(self.dice.choice((0.2, 2.0, 5.0, 12.0)))
        await self.ours("unlink", name, other)
        if self.weights["restart"] and self.dice.random() < 0.5:
            await self.restart()

    # Programs

    async def ours(self, what: str, name: str = "", other: str = "") -> None:
        if not name:
            name, other = self.dice.sample(NAMES, 2)
        self.log.append(f"{what} {name} {other}")
        try:
            await self._ours(what, name, other)
        except DriveError as error:
            self.log.append(f"  refused: {type(error).__name__} {error.message}")
            self.allowed(error)
        except FileNotFoundError:
            assert self.book.contested, (name, self.log)

    def allowed(self, error: DriveError) -> None:
        if isinstance(error, NotPermittedError) and not self.place.deletes:
            return
        quiet = set(self.weights) - {"ours"}
        assert any(self.weights[each] for each in quiet), (error, self.log)

    async def _ours(self, what: str, name: str, other: str) -> None:  # noqa: C901, PLR0912
        book, machine = self.book, self.machine
        if self.weights["theirs"]:
            await self.look()
        if what == "create" and len(self.open) < 6:
            truncate = self.dice.random() < 0.7
            flags = os.O_RDWR | os.O_CREAT | (os.O_TRUNC if truncate else 0)
            handle = await machine.open(self.path(name), flags)
            note = book.files.get(name)
            if note is None or (note.contested and not handle.size_bytes):
                note = Note(name, bytearray(), None, contested=book.contested or name in book.back)
                book.put(name, note)
            elif truncate:
                note.data = bytearray()
            self.open.append((handle, note))
        elif what == "open" and name in book.files and len(self.open) < 6:
            note = book.files[name]
            self.open.append((await machine.open(self.path(name), os.O_RDWR), note))
        elif what in ("write", "truncate") and self.open:
            handle, note = self.dice.choice(self.open)
            if what == "write":
                data, offset = self.text("ours"), self.dice.choice((0, 0, len(note.data), 500))
                await handle.write(offset, data)
                self._patch(note, offset, data)
            else:
                size = self.dice.choice((0, 10, len(note.data) + 7))
                await handle.truncate(size)
                note.data = note.data[:size].ljust(size, b"\0")
        elif what in ("fsync", "close") and self.open:
            handle, note = self.dice.choice(self.open)
            await self.confirm(handle, note, stays_open=what == "fsync")
            if what == "close":
                handle.close()
                self.open.remove((handle, note))
        elif what == "rename" and name in book.files:
            await self.rename(name, other)
        elif what == "unlink" and name in book.files:
            await machine.unlink(self.path(name))
            book.drop(name, deletes=self.place.deletes)
        elif what == "read" and self.open:
            handle, note = self.dice.choice(self.open)
            self.same(note, await read_all(handle))
        elif what == "check":
            await self.check()
        elif what == "wait":
            await trio.sleep(self.dice.choice((0.1, 1.0, 3.0)))

    async def rename(self, name: str, other: str) -> None:
        """What was written is safe before it takes another's place."""
        note, machine = self.book.files[name], self.machine
        live = await machine.live(self.path(name))
        had = live is not None and live.is_dirty
        if note.contested and had:
            note.data = bytearray(await machine.read(self.path(name)))
        try:
            await machine.rename(self.path(name), self.path(other))
        finally:
            if had:
                self.book.confirm(note)
        if not self.place.deletes and (other in self.book.files or other in self.book.back):
            self.book.back |= note.names | getattr(self.book.files.get(other), "names", set())
        self.book.put(other, note)

    async def confirm(self, handle: Handle, note: Note, *, stays_open: bool = False) -> None:
        had = handle.has_news
        if note.contested and had:  # who knows which file it is
            note.data = bytearray(await read_all(handle))
        await handle.confirm(stays_open=stays_open)
        if had:
            self.book.confirm(note)

    @staticmethod
    def _patch(note: Note, offset: int, data: bytes) -> None:
        if len(note.data) < offset:
            note.data += bytes(offset - len(note.data))
        note.data[offset : offset + len(data)] = data

    def same(self, note: Note, data: bytes) -> None:
        if not note.contested:
            assert data == bytes(note.data), (note, data[:60], self.log)

    async def check(self) -> None:
        """What is seen is what the book says."""
        names = set(await self.machine.names(self.place.path))
        assert self.book.agrees(names), (names, self.log)
        for name, note in list(self.book.files.items()):
            if note.contested:
                continue
            assert name in names, (name, self.log)
            self.same(note, await self.machine.read(self.path(name)))

    # Others

    def theirs(self, what: str) -> None:
        live = self.place.live()
        if not live and what != "add_item":
            return
        name = self.dice.choice(sorted(live)) if live else ""
        other = self.dice.choice([*NAMES, "theirs.dwg"])
        self.log.append(f"they {what} {name} {other}")
        data = self.text("theirs")
        if what in ("new_version", "race"):
            self.book.theirs.add(data)
            order = self.place.order("new_version", name, text=data.decode())
            if what == "race":
                self.machine.emulator.race("versions_post", order, body=order["id"])
            else:
                self.place.change("new_version", name, text=data.decode())
            self.book.meddled(name)
        elif what == "rename" and other not in live and other.endswith(name[-4:]):
            self.place.change("rename", name, name=other)
            self.book.meddled(name, other)
        elif what == "hide":
            self.place.change("hide", name)
            self.book.meddled(name)
        elif what == "add_item" and other not in live:
            self.book.theirs.add(data)
            self.place.add(other, data)
            self.book.meddled(other)
        elif what == "reserve":
            self.place.change("reserve", name)
            self.book.meddled(name)
        elif what == "level":
            self.level(self.dice.choice(LEVELS))

    def level(self, level: str | None) -> None:
        self.log.append(f"they let us {level}")
        self.machine.emulator.change("level", id=self.place.id, user="*", level=level)

    # The end of a round

    async def settle(self) -> None:
        """Trouble is over: the service comes to be what the book says."""
        emulator, machine = self.machine.emulator, self.machine
        self.log.append("settle")
        for handle, note in self.open:
            await self.confirm(handle, note)
            handle.close()
        self.open.clear()
        emulator.clear_faults()
        emulator.clear_races()
        self.level(None)
        for item in self.place.items():
            emulator.change("unreserve", id=item["id"])
        self.retry()
        await until(self.has_settled, 25.0, lambda: (machine.what_is_left(), self.log))
        await trio.sleep(2 * LAG_S)
        await machine.look_again(self.place.path)
        shown = await self.shown()
        tips = self.place.tips()
        local = set() if self.place.deletes else await machine.local_names(self.place.path)
        sums = {name: sha256(data) for name, data in shown.items() if name not in local}
        assert sums == tips, (short(shown), sorted(tips), self.log)
        await until(lambda: not machine.leftovers(), 5.0, lambda: (machine.leftovers(), self.log))
        self.nothing_lost(shown)
        counted = emulator.control("GET", "violations")["violations"]
        wrong = [each for each in counted if not self.is_rename(each)]
        assert not wrong, (wrong, self.log)

    def is_rename(self, violation: dict[str, Any]) -> bool:
        """Whether a version of the same bytes has another name: that is how files are renamed."""
        if violation["kind"] != "same_bytes_version":
            return False
        versions = self.machine.emulator.timeline(id=violation["item"])
        names = {each["number"]: each["name"] for each in versions}
        return names[violation["number"]] != names[violation["number"] - 1]

    def retry(self) -> None:
        """As a person does with what failed."""
        drafts, settler = self.machine.writing.drafts, self.machine.writing.settler
        for live in drafts.by_id.values():
            if live.draft.state is State.FAILED:
                live.to_go_up()
        settler.hurry(True)
        settler.hurry(False)

    def has_settled(self) -> bool:
        self.machine.writing.nudge()  # one that was looking has not heard the last
        if self.machine.rests:
            states = [each.draft.state for each in self.machine.writing.drafts.by_id.values()]
            if State.FAILED not in states:
                return True
            self.retry()
        return False

    def nothing_lost(self, shown: dict[str, bytes]) -> None:
        items, book = self.place.items(), self.book
        if not book.contested:
            wanted = {name: bytes(note.data) for name, note in book.files.items()}
            shown = {k: v for k, v in shown.items() if k in wanted or k not in book.back}
            assert shown == wanted, (short(shown), short(wanted), self.log)
        storages: dict[str, set[str]] = {}
        known = {sha256(each) for each in book.ever | book.theirs}
        for item in items:
            for version in item["versions"]:
                if version["sha256"]:
                    storages.setdefault(version["sha256"], set()).add(version["storage"])
                    if version["user"] == self.machine.user:
                        assert version["sha256"] in known, (
                            "never confirmed",
                            self.machine.emulator.bytes(version["storage"])[:70],
                            version["name"],
                            self.log,
                        )
        for data in book.ever:
            if data:
                times = len(storages.get(sha256(data), ()))
                assert times <= book.uploads[data], ("twice", data[:40], self.log)
        kept = self.kept(items)
        for note in book.files.values():
            if note.ours and note.confirmed:
                assert sha256(note.confirmed) in kept, ("lost", note, self.log)
        visible = set(self.place.tips().values())
        for item in items:
            visible |= {each["sha256"] for each in item["versions"] if each["id"] in self.seen}
        for item in items:
            self.theirs_seen(item, visible)

    def kept(self, items: list[dict[str, Any]]) -> set[str]:
        """Digests in the history of what is there, or of what somebody else has deleted."""
        return {
            version["sha256"]
            for item in items
            if not item["hidden"] or item["versions"][-1]["user"] == BOB
            for version in item["versions"]
        }

    def theirs_seen(self, item: dict[str, Any], visible: set[str]) -> None:
        """Nothing of theirs was deleted, or gone over, that the drive had not shown."""
        versions = item["versions"]
        for number, (version, after) in enumerate(itertools.pairwise(versions)):
            if version["user"] == BOB and after["user"] != BOB:
                again = {each["sha256"] for each in versions[number + 1 :]}  # renamed, restored
                known = version["sha256"] in again | visible | {None}
                assert known, ("theirs is out of sight", item, self.log)

"""The reference model at its second height: a real mount in a process of its own, over the
emulator. Short programs; the truth is the emulator's bytes of the version that was opened."""

from __future__ import annotations

import errno
import itertools
import os
import random
import time
from typing import Any

import pytest

from tests.support.mounts import wait_until

pytestmark = pytest.mark.mount

FOLDER = "Bench/Bench Project/Project Files"
SMALL = f"{FOLDER}/small"
ASIDE = f"{FOLDER}/aside"
"""Where items are moved to, and back from."""
STEPS = int(os.environ.get("DMFS_MOUNT_MODEL_STEPS", "150"))
TTL_S = 0.3
BROKEN = {errno.EIO, errno.ETIMEDOUT, errno.EBUSY, errno.EACCES, errno.ESTALE}
"""What trouble may look like. ENOENT is none of them."""
CONFIG = {
    "ttl": f"{TTL_S}s", "hub_ttl": f"{TTL_S}s", "patience": "5s", "rollup_trust": "1s",
    "metadata_timeout": "5s", "data_timeout": "8s",
}  # fmt: skip
CHANGES = (
    "move", "revoke", "new_version", "hide", "new project", "rename", "move back", "grant",
    "restore", "new_version", "add",
)  # fmt: skip
FAULTS: list[dict[str, Any]] = [
    {"kind": "status", "status": 503, "times": 2},
    {"kind": "status", "status": 500, "origin": "cdn", "times": 2},
    {"kind": "status", "status": 401, "route": "contents"},
    {"kind": "reset_mid_body", "origin": "cdn", "times": 3},
    {"kind": "reset_before_headers", "times": 2},
    {"kind": "expired_url", "origin": "cdn"},
    {"kind": "wrong_content_range", "origin": "cdn"},
    {"kind": "truncated_json", "route": "contents"},
    {"kind": "html_200", "route": "sign"},
    {"kind": "short_body", "origin": "cdn"},
    {"kind": "status", "status": 403, "route": "contents"},
    {"kind": "stall_mid_body", "origin": "cdn", "seconds": 0.5},
]


@pytest.fixture(scope="module")
def world_spec() -> str:
    return "small:files=8,min=1000,max=300000+big:size=20000000,count=1"


class Machine:
    """One mount, its readers' open files, and the people who change things meanwhile."""

    def __init__(self, drive: Any, emulator: Any, seed: int) -> None:
        self.drive, self.emulator = drive, emulator
        self.dice = random.Random(seed)
        self.handles: dict[int, tuple[str, int]] = {}
        self.trouble_until = 0.0
        emulator.change("add_folder", path=FOLDER, name="aside")
        self.ever = set(self._names())
        self.refused: set[str] = set()
        """Storage ids of items that were taken from us at some time."""
        self.told: dict[str, int] = {}
        self.turns = itertools.cycle(CHANGES)
        self.changed: dict[str, int] = {}

    # The truth

    def _folder(self, name: str = "small") -> Any:
        todo = list(self.emulator.world()["hubs"][0]["projects"][0]["folders"])
        while todo:
            folder = todo.pop()
            if folder["name"] == name:
                return folder
            todo += folder["folders"]
        raise AssertionError(name)

    def _items(self, folder: str = "small", **flags: bool) -> list[Any]:
        """Of a folder, those that are to be seen; or the hidden, or the revoked ones."""
        wanted = {"hidden": False, "revoked": False} | flags
        return [
            item
            for item in self._folder(folder)["items"]
            if all(bool(item[flag]) == value for flag, value in wanted.items())
        ]

    def _names(self, folder: str = "small") -> set[str]:
        return {item["versions"][-1]["name"] for item in self._items(folder)}

    def _projects(self) -> set[str]:
        return {project["name"] for project in self.emulator.world()["hubs"][0]["projects"]}

    # What readers do

    def attempt(self, *call: Any, refused: bool = False) -> Any:
        """The answer; None for an error that trouble may look like, or a refusal."""
        try:
            answer = self.drive.call(*call, timeout_s=30)
        except OSError as error:
            assert error.errno in BROKEN, (call, error)  # noqa: PT017
            if not (refused and error.errno == errno.EACCES):
                assert time.monotonic() < self.trouble_until, (call, error)  # noqa: PT017
            self.told["errors"] = self.told.get("errors", 0) + 1
            return None
        self.told[call[0]] = self.told.get(call[0], 0) + 1
        return answer

    def path(self, name: str) -> str:
        return str(self.drive.path(SMALL, name))

    def readdir(self) -> None:
        names = self.attempt("listdir", self.drive.path(SMALL))
        if names is not None:
            assert set(names) <= self.ever, "a name that never was"
            assert names, "emptiness out of nowhere"
        aside = self.attempt("listdir", self.drive.path(ASIDE))
        assert set(aside or ()) <= self.ever, "a name that never was"
        projects = self.attempt("listdir", self.drive.path("Bench"))
        assert projects is None or {"Bench Project"} <= set(projects) <= self._projects()

    def open(self) -> None:
        for name in self.dice.sample(sorted(self._names()), 1):
            try:
                fd = self.drive.call("open", self.path(name), timeout_s=30)
                storage = self.drive.call("getxattr", self.path(name), "user.dmfs.storage_id")
                again = (
                    self.drive.call("fstat", fd).st_ino
                    == self.drive.call("stat", self.path(name)).st_ino
                )
            except OSError:
                return  # renamed or hidden a moment ago, or trouble: seen by the other steps
            if again:  # else a new version came in between: which one was opened is not known
                true = self.emulator.bytes(storage.decode())
                self.handles[fd] = (storage.decode(), len(true))

    def pread(self) -> None:
        for fd in self.dice.sample(sorted(self.handles), min(1, len(self.handles))):
            storage, size = self.handles[fd]
            at, length = self.dice.randrange(size + 10), self.dice.choice((1, 4096, 200_000))
            data = self.attempt("pread", fd, at, length, refused=storage in self.refused)
            if data is not None:
                want = self.emulator.bytes(storage, at, length) if at < size else b""
                assert data == want, f"{storage} at {at}: bytes of another version"

    def big(self) -> None:
        path = self.drive.path(FOLDER, "big", "big-00.bin")
        at = self.dice.randrange(19_000_000)
        how = self.dice.choice(("read", "direct", "mmap"))
        if how == "mmap":
            found = self.attempt("mmap_slices", path, [(at, at + 5000)])
            data = found[0] if found else None
        else:
            at, length = (at // 4096 * 4096, 8192) if how == "direct" else (at, 50_000)
            data = self.attempt(how, path, at, length)
        if data is not None:
            true = self.emulator.bytes(self.big_storage(), at, len(data))
            assert data == true
            assert len(data) in (5000, 8192, 50_000)

    def big_storage(self) -> str:
        return str(self._folder("big")["items"][0]["versions"][-1]["storage"])

    def close(self) -> None:
        if len(self.handles) > 4:
            fd = self.dice.choice(sorted(self.handles))
            del self.handles[fd]
            self.drive.call("close", fd)

    def walk(self) -> None:
        self.attempt("lstats", self.drive.path(FOLDER))
        self.attempt("xattrs", self.drive.path(FOLDER, "big"))

    # What others do

    def change(self) -> None:
        items, hidden, aside = self._items(), self._items(hidden=True), self._items("aside")
        item = self.dice.choice(items)
        what = next(self.turns)  # in turn: short programs shall have tried all of them
        self.changed[what] = self.changed.get(what, 0) + 1
        if what == "new_version":
            self.emulator.change(what, id=item["id"], size=self.dice.randrange(1, 400_000))
        elif what == "rename":
            # never twice: of two equal names the drive gives one a hash, and rightly
            name = f"renamed {len(self.ever)}.txt"
            self.ever.add(name)
            self.emulator.change(what, id=item["id"], name=name)
        elif what == "hide" and len(items) > 3:
            self.emulator.change(what, id=item["id"])
        elif what == "restore" and hidden:
            self.emulator.change(what, id=self.dice.choice(hidden)["id"])
        elif what == "move" and len(items) > 3:
            self.emulator.change("move", id=item["id"], to=ASIDE)
        elif what == "move back" and aside:
            self.emulator.change("move", id=self.dice.choice(aside)["id"], to=SMALL)
        elif what == "revoke" and len(items) > 3:
            self.refused |= {version["storage"] for version in item["versions"]}
            self.emulator.change("revoke", id=item["id"])
        elif what == "grant":
            for back in self._items(revoked=True)[:1]:
                self.emulator.change("grant", id=back["id"])
        elif what == "new project" and len(self._projects()) < 6:
            name = f"project {self.dice.randrange(10**6)}"
            self.emulator.change("add_project", path="Bench", name=name)
        elif what == "add" and len(items) < 20:
            name = f"added {len(self.ever)}.bin"
            self.ever.add(name)
            self.emulator.change(
                "add_item", path=SMALL, name=name, size=self.dice.randrange(200_000)
            )

    def fault(self) -> None:
        self.emulator.fault(**self.dice.choice(FAULTS))
        self.trouble_until = time.monotonic() + 25

    def calm(self) -> None:
        """Trouble is over: soon the drive shows what is there, and nothing else."""
        self.emulator.clear_faults()
        self.emulator.expire_urls()

        def same() -> bool:
            try:
                return all(
                    set(self.drive.call("listdir", self.drive.path(path))) == names
                    for path, names in (
                        (SMALL, self._names()),
                        (ASIDE, self._names("aside")),
                        ("Bench", self._projects()),
                    )
                )
            except OSError as error:
                assert error.errno in BROKEN  # noqa: PT017
                return False

        wait_until(same, 30, "the listing of today")


def test_a_mount_shows_what_was_true_or_an_error(calm, make_drive):
    machine = Machine(make_drive(name="model", config=CONFIG, log_level="info"), calm, 2026)
    steps = [
        machine.readdir, machine.open, machine.open, machine.pread, machine.pread, machine.pread,
        machine.big, machine.close, machine.walk, machine.change, machine.fault,
    ]  # fmt: skip
    dice = random.Random(7)
    for number in range(STEPS):
        dice.choice(steps)()
        if number % 50 == 49:
            machine.calm()
    machine.calm()
    machine.trouble_until = 0.0
    time.sleep(2.5)  # refusals are remembered for a moment
    for storage, size in list(machine.handles.values()):
        assert size == machine.emulator.sha256(storage)[1]
    print(machine.told, machine.changed)
    assert set(machine.changed) == set(CHANGES), "what nobody did was not tried"
    assert machine.told["pread"] > STEPS // 20
    assert machine.drive.stop() in (0, 1)  # open files of the hands may keep it busy
    assert "Traceback" not in machine.drive.log()

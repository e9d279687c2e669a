"""Filesystem objects and open files in other processes: what they bring, and what they never do."""

from __future__ import annotations

import pickle
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from dmfs.drive import Drive
from dmfs.emulator.process import EmulatorProcess
from dmfs.model import Root
from dmfs.namespace import listing_cache
from dmfs.spec.filesystem import DmfsFileSystem, arrived
from dmfs.spec.known.knowledge import FORMAT, Knowledge, pack, unpack
from tests.spec.conftest import FILES, HUB, SMALL, Open, environment_of

ELSEWHERE = """
import pickle, sys, hashlib
fs, paths = pickle.load(sys.stdin.buffer)
print(*(hashlib.sha256(fs.cat_file(each)).hexdigest() for each in paths))
"""


def elsewhere(
    emulator: EmulatorProcess, directory: Path, given: object, program: str = ELSEWHERE
) -> str:
    """What a fresh process on another machine prints; its cache and its state are its own."""
    done = subprocess.run(
        [sys.executable, "-c", program], input=pickle.dumps(given), capture_output=True,
        env=environment_of(emulator, directory), timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def test_what_was_listed_travels(
    emulator: EmulatorProcess, fs: DmfsFileSystem, tmp_path: Path
) -> None:
    paths = fs.find(SMALL)
    expected = [emulator.sha256(fs.info(each)["storage_id"])[0] for each in paths]
    emulator.reset()
    assert elsewhere(emulator, tmp_path / "other", (fs, paths)).split() == expected
    counts = emulator.counts()
    names = ("hubs", "projects", "topFolders", "contents", "item", "tip", "versions")
    assert {counts[each] for each in names} == {0}
    assert (counts["sign"], counts["cdn_get"]) == (len(paths), len(paths))


@pytest.mark.parametrize("brought", [b"", b"not packed", b"x\x9c\x03\x00\x00\x00\x00\x01"])
def test_what_cannot_be_unpacked_is_listed_anew(
    emulator: EmulatorProcess, fs: DmfsFileSystem, brought: bytes
) -> None:
    path = fs.find(SMALL)[0]
    options = {**fs.storage_options, "skip_instance_cache": True}
    other = arrived(DmfsFileSystem, (), options, FORMAT, brought)
    assert other.info(path) == fs.info(path)
    assert len(unpack(brought)) == 0


def test_a_pickle_of_another_form_is_listed_anew(fs: DmfsFileSystem) -> None:
    path = fs.find(SMALL)[0]
    options = {**fs.storage_options, "skip_instance_cache": True}
    packed = fs.__reduce__()[1][-1]
    other = arrived(DmfsFileSystem, (), options, FORMAT + 1, packed)
    assert other.__reduce__()[1][-1] == b""
    assert other.info(path) == fs.info(path)


def test_an_open_file_travels_with_its_version_and_its_place(
    emulator: EmulatorProcess, fs: DmfsFileSystem, tmp_path: Path
) -> None:
    path = fs.find(SMALL)[0]
    old = fs.cat_file(path)
    with fs.open(path) as file:
        file.seek(5)
        emulator.change("new_version", path=path.lstrip("/"), text="what came later")
        program = "import pickle, sys\nprint(pickle.load(sys.stdin.buffer).read().hex())"
        text = elsewhere(emulator, tmp_path / "other", file, program)
    assert bytes.fromhex(text) == old[5:]


def test_a_snapshot_holds_until_it_is_let_go(
    emulator: EmulatorProcess, fs: DmfsFileSystem, open_fs: Open
) -> None:
    fs.find(SMALL)
    other = open_fs()
    other._memory.give(fs.__reduce__()[1][-1])
    emulator.change("add_item", path=SMALL.lstrip("/"), name="later.txt", text="later")
    before = other.find(SMALL)
    assert f"{SMALL}/later.txt" not in before
    other.invalidate_cache()
    other.close()
    other._memory.forget()
    assert before == [each for each in other.find(SMALL) if not each.endswith("later.txt")]


MOMENTS = 100
"""Bytes by which the same listings may differ: the moment of packing is among them."""


def packed(fs: DmfsFileSystem, count: int | None = None, **bounds: int) -> bytes:
    """The first so many of what was used, the last one used first."""

    async def work(drive: Drive) -> bytes:
        return pack((await fs._memory.chains(drive))[:count], **bounds)

    return fs._run(work)


def test_a_snapshot_is_bounded_and_holds_what_was_used_last(fs: DmfsFileSystem) -> None:
    fs.find(HUB, maxdepth=3, on_error="omit")
    fs.find(FILES)
    fs.ls(SMALL)
    whole, last = packed(fs), packed(fs, 1)
    parts = zlib.decompress(last).split(b"\n\n")
    bound = sum(len(zlib.compress(each, 1)) for each in parts) + MOMENTS
    small = packed(fs, max_bytes=bound)
    assert packed(fs, max_bytes=0) == b""
    assert 0 < len(small) <= bound < len(whole)
    assert unpack(small).node(SMALL) is not None
    assert unpack(small).node(FILES) is None
    assert unpack(whole).node(FILES) is not None
    assert unpack(whole).entries(Root()) is not None


def test_a_snapshot_never_unpacks_to_more_than_is_taken(fs: DmfsFileSystem) -> None:
    """100 000 names that are alike packed into little, and were let go of where they arrived."""
    fs.find(HUB, maxdepth=3, on_error="omit")
    fs.ls(SMALL)
    whole, last = packed(fs), packed(fs, 1)
    bound = len(zlib.decompress(last)) + MOMENTS
    small = packed(fs, unpacked_max_bytes=bound)
    assert 0 < len(zlib.decompress(small)) <= bound < len(zlib.decompress(whole))
    assert unpack(small).node(SMALL) is not None


def test_a_worker_is_sent_what_leads_to_its_paths_alone(
    emulator: EmulatorProcess, fs: DmfsFileSystem, tmp_path: Path
) -> None:
    fs.find(FILES)
    paths = fs.find(SMALL)
    sent = fs.knowing(paths)
    assert len(unpack(sent.__reduce__()[1][-1])) == 1 + len(Path(SMALL).parts[1:])
    assert len(unpack(fs.__reduce__()[1][-1])) > 1 + len(Path(SMALL).parts[1:])
    expected = [emulator.sha256(fs.info(each)["storage_id"])[0] for each in paths]
    emulator.reset()
    assert elsewhere(emulator, tmp_path / "other", (sent, paths)).split() == expected
    assert emulator.counts()["contents"] == 0


def test_what_was_brought_travels_on_in_parts(
    fs: DmfsFileSystem, emulator: EmulatorProcess
) -> None:
    """An object that came from elsewhere has listed nothing: its parts are of what it brought."""
    paths = fs.find(FILES) and fs.find(SMALL)
    came = pickle.loads(pickle.dumps(fs))
    fs.close()
    emulator.reset()
    part = unpack(came.knowing(paths).__reduce__()[1][-1])
    assert [each for each in paths if part.node(each) is None] == []
    assert len(part) == 1 + len(Path(SMALL).parts[1:])
    assert emulator.counts()["contents"] == 0


def test_what_memory_let_go_of_travels_all_the_same(
    fs: DmfsFileSystem, emulator: EmulatorProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a tree of 100 000 files the listing of the root was gone, and nothing travelled."""
    monkeypatch.setattr(listing_cache, "ENTRIES_MAX", 20)
    paths = fs.find(SMALL)
    fs.find(FILES)
    emulator.reset()
    part, whole = (unpack(each.__reduce__()[1][-1]) for each in (fs.knowing(paths), fs))
    assert [each for each in paths if part.node(each) is None or whole.node(each) is None] == []
    assert emulator.counts()["contents"] == 0


def test_what_is_not_in_a_snapshot_is_unknown_and_not_absent() -> None:
    assert Knowledge().node("/a") is None
    assert Knowledge().entries(Root()) is None


def test_a_shortcut_reads_as_the_file_that_the_mount_shows(fs: DmfsFileSystem) -> None:
    shortcuts = [each for each in fs.find("/Emulated Fusion Team") if each.endswith(".url")]
    text = fs.cat_file(shortcuts[0])
    assert text.startswith(b"[InternetShortcut]")
    assert fs.info(shortcuts[0])["size"] == len(text)
    with fs.open(shortcuts[0]) as file:
        assert file.read() == text


def test_a_profile_without_a_sign_in_is_one_clear_error(
    open_fs: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_fs()
    monkeypatch.delenv("DMFS_CLIENT_SECRET")
    fs = DmfsFileSystem(profile="nobody", skip_instance_cache=True)
    with pytest.raises(OSError, match="nobody"):
        fs.ls("/")
    fs.close()

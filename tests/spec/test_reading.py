"""The drive through fsspec: names, bytes, failures. Promises of ``dmfs/help/semantics.md`` by their
names there."""

from __future__ import annotations

import asyncio
import errno
import glob
import hashlib
import os
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import fsspec
import pytest

from dmfs.emulator.process import EmulatorProcess
from dmfs.spec.filesystem import DmfsFileSystem
from tests.spec.conftest import BENCH, FILES, SMALL, Open

README = f"{FILES}/README.txt"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def true_bytes(emulator: EmulatorProcess, fs: DmfsFileSystem, path: str) -> bytes:
    return emulator.bytes(fs.info(path)["storage_id"])


def test_an_entry_has_its_ids_times_and_size(fs: DmfsFileSystem) -> None:
    facts = fs.info(f"dmfs://{README}")
    assert facts["name"] == README
    assert (facts["type"], facts["size"]) == ("file", len(fs.cat_file(README)))
    assert facts["version_number"] == 1
    assert {"version_id", "item_id", "storage_id", "project_id", "hub_id"} <= facts.keys()
    assert fs.modified(README) == datetime.fromtimestamp(facts["mtime"], UTC)
    assert fs.created(README) <= fs.modified(README)
    assert fs.ukey(README) == facts["storage_id"]
    assert fs.checksum(README) == fs.checksum(README) != fs.checksum(FILES)
    assert fs.info(FILES)["type"] == "directory"
    assert fs.ls(README) == [facts]


def test_one_file_by_all_ways(emulator: EmulatorProcess, fs: DmfsFileSystem) -> None:
    path = fs.find(SMALL)[0]
    whole = true_bytes(emulator, fs, path)
    emulator.reset()
    assert fs.cat_file(path) == whole
    assert fs.cat_file(path, 10, 20) == whole[10:20]
    assert fs.cat_file(path, -10, None) == whole[-10:]
    assert fs.cat_file(path, 100, 50) == b""
    assert fs.cat_ranges([path] * 3, [0, 5, 10**9], [5, None, None]) == [whole[:5], whole[5:], b""]
    with fs.open(path) as file:
        assert (file.read(7), file.tell(), file.size) == (whole[:7], 7, len(whole))
        file.seek(-3, os.SEEK_END)
        assert file.read() == whole[-3:]
        file.seek(10**9)
        assert file.read() == b""
        file.seek(0)
        assert file.read() == whole
        with pytest.raises(ValueError, match="before the start"):
            file.raw.seek(-1)
    with pytest.raises(ValueError, match="closed"):
        file.raw.read(1)
    counts = emulator.counts()
    assert (counts["contents"], counts["sign"], counts["cdn_get"]) == (0, 1, 1)


def test_many_files_at_once(emulator: EmulatorProcess, fs: DmfsFileSystem, tmp_path: Path) -> None:
    paths = fs.find(SMALL)
    whole = {path: true_bytes(emulator, fs, path) for path in paths}
    emulator.reset()
    assert fs.cat(paths) == whole
    fs.get(SMALL, str(tmp_path / "copy"), recursive=True)
    copied = {each.name: each.read_bytes() for each in (tmp_path / "copy").iterdir()}
    assert copied == {path.rpartition("/")[2]: data for path, data in whole.items()}
    assert emulator.counts()["sign"] == len(paths)
    assert emulator.counts()["contents"] == 0


def test_names_by_pattern_and_walk(fs: DmfsFileSystem) -> None:
    found = fs.find(FILES, withdirs=True, detail=True)
    walked = {
        f"{where.rstrip('/')}/{name}"
        for where, directories, files in fs.walk(FILES)
        for name in [*directories, *files]
    }
    assert walked == found.keys() - {FILES}
    assert fs.glob(f"{FILES}/**/*.txt") == sorted(
        path for path, facts in found.items() if path.endswith(".txt") and facts["type"] == "file"
    )
    assert fs.find(f"{FILES}/nothing") == []
    assert fs.find(README) == [README]
    top = fs.find(FILES, maxdepth=1)
    assert README in top
    assert all(path.count("/") == README.count("/") for path in top)
    with pytest.raises(ValueError, match="maxdepth"):
        fs.find(FILES, maxdepth=0)


def test_a_walk_goes_where_its_caller_lets_it(fs: DmfsFileSystem) -> None:
    places = []
    for where, directories, _ in fs.walk(FILES):
        places.append(where)
        directories.clear()
    assert places == [FILES]
    upwards = [where for where, _, _ in fs.walk(FILES, topdown=False)]
    assert upwards[-1] == FILES
    assert len(upwards) > 1


def test_a_failure_is_not_an_absence_to_fsspec(
    emulator: EmulatorProcess, open_fs: Open, tmp_path: Path
) -> None:
    fs = open_fs(metadata_timeout=2)
    assert fs.exists(FILES)
    folder = next(each["name"] for each in fs.ls(FILES) if each["type"] == "directory")
    emulator.fault("status", route="contents", times=None, status=403)
    for ask in (
        lambda: fs.find(FILES),
        lambda: fs.exists(f"{folder}/a file"),
        lambda: fs.isfile(f"{folder}/a file"),
        lambda: fs.isdir(f"{folder}/a folder"),
        lambda: list(fs.walk(FILES)),
        lambda: fs.glob(f"{folder}/*"),
        lambda: fs.get(folder, str(tmp_path / "copy"), recursive=True),
    ):
        with pytest.raises(PermissionError):
            ask()
    told: list[OSError] = []
    assert [where for where, _, _ in fs.walk(FILES, on_error=told.append)] == [FILES]
    assert {each.errno for each in told} == {errno.EACCES}
    assert [where for where, _, _ in fs.walk(FILES, on_error="omit")] == [FILES]
    also: list[OSError] = []
    assert README in fs.find(FILES, on_error=also.append) == fs.find(FILES, on_error="omit")
    assert {each.filename for each in also} == {each.filename for each in told}
    assert not fs.exists(f"{FILES}/nothing")
    assert not fs.isdir(f"{README}/nothing")


def test_bytes_that_cannot_be_had_are_an_error_of_their_file(
    emulator: EmulatorProcess, open_fs: Open, tmp_path: Path
) -> None:
    fs = open_fs()
    good, bad, other = paths = fs.find(SMALL)
    object_key = fs.info(bad)["storage_id"].rpartition("/")[2]
    emulator.fault("status", route="sign", contains=object_key, times=None, status=403)
    found = fs.cat(paths, on_error="return")
    assert found[good] == true_bytes(emulator, fs, good)
    assert isinstance(found[bad], PermissionError)
    assert fs.cat(paths, on_error="omit").keys() == {good, other}
    ranges = fs.cat_ranges([good, bad], 0, 4)
    assert ranges[0] == found[good][:4]
    assert isinstance(ranges[1], PermissionError)
    with pytest.raises(PermissionError):
        fs.cat(paths)
    with pytest.raises(PermissionError):
        fs.cat_ranges(paths, 0, 4, on_error="raise")
    with pytest.raises(PermissionError):
        fs.get(SMALL, str(tmp_path / "copy"), recursive=True)
    copied = {each.name: each.read_bytes() for each in (tmp_path / "copy").iterdir()}
    assert copied == {path.rpartition("/")[2]: found[path] for path in (good, other)}


def test_a_name_is_taken_as_it_is(emulator: EmulatorProcess, fs: DmfsFileSystem) -> None:
    emulator.change("add_folder", path=BENCH.lstrip("/"), name="Odd names")
    names = ["a [1].txt", "a 1.txt", "b#c?.txt", "50%20.txt", "x::y*.txt", "zip::z.txt"]
    for name in names:
        emulator.change("add_item", path=f"{BENCH}/Odd names".lstrip("/"), name=name, text=name)
    listed = fs.ls(f"{BENCH}/Odd names", detail=False)
    assert listed == [f"{BENCH}/Odd names/{name}" for name in sorted(names)]
    for path in listed:
        name = path.rpartition("/")[2]
        assert fs.cat_file(f"dmfs://{path}") == name.encode()
        with fs.open(path, "rt") as file:
            assert file.read() == name
        assert fs.glob(glob.escape(path)) == [path]
    assert fs.glob(f"{BENCH}/Odd names/a [1].txt") == [f"{BENCH}/Odd names/a 1.txt"]


def test_no_secret_travels(fs: DmfsFileSystem, emulator: EmulatorProcess) -> None:
    fs.ls(FILES)
    secret = emulator.client_secret
    for text in (fs.to_json(), repr(fs), str(fs.storage_options), repr(pickle.dumps(fs))):
        assert secret not in text
    with pytest.raises(OSError, match="client_secret would show") as caught:
        DmfsFileSystem(settings={"client_secret": "s3cr3t"}, skip_instance_cache=True)
    assert "s3cr3t" not in str(caught.value)


def test_a_loop_that_runs_already_and_many_threads_do_not_matter(
    emulator: EmulatorProcess, fs: DmfsFileSystem
) -> None:
    paths = fs.find(SMALL)
    whole = [sha256(true_bytes(emulator, fs, path)) for path in paths]
    emulator.reset()

    def read_hash(path: str) -> str:
        return sha256(fs.cat_file(path))

    async def in_a_notebook() -> list[str]:
        return [read_hash(path) for path in paths]

    assert asyncio.run(in_a_notebook()) == whole
    with ThreadPoolExecutor(16) as pool:
        read = [pool.submit(read_hash, path) for path in paths * 10]
    assert [each.result() for each in read] == whole * 10
    assert emulator.counts()["sign"] == len(paths)
    assert [each.name for each in threading.enumerate()].count("dmfs") == 1


def test_an_address_names_a_profile_and_a_path(open_fs: Open) -> None:
    open_fs()
    kind = DmfsFileSystem
    assert kind._strip_protocol("dmfs:///A/./B//c#d?e.txt/") == "/A/B/c#d?e.txt"
    assert kind._strip_protocol("dmfs://work/A/B") == "/A/B"
    assert kind._get_kwargs_from_urls("dmfs://work/A/B") == {"profile": "work"}
    assert kind._get_kwargs_from_urls("dmfs:///A/B") == {}
    fs, path = fsspec.core.url_to_fs("dmfs://work/A/B.txt")
    assert (type(fs), path, fs.profile) == (kind, "/A/B.txt", "work")
    assert fs.unstrip_protocol(path) == "dmfs://work/A/B.txt"


def test_bad_input_is_one_clear_error(fs: DmfsFileSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FileNotFoundError, match="there is no 'nothing'"):
        fs.open(f"{FILES}/nothing")
    with pytest.raises(IsADirectoryError):
        fs.cat_file(FILES)
    with pytest.raises(OSError, match="unknown key 'cash_dir'"):
        DmfsFileSystem(settings={"cash_dir": "/x"}, skip_instance_cache=True)
    with pytest.raises(ValueError, match="expiration"):
        fs.sign(README, expiration=7200)
    with pytest.raises(IsADirectoryError):
        fs.sign(FILES)
    monkeypatch.delenv("DMFS_CLIENT_ID")
    monkeypatch.delenv("DMFS_CLIENT_SECRET")
    stranger = DmfsFileSystem(skip_instance_cache=True)
    with pytest.raises(OSError, match="no client id is configured"):
        stranger.ls("/")


def test_a_url_for_another_program(emulator: EmulatorProcess, fs: DmfsFileSystem) -> None:
    import httpx

    url = fs.sign(README, expiration=60)
    assert httpx.get(url, trust_env=False).content == true_bytes(emulator, fs, README)

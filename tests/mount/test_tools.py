"""The programs that people run on a drive."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.oracle import Entry, Oracle

pytestmark = pytest.mark.tool

ACCOUNT = "Emulated Builders \uff0f Headquarters"
SAMPLE = f"{ACCOUNT}/Sample Project/Project Files"
FOLDERS = f"{ACCOUNT}/Quirks/Project Files/Folders"
NAMES = f"{ACCOUNT}/Quirks/Project Files/Names"
ZIP = f"{SAMPLE}/Large Files/Site scan.zip"
MIB = 1 << 20


def ok(done: subprocess.CompletedProcess[bytes], status: int = 0) -> bytes:
    assert done.returncode == status, done.stderr.decode(errors="replace")
    assert done.stderr == b""
    return done.stdout


def small(oracle: Oracle, prefix: str) -> list[Entry]:
    """Files below ``prefix`` that copies are compared with."""
    return [e for e in oracle.below(prefix) if not e.directory and "Large Files/" not in e.path]


def same(oracle: Oracle, prefix: str, copy: Path, *, times: bool) -> None:
    """``copy`` holds exactly what lies below ``prefix``."""
    expected = small(oracle, prefix)
    found = {p.relative_to(copy) for p in copy.rglob("*") if p.is_file()}
    assert found == {Path(e.path.removeprefix(f"{prefix}/")) for e in expected}
    for entry in expected:
        path = copy / entry.path.removeprefix(f"{prefix}/")
        assert hashlib.sha256(path.read_bytes()).hexdigest() == oracle.sha256(entry), entry.path
        if times:
            assert path.stat().st_mtime_ns == entry.mtime_ns


@pytest.mark.tool("rsync")
def test_rsync(drive, oracle, tmp_path):
    for prefix in (SAMPLE, NAMES):
        copy = tmp_path / prefix.rpartition("/")[2]
        where = [f"{drive.path(prefix)}/", f"{copy}/"]
        ok(drive.tool("rsync", "-a", "--exclude", "Large Files/*", *where))
        same(oracle, prefix, copy, times=True)
        # and by checksum nothing is left to do
        drive.emulator.reset()
        out = ok(drive.tool("rsync", "-nrc", "-i", "--exclude", "Large Files/*", *where))
        assert out == b""
        assert drive.counts() == {}


@pytest.mark.tool("rsync")
def test_rsync_delete_of_an_unreachable_folder_deletes_nothing(emulator, make_drive, tmp_path):
    """The reason why failure must never look like absence."""
    drive = make_drive(config={"metadata_timeout": "1s"})
    copy = tmp_path / "copy"
    ok(drive.tool("rsync", "-a", f"{drive.path(SAMPLE)}/Documents", f"{copy}/"))
    kept = sorted(copy.rglob("*"))
    other = make_drive(name="other", config={"metadata_timeout": "1s"})
    other.call("listdir", other.path(SAMPLE))
    emulator.fault("status", route="contents", status=503, shape="gateway", times=None)
    try:
        done = other.tool("rsync", "-a", "--delete", f"{other.path(SAMPLE)}/Documents", f"{copy}/")
    finally:
        emulator.clear_faults()
    assert done.returncode != 0
    assert sorted(copy.rglob("*")) == kept


def test_cp_and_diff(drive, oracle, tmp_path):
    source = drive.path(FOLDERS, "exactly 200")
    ok(drive.tool("cp", "-r", "--preserve=timestamps", source, tmp_path / "copy"))
    same(oracle, f"{FOLDERS}/exactly 200", tmp_path / "copy", times=True)
    assert ok(drive.tool("diff", "-r", source, tmp_path / "copy")) == b""
    (tmp_path / "copy" / "sheet 007.dwg").write_bytes(b"changed")
    assert b"sheet 007.dwg" in ok(drive.tool("diff", "-rq", source, tmp_path / "copy"), 1)


def test_tar(drive, oracle, tmp_path):
    for prefix in (f"{SAMPLE}/Documents", NAMES):
        archive, copy = tmp_path / "a.tar", tmp_path / prefix.rpartition("/")[2]
        copy.mkdir()
        ok(drive.tool("tar", "-cf", archive, "-C", drive.path(prefix), "."))
        ok(drive.tool("tar", "-xf", archive, "-C", copy))
        same(oracle, prefix, copy, times=False)


def _holding(oracle: Oracle, prefix: str, word: bytes) -> set[str]:
    return {e.path.removeprefix(f"{prefix}/") for e in small(oracle, prefix)
            if word in oracle.bytes(e)}  # fmt: skip


def test_grep(drive, oracle):
    expected = _holding(oracle, SAMPLE, b"meeting")
    assert expected
    out = ok(drive.tool("grep", "-rl", "--exclude-dir=Large Files", "meeting", "./",
                        cwd=drive.path(SAMPLE)))  # fmt: skip
    assert {line[2:] for line in out.decode().splitlines()} == expected


@pytest.mark.tool("rg")
def test_ripgrep(drive, oracle):
    expected = _holding(oracle, SAMPLE, b"IFCWALL") | _holding(oracle, SAMPLE, b"door,width")
    out = ok(drive.tool("rg", "-l", "-uuu", "-g", "!Large Files", "IFCWALL|door,width",
                        cwd=drive.path(SAMPLE)))  # fmt: skip
    assert set(out.decode().splitlines()) >= {"Models/House.ifc", "Documents/Door schedule.csv"}
    # inside archives ripgrep does not look, nor does the oracle find words in deflated members
    assert set(out.decode().splitlines()) == expected


def test_find_newer(drive, oracle):
    than = oracle.at(f"{FOLDERS}/exactly 200/sheet 100.dwg")
    out = ok(drive.tool("find", drive.path(FOLDERS, "exactly 200"), "-type", "f", "-newer",
                        drive.path(than.path), "-printf", r"%P\n"))  # fmt: skip
    newer = {e.path.rpartition("/")[2] for e in oracle.below(f"{FOLDERS}/exactly 200")
             if e.mtime_ns > than.mtime_ns}  # fmt: skip
    assert len(newer) == 99
    assert set(out.decode().splitlines()) == newer


def test_sha256sum_check(drive, oracle, tmp_path):
    entries = small(oracle, SAMPLE)
    sums = tmp_path / "sums"
    lines = (f"{oracle.sha256(e)}  {e.path.removeprefix(SAMPLE + '/')}\n" for e in entries)
    sums.write_text("".join(lines))
    out = ok(drive.tool("sha256sum", "-c", sums, cwd=drive.path(SAMPLE)))
    assert out.count(b": OK\n") == len(entries)


ZIPPING = """
import hashlib, json, sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as archive:
    infos = archive.infolist()
    data = archive.read(infos[100])  # zipfile checks its CRC
    print(json.dumps([len(infos), infos[100].file_size, infos[100].header_offset,
                      hashlib.sha256(data).hexdigest()]))
"""


def test_zipfile_looks_into_a_gib_without_fetching_it(calm, oracle, make_drive):
    drive = make_drive()
    entry = oracle.at(ZIP)
    out = ok(drive.tool(sys.executable, "-c", ZIPPING, drive.path(ZIP)))
    members, size, header, digest = json.loads(out)
    assert members == 256
    assert size < 4 * MIB + 1024
    body = oracle.bytes(entry, header, size + 300)
    start = 30 + int.from_bytes(body[26:28], "little") + int.from_bytes(body[28:30], "little")
    assert hashlib.sha256(body[start : start + size]).hexdigest() == digest
    calls = calm.calls()
    assert calls["counts"]["sign"] == 1
    # the end of the archive with its directory, one member, and what was fetched ahead of it
    assert size <= calls["cdn_bytes"] < 16 * MIB, calls["cdn_bytes"]


MAPPING = """
import hashlib, mmap, sys
with open(sys.argv[1], "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as view:
    print(len(view), view.rfind(b"PK\\x05\\x06"), view[-22:-18] == b"PK\\x05\\x06")
"""


def test_mmap_of_a_gib(drive, oracle):
    size = oracle.at(ZIP).real_size
    out = ok(drive.tool(sys.executable, "-c", MAPPING, drive.path(ZIP)))
    assert out.decode().split() == [str(size), str(size - 22), "True"]


@pytest.mark.tool("unzip")
@pytest.mark.parametrize("name", ["Documents/Handover.zip", "Documents/Room areas.xlsx"])
def test_unzip(drive, name):
    assert b"No errors detected" in ok(drive.tool("unzip", "-t", drive.path(SAMPLE, name)))


@pytest.mark.tool("tac")
def test_head_tail_tac(drive, oracle):
    big = oracle.at(f"{SAMPLE}/Large Files/Tower.rvt")
    out = ok(drive.tool("tail", "-c", "70000", drive.path(big.path)))
    assert out == oracle.bytes(big, big.real_size - 70_000)
    assert ok(drive.tool("head", "-c", "70000", drive.path(big.path))) == oracle.bytes(
        big, 0, 70_000
    )
    table = oracle.at(f"{SAMPLE}/Documents/Door schedule.csv")
    lines = oracle.bytes(table).splitlines(keepends=True)
    assert ok(drive.tool("tac", drive.path(table.path))) == b"".join(reversed(lines))
    assert ok(drive.tool("tail", "-n", "3", drive.path(table.path))) == b"".join(lines[-3:])
    dd = drive.tool("dd", f"if={drive.path(big.path)}", "bs=1M", "skip=200", "count=2",
                    "iflag=direct", "status=none")  # fmt: skip
    assert ok(dd) == oracle.bytes(big, 200 * MIB, 2 * MIB)


@pytest.mark.tool("getfattr")
def test_getfattr(drive, oracle):
    entry = oracle.at(f"{SAMPLE}/README.txt")
    out = ok(drive.tool("getfattr", "--absolute-names", "-d", drive.path(entry.path))).decode()
    values = dict(line.split("=", 1) for line in out.splitlines() if line.startswith("user."))
    assert json.loads(values["user.dmfs.item_id"]) == entry.facts["id"]
    assert json.loads(values["user.dmfs.storage_id"]) == entry.storage
    seen = drive.call("xattrs", drive.path(entry.path))
    assert {k: json.loads(v) for k, v in values.items()} == {k: v.decode() for k, v in seen.items()}


def test_empty_files_cost_nothing(calm, drive):
    path = drive.path(ACCOUNT, "Quirks/Project Files/Versions/zero bytes.txt")
    drive.call("stat", path)
    calm.reset()
    for program in (["cat"], ["wc", "-c"], ["cp", "--", path], ["sha256sum"]):
        words = [*program, "/dev/stdout"] if "cp" in program else [*program, path]
        assert drive.tool(*words).returncode == 0
    assert ok(drive.tool("cat", path)) == b""
    assert drive.counts().get("cdn_get", 0) == 0


MANY_OPENS = """
import os, sys
total = 0
for _ in range(5):
    for name in sorted(os.listdir(sys.argv[1])):
        path = os.path.join(sys.argv[1], name)
        for absent in (".gitattributes", name + ".lock"):
            assert not os.path.exists(os.path.join(sys.argv[1], absent))
        os.lstat(path)
        with open(path, "rb") as file:
            total += len(file.read())
        assert os.access(path, os.R_OK)
print(total)
"""


def test_many_opens_as_git_does(calm, drive, oracle):
    folder = f"{FOLDERS}/201 entries"
    size = sum(e.real_size for e in oracle.below(folder))
    out = ok(drive.tool(sys.executable, "-c", MANY_OPENS, drive.path(folder), timeout_s=90))
    assert int(out) == 5 * size
    calls = calm.calls()
    counts = {route: n for route, n in calls["counts"].items() if n}
    assert counts.pop("cdn_get") == 201
    assert counts.pop("sign") == 201
    assert calls["cdn_bytes"] == size
    assert counts.get("contents", 0) <= 4  # the folder's two pages, unless known before


@pytest.mark.tool("file")
def test_file(drive):
    out = ok(drive.tool("file", "-b", drive.path(SAMPLE, "Photos/Facade.png"),
                        drive.path(SAMPLE, "Drawings/Ground floor.pdf")))  # fmt: skip
    assert b"PNG image data, 320 x 200" in out
    assert b"PDF document" in out


def test_df_and_du(drive, oracle, tmp_path):
    ok(drive.tool("df", drive.path()))
    # some versions of du count the directories themselves
    counts_directories = ok(drive.tool("du", "-sb", "--apparent-size", tmp_path)).split()[0] != b"0"
    out = ok(drive.tool("du", "-sb", "--apparent-size", drive.path(SAMPLE, "Documents")))
    below = oracle.below(f"{SAMPLE}/Documents")
    size = sum(e.real_size for e in below if not e.directory)
    directories = 1 + sum(e.directory for e in below)
    assert int(out.split()[0]) == size + 4096 * directories * counts_directories

"""One test per promise of ``dmfs/help/semantics.md``, by its name there."""

from __future__ import annotations

import errno
import os
import re
import signal
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.hands import Hands
from tests.support.mounts import mounted_at, stop_emulator, wait_until
from tests.support.oracle import Oracle, hash8, time_ns

ACCOUNT = "Emulated Builders \uff0f Headquarters"
RAW_ACCOUNT = "Emulated Builders ~1 Headquarters"
SAMPLE = f"{ACCOUNT}/Sample Project/Project Files"
RAW_SAMPLE = f"{RAW_ACCOUNT}/Sample Project/Project Files"
QUIRKS = f"{ACCOUNT}/Quirks/Project Files"
QUICK = {"ttl": "300ms", "hub_ttl": "300ms", "patience": "3s", "rollup_trust": 0}
"""Settings under which changes show at once."""
CHUNKED = f"{QUIRKS}/Storage/signed in chunks.bin"
SHOWS_S = 8.0
"""How long a change may take to show under QUICK on a busy machine."""


@pytest.fixture(scope="module")
def oracle(emulator) -> Oracle:
    return Oracle(emulator)


def test_every_promise_has_its_test():
    text = (Path(__file__).parents[2] / "dmfs/help/semantics.md").read_text("utf-8")
    promised = re.findall(r"^- `(\w+)`", text, re.MULTILINE)
    here = {name.removeprefix("test_") for name in globals() if name.startswith("test_")}
    there = {
        name
        for path in Path(__file__).parents[1].glob("*/test_*.py")
        for name in re.findall(r"^(?:async )?def test_(\w+)", path.read_text("utf-8"), re.MULTILINE)
    }
    assert len(promised) == len(set(promised))
    assert here - {"every_promise_has_its_test"} <= set(promised) <= here | there


# Names and attributes


def test_tree_is_hubs_projects_folders_files(drive, oracle):
    hubs = [path for path in oracle.entries if "/" not in path]
    assert drive.call("listdir", drive.path()) == sorted(hubs)
    for above in (ACCOUNT, f"{ACCOUNT}/Sample Project", SAMPLE, f"{SAMPLE}/Drawings"):
        below = [e.path.rpartition("/")[2] for e in oracle.below(above)
                 if e.path.rpartition("/")[0] == above]  # fmt: skip
        assert drive.call("listdir", drive.path(above)) == sorted(below)
    # an a. project shows its root folder's contents, without a folder in between
    assert "Datasheet.pdf" in drive.call("listdir", drive.path("Emulated Fusion Team/Gearbox"))
    # the newest version of seven
    path = drive.path(QUIRKS, "Versions", "seven versions.txt")
    assert drive.call("read", path) == b"version 7\n"


def test_names_are_kept_byte_for_byte(drive, oracle):
    seen = drive.call("listdir", os.fsencode(drive.path(QUIRKS, "Names")))
    expected = [e.path.rpartition("/")[2].encode() for e in oracle.below(f"{QUIRKS}/Names")
                if e.path.rpartition("/")[0] == f"{QUIRKS}/Names"]  # fmt: skip
    assert seen == sorted(expected)
    for name in (
        "slash a\uff0fb.txt", "nul \u2400 byte.txt", "\uff0e", "\uff0e\uff0e",
        "Case.txt", "case.txt", "caf\u00e9.txt", "cafe\u0301.txt",
        "newline \n inside.txt", "trailing space ", "-rf",
    ):  # fmt: skip
        assert name.encode() in seen
        drive.call("stat", drive.path(QUIRKS, "Names", name))


def test_long_names_are_cut_and_keep_their_extension(drive, oracle):
    names = drive.call("listdir", drive.path(QUIRKS, "Names"))
    (cut,) = [name for name in names if name.startswith("\u00dcberl\u00e4nge")]
    assert re.fullmatch(r"\u00dcberl\u00e4nge \u5efa+ ~[0-9a-f]{8}\.ifc", cut)
    assert 252 < len(cut.encode()) <= 255
    item = oracle.at(f"{QUIRKS}/Names/{cut}").facts["id"]
    assert cut.endswith(f" ~{hash8(item)}.ifc")
    assert "n" * 251 + ".dwg" in names


def test_equal_names_are_told_apart_by_id(drive, oracle):
    names = drive.call("listdir", drive.path(QUIRKS, "Names"))
    three = [name for name in names if name.startswith("equal three times")]
    assert "equal three times.txt" in three
    assert len(three) == 3
    for name in three:
        entry = oracle.at(f"{QUIRKS}/Names/{name}")
        if name != "equal three times.txt":
            assert name == f"equal three times ~{hash8(entry.facts['id'])}.txt"
        assert (
            drive.call("getxattr", drive.path(entry.path), "user.dmfs.item_id").decode()
            == (entry.facts["id"])
        )

    def age(name: str) -> int:
        return time_ns(oracle.at(f"{QUIRKS}/Names/{name}").facts["createTime"]) or 0

    assert min(three, key=age) == "equal three times.txt"


def test_deleted_and_hidden_entries_are_not_there(drive):
    folder = drive.path(QUIRKS, "Folders", "hidden and deleted")
    assert drive.call("listdir", folder) == ["visible.txt"]
    assert drive.call("errno_of", "stat", f"{folder}/hidden item.txt") == errno.ENOENT
    assert drive.call("listdir", drive.path(ACCOUNT, "Quirks")) == ["Project Files"]
    tools = drive.call("listdir", drive.path(ACCOUNT, "Service Folders"))
    assert tools == ["For the Field", "Project Files"]
    people = drive.call("listdir", drive.path(ACCOUNT, "Service Folders", "Project Files"))
    assert people == ["Fixed assets_2024", "Photos", "Recycle Bin", "issues_from_meeting"]


def test_items_without_bytes_are_shortcuts(drive, oracle):
    shortcuts = [entry for entry in oracle.files if entry.body is not None]
    assert len(shortcuts) >= 10
    for entry in shortcuts:
        assert entry.path.endswith(".url")
        assert drive.call("read", drive.path(entry.path)) == entry.body
        assert drive.call("stat", drive.path(entry.path)).st_size == len(entry.body)


def test_size_is_what_a_read_delivers(emulator, make_drive):
    drive = make_drive()
    for name, listed in (
        ("missing", 10_000),
        ("too big", 12_000),
        ("too small", 8_000),
        ("zero", 0),
    ):
        path = drive.path(QUIRKS, "Versions", f"storageSize {name}.bin")
        assert drive.call("stat", path).st_size == listed
        assert len(drive.call("pread", drive.call("open", path), 0, 20_000)) == 10_000
        assert drive.call("stat", path).st_size == 10_000
    # also when the size was learned before the open, as by reading ahead in a series
    assert drive.stop() == 0
    again = make_drive(name="again", home=drive.home)
    path = again.path(QUIRKS, "Versions", "storageSize too small.bin")
    assert again.call("stat", path).st_size == 10_000


def test_mtime_is_when_these_bytes_came_to_be(drive, oracle):
    for entry in [*oracle.below(f"{QUIRKS}/Times"), *oracle.below(f"{QUIRKS}/Versions")]:
        told = drive.call("stat", drive.path(entry.path))
        assert told.st_mtime_ns == (time_ns(entry.version["createTime"]) or 0), entry.path
    folder = oracle.at(SAMPLE)
    told = drive.call("stat", drive.path(SAMPLE))
    assert told.st_mtime_ns == time_ns(folder.facts["lastModifiedTime"])
    assert drive.call("stat", drive.path(ACCOUNT)).st_mtime_ns == 0
    assert drive.call("stat", drive.path(ACCOUNT, "Quirks")).st_mtime_ns == 0


def test_inode_numbers_are_stable_across_mounts(own_emulator, make_drive):
    numbers = []
    for name in ("one", "two"):
        drive = make_drive(name=name, of=own_emulator)
        done = drive.tool("find", drive.path(SAMPLE), "-printf", r"%i %P\n")
        numbers.append(sorted(done.stdout.splitlines()))
        assert len({line.split()[0] for line in numbers[-1]}) == len(numbers[-1])
    assert numbers[0] == numbers[1]
    before = drive.call("stat", drive.path(SAMPLE, "README.txt")).st_ino
    own_emulator.change("new_version", path=f"{RAW_SAMPLE}/README.txt", text="new\n")
    after = make_drive(name="three", of=own_emulator)
    assert after.call("stat", after.path(SAMPLE, "README.txt")).st_ino != before


def test_modes_and_owner_are_as_mounted(drive, make_drive):
    def seen(at, *parts):
        told = at.call("stat", at.path(*parts))
        return oct(stat.S_IMODE(told.st_mode)), told.st_uid, told.st_gid, told.st_nlink

    mine = os.geteuid(), os.getegid()
    assert seen(drive, SAMPLE, "README.txt") == ("0o444", *mine, 1)
    assert seen(drive, SAMPLE)[:3] == ("0o555", *mine)
    other = make_drive(options=["uid=1234,gid=2345", "umask=027"])
    assert seen(other, SAMPLE, "README.txt") == ("0o440", 1234, 2345, 1)
    assert seen(other, SAMPLE)[:3] == ("0o550", 1234, 2345)
    assert seen(other)[:3] == ("0o550", 1234, 2345)


def test_xattrs_carry_the_services_ids(drive, oracle):
    def told(path):
        return {
            key.removeprefix("user.dmfs."): value.decode()
            for key, value in drive.call("xattrs", drive.path(path)).items()
            if key not in ("user.dmfs.listed_at", "user.dmfs.stale")
        }

    hub, project = oracle.at(ACCOUNT).facts, oracle.at(f"{ACCOUNT}/Sample Project").facts
    folder, file = oracle.at(f"{SAMPLE}/Documents"), oracle.at(f"{SAMPLE}/Documents/Minutes.txt")
    link = oracle.at(f"{QUIRKS}/Kinds/Virtual sheet.pdf.url")
    ids = {"hub_id": hub["id"], "project_id": project["id"]}
    assert told(ACCOUNT) == {"hub_id": hub["id"], "extension_type": hub["type"]}
    seen = told(f"{ACCOUNT}/Sample Project")
    assert seen.pop("web_url").startswith("https://acc.autodesk.com/")
    assert seen == ids | {"extension_type": project["type"]}
    seen = told(folder.path)
    assert seen.pop("web_url").startswith("https://acc.autodesk.com/")
    assert seen.pop("created_by")
    assert seen == ids | {"folder_id": folder.facts["id"], "extension_type": folder.facts["type"]}
    seen = told(file.path)
    assert seen.pop("web_url").startswith("https://acc.autodesk.com/")
    assert seen.pop("created_by", "") == file.version["createUserName"]
    assert seen == ids | {
        "folder_id": folder.facts["id"], "item_id": file.facts["id"],
        "version_id": file.version["id"], "version_number": "2",
        "storage_id": file.version["storage"],
        "extension_type": file.version["type"],
    }  # fmt: skip
    seen = told(link.path)
    assert seen["web_url"] in link.body.decode()
    assert "storage_id" not in seen
    assert drive.call("errno_of", "getxattr", drive.path(file.path), "user.x") == errno.ENODATA
    for name in ("security.selinux", "system.posix_acl_access"):
        found = drive.call("errno_of", "getxattr", drive.path(file.path), name)
        assert found == errno.EOPNOTSUPP, name


# Reading


def test_every_read_returns_the_right_bytes(drive, oracle):
    entry = oracle.at(CHUNKED)
    path, size = drive.path(CHUNKED), entry.real_size
    whole = oracle.bytes(entry)
    assert drive.call("read", path) == whole
    spans = [(0, 1), (131071, 2), (size - 5, 50), (size, 10), (size + 100, 10), (1_199_990, 30)]
    pieces = drive.call("preads", path, spans)
    assert pieces == [whole[offset : offset + length] for offset, length in spans]
    assert drive.call("mmap_slices", path, [(1_000_000, 1_300_000)]) == [whole[1_000_000:1_300_000]]
    assert drive.call("direct", path, 1_196_032, 65536) == whole[1_196_032 : 1_196_032 + 65536]


def test_an_open_file_keeps_its_version(own_emulator, make_drive):
    drive = make_drive(of=own_emulator, config=QUICK)
    oracle = Oracle(own_emulator)
    entry = oracle.at(f"{SAMPLE}/Large Files/Tower.rvt")
    handle = drive.call("open", drive.path(entry.path))
    first = drive.call("pread", handle, 0, 1000)
    own_emulator.change("new_version", path=f"{RAW_SAMPLE}/Large Files/Tower.rvt", size=5000)
    own_emulator.change("hide", path=f"{RAW_SAMPLE}/Large Files/Tower.rvt")
    wait_until(
        lambda: "Tower.rvt" not in drive.call("listdir", drive.path(SAMPLE, "Large Files")), SHOWS_S
    )
    # a part that nobody had read yet
    at = entry.real_size - 70_000
    assert drive.call("pread", handle, at, 100_000) == oracle.bytes(entry, at, 100_000)
    assert first == oracle.bytes(entry, 0, 1000)
    assert drive.call("fstat", handle).st_size == entry.real_size


def test_a_new_version_shows_within_the_ttl(own_emulator, make_drive):
    drive = make_drive(of=own_emulator, config=QUICK)
    path = drive.path(SAMPLE, "README.txt")
    old = drive.call("read", path)
    own_emulator.change("new_version", path=f"{RAW_SAMPLE}/README.txt", text="another text\n")
    new = wait_until(lambda: (text := drive.call("read", path)) != old and text, SHOWS_S)
    assert new == b"another text\n"
    assert drive.call("stat", path).st_size == len(new)


def test_a_file_that_may_not_be_read_fails_at_open(drive):
    path = drive.path(QUIRKS, "Storage", "view only.bin")
    assert drive.call("errno_of", "open", path) == errno.EACCES
    assert drive.call("stat", path).st_size == 3_000_000
    assert "view only.bin" in drive.call("listdir", drive.path(QUIRKS, "Storage"))


def test_expired_urls_are_renewed_unseen(calm, make_drive):
    drive = make_drive()
    oracle = Oracle(calm)
    entry = oracle.at(f"{SAMPLE}/Large Files/pointcloud.rcs")
    handle = drive.call("open", drive.path(entry.path))
    assert drive.call("pread", handle, 0, 100) == oracle.bytes(entry, 0, 100)
    calm.reset()
    for number in range(1, 7):  # far apart: nothing of it was fetched ahead
        calm.expire_urls()
        at = number * 700_000_000 + number
        assert drive.call("pread", handle, at, 5000) == oracle.bytes(entry, at, 5000)
        # once each, and once more if what was fetched ahead was on its way just then
        assert number <= drive.counts()["sign"] <= number + 2
    refused = [row for row in calm.calls()["log"] if row["status"] == 403]
    assert len(refused) >= 6


def test_bytes_are_fetched_once(calm, make_drive):
    drive = make_drive()
    path = drive.path(CHUNKED)
    many = [Hands() for _ in range(6)]
    try:
        with ThreadPoolExecutor(6) as pool:
            digests = set(pool.map(lambda hands: hands.call("sha256", path), many))
    finally:
        for hands in many:
            hands.close()
    assert len(digests) == 1
    assert calm.calls()["cdn_bytes"] == 3_000_000
    assert drive.counts()["sign"] == 1
    assert drive.stop() == 0
    again = make_drive(name="again", home=drive.home)
    assert again.call("sha256", again.path(CHUNKED)) in digests
    assert calm.calls()["cdn_bytes"] == 3_000_000


@pytest.mark.parametrize("damage", ["flipped", "truncated", "zeroed"])
def test_a_damaged_cache_is_a_miss(calm, make_drive, damage):
    drive = make_drive()
    digest = drive.call("sha256", drive.path(CHUNKED))
    assert drive.stop() == 0
    data = max(drive.home.cache.rglob("*"), key=lambda p: p.stat().st_size if p.is_file() else 0)
    assert data.stat().st_size >= 2_900_000, "where are the blocks?"
    with data.open("r+b") as file:
        if damage == "flipped":
            file.seek(1_500_000)
            byte = file.read(1)
            file.seek(1_500_000)
            file.write(bytes([byte[0] ^ 1]))
        elif damage == "truncated":
            file.truncate(1_500_000)
        else:
            file.seek(1_400_000)
            file.write(bytes(500_000))
    calm.reset()
    again = make_drive(name="again", home=drive.home)
    assert again.call("sha256", again.path(CHUNKED)) == digest
    fetched = calm.calls()["cdn_bytes"]
    assert 0 < fetched <= 3_000_000


def test_a_broken_cache_disk_does_not_stop_reads(calm, make_drive, tmp_path):
    """One that is too small; ``tests/hostile/test_cache_disk.py`` has what else a disk can do."""
    disk = tmp_path / "own" / "cache"
    disk.mkdir(parents=True)
    done = _mount("-t", "tmpfs", "-o", "size=6m", "tmpfs", str(disk))
    if done:
        pytest.skip("only root can make a small disk")
    try:
        drive = make_drive(config={"cache_free_percent": 0})
        oracle = Oracle(calm)
        entry = oracle.at(f"{SAMPLE}/Large Files/Tower.rvt")
        handle = drive.call("open", drive.path(entry.path))
        length = 20_000_000  # three times the disk
        assert drive.call("pread", handle, 0, length) == oracle.bytes(entry, 0, length)
        at = 100_000_000
        assert drive.call("pread", handle, at, length) == oracle.bytes(entry, at, length)
        assert drive.call("read", drive.path(SAMPLE, "README.txt"))
        assert drive.stop() == 0
        assert "Traceback" not in drive.log()
    finally:
        drive.close()
        _umount(disk)


def _mount(*words: str) -> int:
    return os.spawnlp(os.P_WAIT, "mount", "mount", *words)


def _umount(path: Path) -> None:
    os.spawnlp(os.P_WAIT, "umount", "umount", "-l", str(path))


# Freshness


def test_a_listing_answers_everything_for_its_ttl(calm, make_drive):
    drive = make_drive()  # with the default ttl of 60 s
    folder = drive.path(SAMPLE, "Drawings")
    began = time.monotonic()
    names = drive.call("listdir", folder)
    calm.reset()
    calm.change("add_item", path=f"{RAW_SAMPLE}/Drawings", name="added.txt", text="x")
    try:
        assert drive.call("listdir", folder) == names
        drive.call("lstats", folder)
        assert set(drive.call("probe", [f"{folder}/absent {n}" for n in range(50)])) == {
            errno.ENOENT
        }
        assert drive.call("errno_of", "stat", f"{folder}/added.txt") == errno.ENOENT
        if time.monotonic() - began < 55:
            assert drive.counts() == {}
    finally:
        calm.change("hide", path=f"{RAW_SAMPLE}/Drawings/added.txt")


def test_a_stale_listing_is_served_after_patience(own_emulator, make_drive):
    drive = make_drive(of=own_emulator, config=QUICK | {"patience": "200ms"})
    folder = drive.path(SAMPLE, "Drawings")
    names = drive.call("listdir", folder)
    time.sleep(1.5)  # stale, for us and for the kernel
    own_emulator.change("add_item", path=f"{RAW_SAMPLE}/Drawings", name="added.txt", text="x")
    own_emulator.settings(route_latency_ms={"contents": 4000})
    own_emulator.reset()
    assert drive.call("listdir", folder) == names
    assert own_emulator.counts()["contents"] >= 1  # asked, and not waited for
    own_emulator.settings(route_latency_ms={})
    wait_until(lambda: drive.call("listdir", folder) == sorted([*names, "added.txt"]), 20)


def test_an_unchanged_rollup_keeps_listings_fresh(own_emulator, make_drive):
    folder = f"{SAMPLE}/Drawings"
    slow = QUICK | {"ttl": "1500ms"}

    def asked(drive) -> int:
        identifier = drive.call("getxattr", drive.path(folder), "user.dmfs.folder_id").decode()
        short = identifier.rpartition(".")[2]
        return sum(short in row["path"] for row in own_emulator.calls()["log"]
                   if row["route"] == "contents")  # fmt: skip

    def look(drive) -> list[str]:
        """The parent is listed anew (its ttl is over) and then tells of the folder."""
        time.sleep(1.6)
        drive.call("listdir", drive.path(SAMPLE))
        return drive.call("listdir", drive.path(folder))

    drive = make_drive(of=own_emulator, config=slow | {"rollup_trust": "15m"})
    names = look(drive)
    assert [look(drive) for _ in range(3)] == [names] * 3
    assert asked(drive) == 1
    own_emulator.change("add_item", path=f"{RAW_SAMPLE}/Drawings", name="told.txt", text="x")
    wait_until(lambda: "told.txt" in look(drive), SHOWS_S)
    # and not for ever: what the rollup did not tell shows when the trust ends
    short = make_drive(name="short", of=own_emulator, config=slow | {"rollup_trust": "3s"})
    look(short)
    own_emulator.change(
        "add_item", path=f"{RAW_SAMPLE}/Drawings", name="quiet.txt", text="x", quiet=True
    )
    wait_until(lambda: "quiet.txt" in look(short), 15)


# Failure


def test_writes_get_erofs(drive):
    folder = drive.path(SAMPLE, "Drawings")
    found = drive.call(
        "write_all_ways", folder, f"{folder}/Room 1.dxf", drive.path(SAMPLE, "Models")
    )
    assert found == dict.fromkeys(found, errno.EROFS)


def test_an_outage_is_eio_not_absence(own_emulator, make_drive):
    drive = make_drive(of=own_emulator, config=QUICK | {"metadata_timeout": "1s", "patience": "1s"})
    listed, never = drive.path(SAMPLE, "Drawings"), drive.path(SAMPLE, "Models")
    drive.call("listdir", drive.path(SAMPLE))
    names = drive.call("listdir", listed)

    def is_out() -> None:
        time.sleep(1.2)  # what is known is stale, for us and for the kernel
        assert drive.call("errno_of", "listdir", never) == errno.EIO
        assert drive.call("errno_of", "stat", f"{never}/anything") == errno.EIO
        assert drive.call("listdir", listed) == names
        assert drive.call("stat", f"{listed}/Room 1.dxf").st_size > 0
        assert drive.call("errno_of", "stat", f"{listed}/absent") == errno.ENOENT

    own_emulator.fault("reset_before_headers", origin="api", times=None)
    is_out()
    own_emulator.clear_faults()
    wait_until(lambda: drive.call("errno_of", "listdir", never) == 0, 30)
    assert drive.call("listdir", never) == ["House.ifc"]
    never = drive.path(SAMPLE, "Photos")
    stop_emulator(own_emulator)  # nobody listens there any more
    own_emulator.stop()
    is_out()


def test_slow_answers_end_in_etimedout(own_emulator, make_drive):
    drive = make_drive(
        of=own_emulator, config=QUICK | {"metadata_timeout": "1s", "data_timeout": "1s"}
    )
    drive.call("listdir", drive.path(SAMPLE))
    own_emulator.fault("stall_before_headers", route="contents", times=None, seconds=None)
    assert drive.call("errno_of", "listdir", drive.path(SAMPLE, "Models")) == errno.ETIMEDOUT
    own_emulator.clear_faults()
    handle = drive.call("open", drive.path(SAMPLE, "Large Files", "Tower.rvt"))
    own_emulator.fault("stall_before_headers", origin="cdn", times=None, seconds=None)
    assert drive.call("errno_of", "pread", handle, 0, 1000) == errno.ETIMEDOUT
    own_emulator.clear_faults()
    assert len(drive.call("pread", handle, 0, 1000)) == 1000


def test_rate_limits_beyond_the_deadline_are_ebusy(own_emulator, make_drive):
    drive = make_drive(of=own_emulator, config=QUICK | {"metadata_timeout": "5s"})
    drive.call("listdir", drive.path(SAMPLE))
    # a shorter wait is waited for
    own_emulator.fault(
        "status", route="contents", status=429, shape="gateway", retry_after=1, times=1
    )
    assert drive.call("listdir", drive.path(SAMPLE, "Models")) == ["House.ifc"]
    own_emulator.fault(
        "status", route="contents", status=429, shape="gateway", retry_after=300, times=None
    )
    path = drive.path(SAMPLE, "Documents")
    assert drive.call("errno_of", "listdir", path) == errno.EBUSY
    assert drive.call("errno_of", "stat", f"{path}/Minutes.txt") == errno.EBUSY


def test_refusals_are_eacces(own_emulator, make_drive):
    drive = make_drive(of=own_emulator)
    archived = drive.path(ACCOUNT, "Just Archived Project")
    assert drive.call("errno_of", "listdir", archived) == errno.EACCES
    drive.call("listdir", drive.path(SAMPLE))
    own_emulator.change("revoke", path=f"{RAW_SAMPLE}/Models")
    assert drive.call("errno_of", "listdir", drive.path(SAMPLE, "Models")) == errno.EACCES
    # a token that is refused for good
    own_emulator.fault("status", route="contents", status=401, shape="gateway", times=None)
    assert drive.call("errno_of", "listdir", drive.path(SAMPLE, "Documents")) == errno.EACCES


def test_bytes_that_are_gone_are_estale(calm, make_drive):
    drive = make_drive()
    gone = drive.path(QUIRKS, "Storage", "storage gone.bin")
    assert drive.call("errno_of", "open", gone) == errno.ESTALE
    assert "storage gone.bin" in drive.call("listdir", drive.path(QUIRKS, "Storage"))
    handle = drive.call("open", drive.path(SAMPLE, "Large Files", "Tower.rvt"))
    calm.fault("status", origin="cdn", status=404, shape="xml", times=None)
    assert drive.call("errno_of", "pread", handle, 250_000_000, 1000) == errno.ESTALE


def test_a_killed_daemon_leaves_errors_not_emptiness(emulator, make_drive):
    drive = make_drive()
    names = drive.call("listdir", drive.path())
    drive.kill()
    for path in (drive.path(), drive.path(SAMPLE)):
        assert drive.call("errno_of", "listdir", path) == errno.ENOTCONN
    # attributes that the kernel still remembers are no absence either
    assert drive.call("errno_of", "stat", drive.path()) in (0, errno.ENOTCONN)
    assert drive.call("errno_of", "stat", drive.path("no such hub")) == errno.ENOTCONN
    drive.start()  # the next mount clears it by itself
    assert drive.call("listdir", drive.path()) == names


def test_sigterm_unmounts_cleanly(emulator, make_drive):
    drive = make_drive()
    drive.call("listdir", drive.path())
    drive.call("chdir", "/")
    assert drive.stop(signal.SIGTERM) == 0
    assert mounted_at(drive.point) is None
    assert list(drive.point.iterdir()) == []
    assert "Traceback" not in drive.log()

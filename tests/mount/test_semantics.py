"""One test per promise of ``dmfs/help/semantics.md``, by its name there."""

from __future__ import annotations

import errno
import os
import re
import stat
from pathlib import Path

from tests.support.oracle import hash8, time_ns
from tests.support.sample import (
    ACCOUNT,
    QUIRKS,
    RAW_SAMPLE,
    SAMPLE,
)

TESTS = Path(__file__).parents[1]


def test_every_promise_has_its_test():
    text = (Path(__file__).parents[2] / "dmfs/help/semantics.md").read_text("utf-8")
    promised = re.findall(r"^- `(\w+)`", text, re.MULTILINE)
    folders = (
        "drive jobs jobs/find control mount pins telemetry write write/saves write/commands exports"
        " namespace thumbnails desktop/files spec spec/changing fuse/export"
    ).split()
    elsewhere = [path for folder in folders for path in TESTS.glob(f"{folder}/test_*.py")]
    places = [*Path(__file__).parent.glob("test_semantics*.py"), *elsewhere]
    tested = {
        name
        for path in places
        for name in re.findall(r"^(?:async )?def test_(\w+)", path.read_text("utf-8"), re.MULTILINE)
    }
    here = {
        name
        for path in Path(__file__).parent.glob("test_semantics*.py")
        for name in re.findall(r"^def test_(\w+)", path.read_text("utf-8"), re.MULTILINE)
    }
    assert len(promised) == len(set(promised))
    assert here - {"every_promise_has_its_test"} <= set(promised) <= tested


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


def test_a_legal_name_goes_before_one_that_was_made_legal(own_emulator, make_drive):
    folder = f"{RAW_SAMPLE}/Drawings"
    for name, text in (("x/y.txt", "older"), ("x\uff0fy.txt", "real"), ("x/y.txt", "younger")):
        own_emulator.change("add_item", path=folder, name=name, text=text)
    drive = make_drive(of=own_emulator)
    names = drive.call("listdir", drive.path(SAMPLE, "Drawings"))
    three = [name for name in names if name.startswith("x\uff0fy")]
    assert len(three) == 3
    assert drive.call("read", drive.path(SAMPLE, "Drawings", "x\uff0fy.txt")) == b"real"


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


def test_directories_have_4096_bytes(drive):
    empty = drive.path(QUIRKS, "Folders", "empty")
    assert drive.call("listdir", empty) == []
    for path in (drive.path(), drive.path(ACCOUNT), drive.path(SAMPLE), empty):
        told = drive.call("stat", path)
        assert (told.st_size, told.st_blocks) == (4096, 8), path
        assert drive.tool("test", "-s", path).returncode == 0
    where = drive.path(QUIRKS, "Folders")
    found = drive.tool("find", where, "-mindepth", "1", "-maxdepth", "1", "-type", "d", "-empty")
    assert os.fsencode(empty) in found.stdout.splitlines()
    assert os.fsencode(drive.path(QUIRKS, "Folders", "hidden and deleted")) not in (
        found.stdout.splitlines()
    )


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


def test_a_cloud_model_is_asked_about_by_name_alone(drive, calm):
    name = "user.dmfs.publish_state"
    model, plain = (
        drive.path(QUIRKS, "Kinds", each)
        for each in ("Published model.rvt", "Unknown with bytes.holo")
    )
    drive.call("stat", model)
    assert name not in drive.call("listxattr", model)
    assert drive.call("read", model, 0, 1)
    drive.tool("ls", "-l", drive.path(QUIRKS, "Kinds"))
    assert drive.call("errno_of", "getxattr", plain, name) == errno.ENODATA
    assert calm.counts()["commands"] == 0
    for _ in range(3):  # the app has no user, so the service does not say
        assert drive.call("getxattr", model, name) == b"unknown"
    assert calm.counts()["commands"] == 1

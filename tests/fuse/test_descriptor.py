"""Descriptors that somebody else has mounted: what is said of them before anything is served."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from dmfs.errors import SetupError, UsageError
from dmfs.fuse.descriptor import command, storing
from dmfs.fuse.descriptor.given import (
    Given,
    check,
    mount_of,
    number_of,
    refuse_contradictions,
    stored_as,
)
from dmfs.fuse.descriptor.opening import mount_call
from dmfs.fuse.mountpoint import parse_options
from dmfs.system.mountinfo import Mount, mount_at, parse_mountinfo

TABLE = parse_mountinfo(
    b"30 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
    b"40 30 0:45 / /mnt/a ro,nosuid,nodev - fuse.dmfs dmfs ro,user_id=7,allow_other\n"
    b"41 30 0:46 / /mnt/b\\040c ro,nosuid - fuse x rw,user_id=7,default_permissions\n"
    b"42 30 0:45 / /mnt/bound ro,nosuid - fuse.dmfs dmfs ro,user_id=7,allow_other\n"
)


@pytest.mark.parametrize(("given", "number"), [("/dev/fd/3", 3), ("/dev/fd/0", 0)])
def test_a_descriptor_is_named_by_its_number(given: str, number: int) -> None:
    assert number_of(given) == number


@pytest.mark.parametrize(
    "word", ["", "x", "-1", "3/", "03", "3.0", "٣", "1e3", "99999999", " 3", "3\n", "../fd/3"]
)
def test_anything_else_is_refused(word: str) -> None:
    with pytest.raises(UsageError, match="names no descriptor"):
        number_of(f"/dev/fd/{word}")


@pytest.mark.process
def test_what_is_wrong_with_a_descriptor_is_said(tmp_path: Path) -> None:
    free = os.open("/dev/null", os.O_RDWR)
    os.close(free)
    with pytest.raises(SetupError, match=f"/dev/fd/{free} is not open"):
        check(free)
    for path, flags in ((tmp_path, 0), ("/dev/null", os.O_RDWR)):
        number = os.open(path, flags)
        with pytest.raises(SetupError, match="is not a descriptor of /dev/fuse"):
            check(number)
        os.close(number)


@pytest.mark.mount
def test_a_device_that_nobody_mounted_is_refused() -> None:
    number = os.open("/dev/fuse", os.O_RDWR)
    try:
        with pytest.raises(SetupError, match="is not mounted"):
            check(number)
    finally:
        os.close(number)


@pytest.mark.parametrize(
    ("connection", "said", "place"),
    [
        (45, "", "/mnt/a"),
        (45, "/mnt/b c", "/mnt/a"),  # the kernel knows better
        (46, "", "/mnt/b c"),
        (47, "/mnt/a", None),  # in another namespace
        (None, "/mnt/b c", "/mnt/b c"),
        (None, "/", None),  # not FUSE
        (None, "/mnt/elsewhere", None),
        (None, "", None),
    ],
)
def test_where_it_is_mounted(connection: int | None, said: str, place: str | None) -> None:
    found = mount_of(connection, said, TABLE)
    assert (found.mountpoint if found else None) == place
    assert Given(3, found).place == (place or "/dev/fd/3")


def row(place: str) -> Mount:
    found = mount_at(place, TABLE)
    assert found is not None
    return found


def test_options_that_the_mount_does_not_go_with() -> None:
    refuse_contradictions(Given(3, row("/mnt/a")), writes=False, shared_identity=False)
    refuse_contradictions(Given(3, row("/mnt/b c")), writes=True, shared_identity=False)
    refuse_contradictions(Given(3, None), writes=True, shared_identity=False)
    with pytest.raises(SetupError, match="/mnt/a is mounted read-only"):
        refuse_contradictions(Given(3, row("/mnt/a")), writes=True, shared_identity=True)
    (shared,) = parse_mountinfo(b"1 1 0:9 / /s rw - fuse.dmfs d rw,user_id=7,allow_other\n")
    with pytest.raises(UsageError, match="in your name"):
        refuse_contradictions(Given(3, shared), writes=True, shared_identity=False)
    refuse_contradictions(Given(3, shared), writes=True, shared_identity=True)


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        ({"LISTEN_PID": "7", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "fuse"}, "fuse"),
        ({"LISTEN_PID": "8", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "fuse"}, ""),
        ({"LISTEN_PID": "7", "LISTEN_FDS": "0", "LISTEN_FDNAMES": "fuse"}, ""),
        ({"LISTEN_PID": "7", "LISTEN_FDS": "1"}, ""),
        ({"LISTEN_PID": "7", "LISTEN_FDS": "x", "LISTEN_FDNAMES": "fuse"}, ""),
        ({}, ""),
    ],
)
def test_what_the_service_manager_stores(environ: dict[str, str], name: str) -> None:
    assert stored_as(environ, 7, 3) == name
    assert stored_as(environ, 7, 2) == ""


def test_the_call_of_the_kernel() -> None:
    words = "allow_other,noexec,noatime,fsname=dmfs:a\\b,umask=022,uid=7,service_folders,_netdev"
    call = mount_call(parse_options(words), 5, 1000, 100)
    assert call.source == "dmfs:a\\b"
    assert call.flags == 1 | 2 | 4 | 8 | 1024
    assert call.data == (
        "fd=5,rootmode=40000,user_id=1000,group_id=100,default_permissions,allow_other"
    )
    assert mount_call(parse_options("rw"), 5, 0, 0).flags == 2 | 4, "never without nosuid and nodev"
    with pytest.raises(UsageError, match="allow_root"):
        mount_call(parse_options("allow_root"), 5, 0, 0)


@pytest.mark.parametrize(
    ("words", "status", "line"),
    [
        ([], 2, "MOUNTPOINT"),
        (["/mnt/x"], 2, "a command is missing"),
        (["--nope", "/mnt/x", "--", "true"], 2, "--nope"),
        (["--fd", "three", "/mnt/x", "--", "true"], 2, "--fd"),
        (["--fd", "-1", "/mnt/x", "--", "true"], 2, "--fd"),
        (["--store", "--release", "/mnt/x"], 2, "not allowed with"),
        (["--store", "/mnt/x", "--", "true"], 2, "take no command"),
        (["/mnt/x", "-o", "rww", "--", "true"], 2, "unknown mount option 'rww'"),
        (["/mnt/x", "-o", "rw,allow_other", "--", "true"], 2, "in your name"),
        (["/nonexistent/x", "--", "true"], 1, "does not exist"),
        (["/mnt", "--", "no-such-program"], 1, "there is no command 'no-such-program'"),
        (["/mnt", "--user", "no-such-user", "--", "true"], 1, "there is no user 'no-such-user'"),
        (["--store", "/mnt/x"], 1, "NOTIFY_SOCKET is not set"),
        (["--release", "/mnt/x"], 1, "NOTIFY_SOCKET is not set"),
    ],
)
def test_bad_words_of_the_opener_are_one_line(
    capsys: pytest.CaptureFixture[str], words: list[str], status: int, line: str
) -> None:
    assert command.run(words, {"PATH": "/usr/bin:/bin"}) == status
    said = capsys.readouterr().err
    assert said.startswith("dmfs-mountfd: ")
    assert line in said
    assert len(said.splitlines()) == 1


@pytest.mark.process
def test_what_runs_as_root_is_of_the_standard_library_alone() -> None:
    code = (
        "import sys; before = set(sys.modules); import dmfs.fuse.descriptor.command\n"
        "print(*{name.partition('.')[0] for name in set(sys.modules) - before})"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, check=True)
    assert set(done.stdout.decode().split()) - set(sys.stdlib_module_names) == {"dmfs"}


@pytest.mark.process
def test_a_manager_that_does_not_read_is_not_waited_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storing, "READ_S", 0.05)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        storing.forget(str(tmp_path / "notify"))
        assert manager.recv(99) == b"FDSTOREREMOVE=1\nFDNAME=fuse"
    with pytest.raises(SetupError, match="cannot be reached"):
        storing.forget(str(tmp_path / "notify"))

"""ls, stat and cat: what they print, and that they agree with a mount."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import stat
import subprocess
import sys
import time

import pytest

from tests.support.commands import stdout_of
from tests.support.mounts import dmfs_command, wait_until
from tests.support.oracle import Oracle

pytestmark = pytest.mark.mount
ACCOUNT = "Emulated Builders \uff0f Headquarters"
PROJECT = f"{ACCOUNT}/Sample Project"
FILES = f"{PROJECT}/Project Files"


@pytest.fixture(scope="module")
def oracle(emulator) -> Oracle:
    return Oracle(emulator)


@pytest.mark.parametrize(
    "path",
    ["", ACCOUNT, PROJECT, f"{FILES}/Documents", f"{ACCOUNT}/Quirks/Project Files/Names",
     f"{ACCOUNT}/Quirks/Project Files/Kinds", "Emulated Fusion Team/Gearbox"],
)  # fmt: skip
def test_ls_agrees_with_the_mount(drive, home, path):
    names = [os.fsencode(name) for name in drive.call("listdir", drive.path(path))]
    assert sorted(stdout_of(home, "ls", "-0", f"/{path}").split(b"\0")[:-1]) == sorted(names)
    plain = stdout_of(home, "ls", f"/{path}")
    assert sorted(plain.split(b"\n")[:-1]) == sorted(b"\n".join(names).split(b"\n"))
    rows = json.loads(stdout_of(home, "ls", "--json", f"/{path}"))
    assert sorted(row["name"].encode() for row in rows) == sorted(names)
    for row in rows:
        seen = drive.call("stat", drive.path(path, row["name"]))
        assert row["inode"] == seen.st_ino
        assert (row["type"] in ("file", "shortcut")) == stat.S_ISREG(seen.st_mode)
        if stat.S_ISREG(seen.st_mode) and "storageSize" not in row["name"]:
            assert row["size"] == seen.st_size
        if "mtime" in row and seen.st_mtime > 0:
            whole, _, rest = row["mtime"].removesuffix("Z").partition(".")
            seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seen.st_mtime_ns // 10**9))
            assert whole == seconds
            assert int((rest or "0").ljust(9, "0")) == seen.st_mtime_ns % 10**9


def test_ls_long(home, oracle):
    lines = stdout_of(home, "ls", "-l", f"/{FILES}/Documents").decode().splitlines()
    assert lines[0].split()[:2] == ["type", "size"]
    assert len(lines) == 5
    (line,) = [line for line in lines if "Minutes.txt" in line]
    assert line.split()[:2] == ["file", str(oracle.at(f"{FILES}/Documents/Minutes.txt").real_size)]


def test_stat_agrees_with_the_mount(drive, home):
    path = f"{FILES}/Documents/Minutes.txt"
    printed = json.loads(stdout_of(home, "stat", "--json", f"/{path}"))
    xattrs = drive.call("xattrs", drive.path(path))
    for name, value in xattrs.items():
        assert str(printed[name.removeprefix("user.dmfs.")]) == value.decode()
    assert printed["size"] == drive.call("stat", drive.path(path)).st_size
    assert printed["inode"] == drive.call("stat", drive.path(path)).st_ino
    plain = stdout_of(home, "stat", f"/{path}").decode()
    assert re.search(rf"^item_id +{re.escape(printed['item_id'])}$", plain, re.MULTILINE)
    root = json.loads(stdout_of(home, "stat", "--json", "/"))
    assert root["type"] == "root"


def test_stat_with_the_schema(home):
    seen = json.loads(stdout_of(home, "stat", "--json", "--schema", f"/{FILES}/README.txt"))
    assert isinstance(seen["schema"], dict)
    assert seen["schema"]
    assert (seen["kind_words"], seen["schema_words"]) == ("file", "bim360:File")


def test_stat_says_what_it_is(home):
    for path, words in (
        (f"/{PROJECT}", "ACC project"), (f"/{FILES}", "folder"),
        ("/Emulated Fusion Team/Gearbox/Housing.url", "Fusion design"),
    ):  # fmt: skip
        printed = stdout_of(home, "stat", path).decode()
        assert re.findall(r"^kind_words +(.*)$", printed, re.MULTILINE) == [words]


def test_cat_agrees_with_the_mount(drive, home, oracle):
    entry = oracle.at(f"{FILES}/Documents/Door schedule.csv")
    whole = oracle.bytes(entry)
    path = f"/{entry.path}"
    assert stdout_of(home, "cat", path) == whole
    assert stdout_of(home, "cat", path, "--offset", "7") == whole[7:]
    assert stdout_of(home, "cat", path, "--length", "9") == whole[:9]
    assert stdout_of(home, "cat", path, "--offset", "11", "--length", "13") == whole[11:24]
    assert stdout_of(home, "cat", path, "--offset", str(len(whole))) == b""
    assert stdout_of(home, "cat", path, "--offset", "999999999", "--length", "1") == b""
    big = oracle.at(f"{FILES}/Large Files/pointcloud.rcs")
    out = stdout_of(home, "cat", f"/{big.path}", "--offset", "4999999999", "--length", "3000000")
    assert out == oracle.bytes(big, 4_999_999_999, 3_000_000)
    link = oracle.at(f"{ACCOUNT}/Quirks/Project Files/Kinds/Virtual sheet.pdf.url")
    assert stdout_of(home, "cat", f"/{link.path}") == link.body


@pytest.mark.parametrize("words", [["cat", f"/{FILES}/Large Files/Tower.rvt"],
                                   ["ls", "/Emulated Europe"]])  # fmt: skip
def test_a_closed_pipe_ends_quietly(home, words):
    command = f"{shlex.join([*dmfs_command(), *words])} 2>err | head -c 10 >/dev/null; cat err"
    done = home.tool("bash", "-c", command, cwd=home.directory)
    assert (done.stdout, done.stderr) == (b"", b"")


@pytest.mark.tool("script")
def test_names_on_a_terminal(home):
    """A table for people; no name may speak to their terminal."""
    path = f"/{ACCOUNT}/Quirks/Project Files/Names"
    for words in (["ls", path], ["ls", "-l", path]):
        command = shlex.join([*dmfs_command(), *words])
        out = home.tool("script", "-qec", command, "/dev/null", environ={"TERM": "xterm"}).stdout
        assert b"Case.txt" in out
        assert b"\x1b[31mred" not in out
        assert b"\x01" not in out
        assert b"newline \n" not in out.replace(b"\r", b"")


def test_interrupted_cat_says_nothing(calm, home):
    calm.fault("stall_before_headers", origin="cdn", times=None, seconds=None)
    process = subprocess.Popen(
        [*dmfs_command(), "cat", f"/{FILES}/Large Files/Tower.rvt"], env=home.environment(),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        # a suite that a shell started in the background ignores SIGINT, and so would its children
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )  # fmt: skip
    try:
        wait_until(lambda: calm.counts()["cdn_get"] >= 1 or process.poll() is not None)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, out, err) == (130, b"", b"")


def test_module_runs_too(home):
    done = home.tool(sys.executable, "-m", "dmfs", "ls", "/")
    assert done.returncode == 0
    assert ACCOUNT.encode() in done.stdout

"""Whatever is wrong, the command says what in one line, ends with the right status, loses nothing.

Exit codes: 1 failed, 2 usage.
"""

# A row of a table is one line.
# ruff: noqa: E501
from __future__ import annotations

import base64
import os
import re
import shlex
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.support.mounts import Drive, Home, dmfs_command, force_unmount, mounted_at, wait_until

ACCOUNT = "Emulated Builders \uff0f Headquarters"
FILES = f"/{ACCOUNT}/Sample Project/Project Files"
SECRET = "emulator-secret"
QUICK = ("--set", "metadata_timeout=1s")


def the_line(done: subprocess.CompletedProcess[bytes], status: int) -> str:
    """The one line of complaint; everything else that must hold of a failure."""
    text = done.stderr.decode("utf-8", "strict")
    assert done.returncode == status, (done.returncode, text)
    assert done.stdout == b""
    assert "Traceback" not in text
    assert SECRET not in text
    assert len(text.splitlines()) == 1, text
    assert text.startswith("dmfs")
    assert all(char.isprintable() for char in text.rstrip("\n")), text
    return text


@pytest.fixture
def point(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "point"
    path.mkdir()
    yield path
    force_unmount(path)


# What is typed: usage


USAGE = {
    "nothing": ([], r""),
    "unknown command": (["mnt"], r"mnt"),
    "unknown option": (["ls", "--jsn"], r"--jsn.*did you mean '--json'"),
    "unknown option of mount": (
        ["mount", "--foregruond", "/", "{point}"],
        r"did you mean '--foreg",
    ),
    "mountpoint missing": (["mount", "/"], r"MOUNTPOINT"),
    "too much": (["umount", "a", "b"], r"b"),
    "offset is no number": (["cat", "x", "--offset", "-1"], r"--offset"),
    "offset is a word": (["cat", "x", "--offset", "ten"], r"'ten' is not a whole number"),
    "length is a fraction": (["cat", "x", "--length", "1.5"], r"'1.5' is not a whole number"),
    "log level": (["ls", "--log-level", "loud"], r"loud"),
    "unknown topic": (["help", "semantic"], r"semantic"),
}


@pytest.mark.parametrize(("words", "pattern"), USAGE.values(), ids=USAGE.keys())
def test_usage(home, point, words, pattern):
    done = home.run(*(word.format(point=point) for word in words))
    if not words:
        assert done.returncode == 2
        assert b"mount" in done.stdout
        return
    assert re.search(pattern, the_line(done, 2))


# What is typed: values, paths, options

FAILS = {
    "unknown mount option": (["mount", "/", "{point}", "-o", "alow_other"], r"'alow_other'.*did you mean 'allow_other'"),
    "mount option without value": (["mount", "/", "{point}", "-o", "uid="], r"uid takes a value"),
    "flag with value": (["mount", "/", "{point}", "-o", "ro=1"], r"ro takes no value"),
    "uid is a name": (["mount", "/", "{point}", "-o", "uid=root"], r"uid=root: expected a number"),
    "umask not octal": (["mount", "/", "{point}", "-o", "umask=9"], r"umask=9: expected an octal"),
    "second option list": (["mount", "/", "{point}", "-o", "ro", "-o", "nodev,blksize=1"], r"'blksize'"),
    "mountpoint absent": (["mount", "/", "{point}/no"], r"does not exist.*mkdir -p"),
    "mountpoint a file": (["mount", "/", "{home}/config.toml"], r"is not a directory"),
    "mountpoint below a file": (["mount", "/", "{home}/config.toml/x"], r"cannot be used"),
    "mountpoint not empty": (["mount", "/", "{home}"], r"not empty.*empty directory"),
    "unknown key": (["ls", "--set", "tttl=5"], r"unknown key 'tttl'.*did you mean 'ttl'"),
    "no key": (["ls", "--set", "ttl"], r"--set 'ttl'"),
    "secret on the command line": (["ls", "--set", "client_secret=hush"], r"process list.*DMFS_CLIENT_SECRET"),
    "bad duration": (["ls", "--set", "ttl=soon"], r"ttl: 'soon' is not a duration"),
    "bad size": (["ls", "--set", "cache_size=much"], r"'much' is not a size"),
    "bad count": (["ls", "--set", "connections=4.5"], r"'4.5' is not a whole number"),
    "out of bounds": (["ls", "--set", "url_minutes=61"], r"out of bounds \(1 to 60\)"),
    "too little memory": (["ls", "--set", "memory_budget=1k"], r"out of bounds"),
    "no configuration file": (["ls", "--config", "{home}/none.toml"], r"none.toml does not exist"),
    "configuration is a directory": (["ls", "--config", "{home}"], r"cannot be read"),
    "no such hub": (["ls", "/Emulated Euro"], r"no 'Emulated Euro' in '/'.*did you mean 'Emulated Europe'"),
    "no such project": (["mount", "/{account}/Simple Project", "{point}"], r"no 'Simple Project' in '/Emu.*did you mean.*'Sample Project'"),
    "no such folder": (["mount", "{files}/Drawing", "{point}"], r"no 'Drawing' in .*did you mean 'Drawings'"),
    "no such file": (["cat", "{files}/readme.md"], r"no 'readme.md'"),
    "nothing alike": (["stat", "/{account}/zzz"], r"no 'zzz'.*there is: .* and \d+ more"),
    "source is a file": (["mount", "{files}/README.txt", "{point}"], r"is a file; only directories"),
    "below a file": (["ls", "{files}/README.txt/x"], r"is a file, so there is no 'x' in it"),
    "cat of a directory": (["cat", "{files}"], r"is a directory"),
    "cat of what may not be read": (["cat", "/{account}/Quirks/Project Files/Storage/view only.bin"], r"403"),
    "cat of what is gone": (["cat", "/{account}/Quirks/Project Files/Storage/storage gone.bin"], r"404"),
    "archived project": (["ls", "/{account}/Just Archived Project"], r"archived or inactive"),
    "schema of nothing": (["stat", "/", "--schema"], r"no extension type"),
    "umount of nothing": (["umount", "{point}"], r"nothing is mounted at"),
    "umount of something else": (["umount", "/proc"], r"not a dmfs drive but proc"),
    "log file in no directory": (["ls", "--log-file", "{home}/config.toml/log"], r"log file .* cannot be written"),
}  # fmt: skip


WRONGLY_TYPED = {
    "unknown mount option", "mount option without value", "flag with value", "uid is a name",
    "umask not octal", "second option list", "unknown key", "no key", "secret on the command line",
    "bad duration", "bad size", "bad count", "out of bounds", "too little memory",
}  # fmt: skip
"""Of these the command line itself is wrong: usage, 2."""


@pytest.mark.parametrize("name", FAILS)
def test_fails(home, point, name):
    words, pattern = FAILS[name]
    status = 2 if name in WRONGLY_TYPED else 1
    places = {"point": point, "home": home.directory, "account": ACCOUNT, "files": FILES}
    status = 2 if {"-o", "--set"} & set(words) else 1  # typed wrongly, or gone wrong
    line = the_line(home.run(*(word.format(**places) for word in words)), status)
    assert re.search(pattern, line), line
    assert mounted_at(point) is None


@pytest.mark.parametrize("path", [b"/\xff\xfe", b"/Emulated\x1b[31m Europe", b"/a\nb"])
def test_undecodable_and_control_characters(home, path):
    line = the_line(home.run("ls", path), 1)
    assert "there is no" in line


# The environment and the configuration file

ENVIRONMENT = {
    "no credentials": ({"DMFS_CLIENT_ID": None, "DMFS_CLIENT_SECRET": None}, "DMFS_CLIENT_ID"),
    "no secret": ({"DMFS_CLIENT_SECRET": None}, "dmfs login"),
    "wrong secret": ({"DMFS_CLIENT_SECRET": "wrong-one"}, "check DMFS_CLIENT_ID and DMFS_CLIENT_SECRET"),
    "unadmitted app": (
        {"DMFS_CLIENT_ID": "emulator-unadmitted", "DMFS_CLIENT_SECRET": "unadmitted-secret"},
        "Custom Integrations",
    ),
    "no url": ({"DMFS_API_URL": "developer.api.autodesk.com"}, "not an http"),
    "ftp": ({"DMFS_API_URL": "ftp://127.0.0.1"}, "not an http"),
    "plain http": ({"DMFS_API_URL": "http://developer.api.autodesk.com"}, "unencrypted"),
    "plain http to a lookalike": ({"DMFS_API_URL": "http://127.0.0.1.example.com"}, "unencrypted"),
    "password in the url": ({"DMFS_API_URL": "https://u:pw9@h"}, "must not carry"),
    "port": ({"DMFS_API_URL": "http://127.0.0.1:99999"}, "URL"),
    "nobody listens": ({"DMFS_API_URL": "http://127.0.0.1:9"}, "network"),
    "certificates": ({"SSL_CERT_FILE": "/nonexistent/ca.pem", "DMFS_API_URL": "https://127.0.0.1:9"}, "/nonexistent/ca.pem"),
    "configuration gone": ({"DMFS_CONFIG": "/nonexistent/c.toml"}, "does not exist"),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "text"), ENVIRONMENT.values(), ids=ENVIRONMENT.keys())
@pytest.mark.parametrize("command", ["ls", "mount"])
def test_environment(home, point, command, changes, text):
    words = ["ls", "/"] if command == "ls" else ["mount", "/", str(point)]
    line = the_line(home.run(*words, *QUICK, environ=changes), 1)
    assert text in line, line
    for value in changes.values():
        assert "secret" not in (value or "") or value not in line
    assert "pw9" not in line
    assert mounted_at(point) is None


TOML = {
    "broken": (b"ttl = = 3\n", "not valid TOML"),
    "unknown key": (b'client_idd = "x"\n', "did you mean 'client_id'"),
    "table": (b"[ttl]\nx = 1\n", "expected a text or a number"),
    "boolean": (b"ttl = true\n", "expected a text or a number"),
    "bad value": (b'ttl = "soon"\n', "'soon' is not a duration"),
    "negative": (b"ttl = -1\n", "ttl"),
    "not utf-8": (b'client_id = "\xff"\n', "cannot be read"),
    "nul": (b'profile = "a\\u0000b"\n', "NUL"),
}


@pytest.mark.parametrize(("text", "expected"), TOML.values(), ids=TOML.keys())
def test_configuration_file(home, text, expected):
    home.config.write_bytes(text)
    line = the_line(home.run("ls"), 1)
    assert expected in line
    assert str(home.config) in line


# The machine


def _as_root_in_own_mounts(home: Home, script: str) -> subprocess.CompletedProcess[bytes]:
    done = home.tool("unshare", "-m", "sh", "-c", "true")
    if done.returncode != 0:
        pytest.skip("no mount namespaces here")
    return home.tool("unshare", "-m", "--propagation", "private", "sh", "-ec", script)


def test_no_dev_fuse(home, point):
    command = shlex.join([*dmfs_command(), "mount", "/", str(point)])
    script = f"mount -t tmpfs none /dev; mknod /dev/null c 1 3; exec {command}"
    line = the_line(_as_root_in_own_mounts(home, script), 1)
    assert "/dev/fuse" in line
    assert "dmfs ls" in line


def test_no_fusermount3(home, point):
    line = the_line(home.run("mount", "/", str(point), environ={"PATH": "/nonexistent"}), 1)
    assert "fusermount3 is not installed" in line
    assert "fuse3" in line


def test_no_fusermount3_at_unmount(drive, home):
    line = the_line(home.run("umount", str(drive.point), environ={"PATH": "/nonexistent"}), 1)
    assert "fusermount3 is not installed" in line


def test_already_mounted(drive, home):
    line = the_line(home.run("mount", "/", str(drive.point)), 1)
    assert "a dmfs drive is already mounted" in line
    assert f"dmfs umount {drive.point}" in line
    assert drive.call("listdir", drive.path())


def test_something_else_is_mounted(home, point):
    if os.spawnlp(os.P_WAIT, "mount", "mount", "-t", "tmpfs", "none", str(point)):
        pytest.skip("only root can mount a tmpfs")
    try:
        line = the_line(home.run("mount", "/", str(point)), 1)
    finally:
        os.spawnlp(os.P_WAIT, "umount", "umount", str(point))
    assert "something else (tmpfs) is already mounted" in line


def test_busy_at_unmount_names_the_process(drive, home):
    handle = drive.call("open", drive.path(FILES[1:], "README.txt"))
    try:
        line = the_line(home.run("umount", str(drive.point)), 1)
        assert f"({drive.hands.pid})" in line
        assert "busy" in line
    finally:
        drive.call("close", handle)
    assert drive.call("listdir", drive.path())  # nothing lost


def test_a_stale_mount_is_cleared_at_start(make_drive, home):
    drive = make_drive()
    drive.call("listdir", drive.path())
    drive.kill()
    assert mounted_at(drive.point)
    done = home.run("mount", "/", str(drive.point))
    try:
        assert (done.returncode, done.stderr) == (0, b"")
        assert drive.call("listdir", drive.path())
    finally:
        assert home.run("umount", str(drive.point)).returncode == 0


def test_a_stale_mount_can_be_unmounted(make_drive, home):
    drive = make_drive()
    drive.kill()
    done = home.run("umount", str(drive.point))
    assert (done.returncode, done.stderr) == (0, b"")
    assert mounted_at(drive.point) is None


# The cache and state directories


@contextmanager
def _small_disk(path: Path, options: str) -> Iterator[None]:
    path.mkdir(parents=True, exist_ok=True)
    if os.spawnlp(os.P_WAIT, "mount", "mount", "-t", "tmpfs", "-o", options, "none", str(path)):
        pytest.skip("only root can mount a tmpfs")
    try:
        yield
    finally:
        os.spawnlp(os.P_WAIT, "umount", "umount", "-l", str(path))


def test_cache_is_a_file(home, point):
    home.cache.write_text("precious")
    for words in (["ls"], ["mount", "/", str(point)]):
        line = the_line(home.run(*words), 1)
        assert str(home.cache) in line
        assert "DMFS_CACHE_DIR" in line
    assert home.cache.read_text() == "precious"


def test_cache_belongs_to_another(home, point):
    home.cache.mkdir()
    os.chown(home.cache, 12345, 12345)
    line = the_line(home.run("mount", "/", str(point)), 1)
    assert str(home.cache) in line
    assert (home.cache.stat().st_uid, list(home.cache.iterdir())) == (12345, [])


def test_cache_is_read_only(home):
    with _small_disk(home.cache, "ro,mode=700"):
        line = the_line(home.run("ls"), 1)
    assert str(home.cache) in line
    assert "Read-only" in line or "not writable" in line


def test_cache_disk_is_full(home):
    with _small_disk(home.cache, "size=64k,mode=700"):
        (home.cache / "filler").write_bytes(bytes(61440))
        line = the_line(home.run("ls"), 1)
    assert str(home.cache) in line
    assert "free some space" in line


def test_state_is_a_file(home, point):
    home.state.write_text("precious")
    line = the_line(home.run("mount", "/", str(point)), 1)
    assert str(home.state) in line
    assert home.state.read_text() == "precious"
    assert mounted_at(point) is None


# The service talks nonsense

NONSENSE: dict[str, tuple[str, dict[str, Any], str]] = {
    "malformed_json": ("hubs", {}, "not valid JSON"),
    "truncated_json": ("hubs", {}, "not valid JSON"),
    "html_200": ("hubs", {}, "web page"),
    "empty_body": ("hubs", {}, "not valid JSON"),
    "wrong_json_types": ("hubs", {}, "cannot list hubs"),
    "huge_body": ("hubs", {"megabytes": 40}, "larger than 8 MiB"),
    "huge_headers": ("hubs", {}, "cannot list "),
    "redirect": ("hubs", {"location": "http://127.0.0.1:9/"}, "cannot list hubs"),
    "page_circle": ("projects", {}, "pages in a circle"),
    "next_other_host": ("projects", {}, "leads elsewhere"),
    "reset_before_headers": ("hubs", {}, "cannot list hubs"),
    "stall_before_headers": ("hubs", {"seconds": None}, "no answer within"),
    "html_200 of the token": ("token", {}, "web page"),
    "wrong_json_types of the token": ("token", {}, "cannot sign in"),
}


@pytest.mark.parametrize("name", NONSENSE)
def test_nonsense_of_the_service(calm, home, name):
    route, more, expected = NONSENSE[name]
    calm.fault(name.partition(" ")[0], route=route, times=None, **more)
    path = "/Emulated Europe" if route == "projects" else "/"
    line = the_line(home.run("ls", path, *QUICK), 1)
    assert expected in line, line


@pytest.mark.parametrize("status", [400, 403, 404, 429, 500, 503])
@pytest.mark.parametrize("shape", ["jsonapi", "html"])
def test_refusals_of_the_service(calm, home, status, shape):
    calm.fault("status", route="hubs", status=status, shape=shape, times=None, retry_after=100)
    line = the_line(home.run("ls", "/", *QUICK), 1)
    assert f"HTTP {status}" in line or "rate limit" in line, line


class _BigPage(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.send_response(500)
        self.send_header("Content-Length", str(10 << 20))
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        try:
            for _ in range(160):
                self.wfile.write(b"<html>error " + b"x" * 65524)
        except OSError:
            pass

    def log_message(self, *_: object) -> None:
        pass


def test_an_error_page_of_10_mb(home):
    server = ThreadingHTTPServer(("127.0.0.1", 0), _BigPage)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_address[1]}"
        line = the_line(home.run("ls", "/", *QUICK, environ={"DMFS_API_URL": url}), 1)
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
    assert "HTTP 500" in line
    assert len(line) < 500


# Secrets


def _traces(needles: dict[str, bytes], places: dict[str, bytes]) -> list[str]:
    return [f"{what} in {where}" for where, text in places.items()
            for what, needle in needles.items() if needle in text]  # fmt: skip


def test_secrets_are_nowhere(emulator, home, point):
    log_file = home.directory / "debug.log"
    home.config.write_text(f'client_id = "emulator-app"\nclient_secret = "{SECRET}"\n')
    home.config.chmod(0o600)
    config = {"DMFS_CLIENT_ID": None, "DMFS_CLIENT_SECRET": None}
    words = ["mount", "/", str(point), "--log-level", "debug", "--log-file", str(log_file)]
    done = home.run(*words, environ=config)
    assert done.returncode == 0, done.stderr
    places = {"stderr of mount": done.stderr}
    try:
        drive = Drive(home.directory, emulator, home=home)
        file = f"{point}{FILES}/README.txt"
        assert drive.call("read", file)
        assert drive.call("read", f"{point}{FILES}/Large Files/Tower.rvt", 0, 1000)
        emulator.fault("status", origin="cdn", status=500, shape="xml", times=2)
        drive.call("errno_of", "read", f"{point}{FILES}/Large Files/pointcloud.rcs", 1 << 30, 9)
        emulator.fault("reset_mid_body", origin="cdn", times=2)
        drive.call("errno_of", "read", f"{point}{FILES}/Large Files/Site scan.zip", 1 << 29, 9)
        drive.hands.close()
        pids = [pid for pid, line in _processes(str(point)) if "mount" in line]
        assert pids
        for pid in pids:
            places[f"cmdline of {pid}"] = Path(f"/proc/{pid}/cmdline").read_bytes()
    finally:
        emulator.clear_faults()
        assert home.run("umount", str(point)).returncode == 0
    wait_until(lambda: not _processes(str(point)), 20, "the daemon ends")
    for name, command in {
        "ls": ["ls", "--log-level", "debug"],
        "cat": ["cat", f"{FILES}/README.txt", "--log-level", "debug"],
        "wrong": ["ls", "--set", "client_id=emulator-wrong", "--log-level", "debug"],
    }.items():
        done = home.run(*command, environ=config)
        places[f"stdout of {name}"], places[f"stderr of {name}"] = done.stdout, done.stderr
    for root in (home.state, home.cache, log_file.parent):
        for path in root.rglob("*"):
            if path.is_file() and path != home.config:
                places[str(path)] = path.read_bytes()
    assert any(b"dmfs.access" in text for text in places.values())
    pair = base64.b64encode(f"emulator-app:{SECRET}".encode()).rstrip(b"=")
    needles = {
        "the secret": SECRET.encode(), "its Basic form": pair[:-2], "a bearer": b"Bearer ",
        "a JWT": b"eyJ", "an S3 signature": b"X-Amz-Signature", "a CloudFront one": b"Signature=",
    }  # fmt: skip
    assert not _traces(needles, places)
    assert log_file.stat().st_mode & 0o077 == 0
    assert home.cache.stat().st_mode & 0o077 == 0


def _processes(word: str) -> list[tuple[int, str]]:
    found = []
    for entry in Path("/proc").iterdir():
        try:
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if entry.name.isdigit() and word in line and "dmfs mount" in line:
            found.append((int(entry.name), line))
    return found

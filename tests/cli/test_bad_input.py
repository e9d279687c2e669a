"""Whatever is typed or configured wrongly, the command says so in one line, ends with the right
status and loses nothing.

Exit codes: 1 failed, 2 usage.
"""

# A row of a table is one line.
# ruff: noqa: E501
from __future__ import annotations

import re

import pytest

from tests.support.commands import QUICK, the_line
from tests.support.mounts import mounted_at

pytestmark = pytest.mark.mount
ACCOUNT = "Emulated Builders \uff0f Headquarters"
FILES = f"/{ACCOUNT}/Sample Project/Project Files"


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
    "name of 256 bytes": (["ls", "/" + "n" * 256], r"'n+'… is longer than 255 bytes"),
    "name of 258 bytes below a hub": (["cat", "/{account}/" + "建" * 86 + "/x"], r"longer than 255 bytes"),
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


@pytest.mark.parametrize("name", FAILS)
def test_fails(home, point, name):
    words, pattern = FAILS[name]
    places = {"point": point, "home": home.directory, "account": ACCOUNT, "files": FILES}
    status = 2 if {"-o", "--set"} & set(words) else 1  # a wrong command line, or a failure
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
    # Short only where nobody answers: a busy machine may take longer than that for an answer.
    short = QUICK if "DMFS_API_URL" in changes else ()
    line = the_line(home.run(*words, *short, environ=changes), 1)
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

"""Pictures through a real mount: by name, in a thumbnailer's sandbox, never by copying."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from dmfs.emulator.process import EmulatorProcess
from dmfs.emulator.thumbnails.pictures import png
from tests.support.fixtures import drives
from tests.support.mounts import Drive, wait_until
from tests.thumbnails.conftest import FOLDER
from tests.thumbnails.sandbox import command, in_sandbox
from tests.write.conftest import WRITES

pytestmark = pytest.mark.mount
ODD = 'Tür "a" & b\'s $x.rvt'
ATTRIBUTE = "user.dmfs.thumbnail"


@pytest.fixture(scope="module")
def mounted(running: EmulatorProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drive]:
    running.clear_thumbnails()
    running.change("add_item", path=FOLDER[1:], name=ODD.replace('"', "”"), size=3000)
    running.thumbnails(by_name={"*.nwd": "none"})
    place, how = tmp_path_factory.mktemp("pictures"), {"options": ["rw"], "config": WRITES}
    with drives(place, running, source=FOLDER, **how) as make:
        yield make()
    running.change("hide", path=f"{FOLDER[1:]}/{ODD.replace(chr(34), '”')}")
    running.clear_thumbnails()


def truth(mounted: Drive, path: Path) -> bytes:
    version = mounted.call("getxattr", str(path), "user.dmfs.version_id").decode()
    return png(version, 200)


@pytest.mark.tool("getfattr", "rsync", "cp")
def test_a_picture_is_answered_by_name_and_never_listed(running, mounted, tmp_path):
    file = mounted.point / "Tower 000.rvt"
    running.reset()
    assert ATTRIBUTE not in mounted.call("listxattr", str(file))
    subprocess.run(["cp", "-a", file, tmp_path / "copied"], check=True, timeout=30)
    subprocess.run(["rsync", "-aX", file, tmp_path / "synced"], check=False, timeout=30)
    dumped = subprocess.run(["getfattr", "-d", file], capture_output=True, check=True, timeout=30)
    assert b"user.dmfs.version_id" in dumped.stdout
    assert running.counts().get("thumbnail", 0) == 0
    running.reset()
    assert mounted.call("getxattr", str(file), ATTRIBUTE) == truth(mounted, file)
    counts = running.counts()
    assert (counts["thumbnail"], counts["sign"], counts["cdn_get"]) == (1, 0, 0)


@pytest.mark.tool("bwrap", "getfattr")
def test_a_thumbnailer_in_a_sandbox_has_the_picture_or_fails(running, mounted, tmp_path):
    out = tmp_path / "out.png"
    running.reset()
    for name, hidden in (("Tower 004.dwfx", ()), ("Tower 005.ipt", ("/usr/bin/getfattr",))):
        done = in_sandbox(mounted.point / name, out, hidden)
        assert (done.returncode, done.stderr) == (0, b"")
        assert out.read_bytes() == truth(mounted, mounted.point / name)
        out.unlink()
    done = in_sandbox(mounted.point / "Tower 002.nwd", out)
    assert done.returncode == 1
    assert not out.exists()
    counts = running.counts()
    assert (counts["thumbnail"], counts["sign"], counts["cdn_get"]) == (3, 0, 0)


@pytest.mark.tool("getfattr")
def test_odd_names_and_files_that_are_not_ours(mounted, tmp_path):
    (odd,) = (path for path in mounted.point.iterdir() if path.name.startswith("Tür"))
    out = tmp_path / "o\"u t'.png"
    assert subprocess.run(command(str(odd), str(out)), check=False, timeout=30).returncode == 0
    assert out.read_bytes() == truth(mounted, odd)
    ours = tmp_path / "local.rvt"
    shutil.copy(odd, ours)
    assert subprocess.run(command(str(ours), str(out)), check=False, timeout=30).returncode == 1
    assert not out.exists()


@pytest.mark.tool("getfattr")
def test_a_thumbnailer_comes_again_while_the_quota_is_used_up(tmp_path):
    """With a getfattr that is busy twice."""
    tries = tmp_path / "tries"
    fake = tmp_path / "getfattr"
    fake.write_text(
        f'#!/bin/sh\necho x >>{tries}\n[ "$(wc -l <{tries})" -gt 2 ] && echo picture && exit 0\n'
        'echo "x: Device or resource busy" >&2; exit 1\n'
    )
    (tmp_path / "sleep").write_text("#!/bin/sh\n")
    for program in (fake, tmp_path / "sleep"):
        program.chmod(0o755)
    out = tmp_path / "out.png"
    environ = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    words = command("/x", str(out))
    assert subprocess.run(words, env=environ, check=False, timeout=30).returncode == 0
    assert out.read_text() == "picture\n"
    fake.write_text(fake.read_text().replace("-gt 2", "-gt 500"))
    tries.unlink()
    assert subprocess.run(words, env=environ, check=False, timeout=30).returncode == 1
    assert len(tries.read_text().split()) == 20
    assert not out.exists()


def has_none(path: Path) -> bool:
    try:
        os.getxattr(path, ATTRIBUTE)
    except OSError as error:
        return error.errno == errno.ENODATA
    return False


def state(path: Path) -> bytes:
    return os.getxattr(path, "user.dmfs.state")


def test_what_is_only_here_has_no_picture_and_each_version_has_its_own(running, mounted):
    path, made = mounted.point / "Saved.rvt", []
    for text in (b"first", b"second"):
        with path.open("wb") as file:  # it goes up only when it is closed
            file.write(text)
            assert has_none(path)
        wait_until(lambda: state(path) == b"clean")
        version = os.getxattr(path, "user.dmfs.version_id").decode()
        made.append(version)
        assert os.getxattr(path, ATTRIBUTE) == png(version, 200)
    assert len(set(made)) == 2
    running.change("hide", path=f"{FOLDER[1:]}/Saved.rvt")

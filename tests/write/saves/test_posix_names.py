"""Names, attributes and permissions of a real mount, by every system call that changes them."""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import stat
from pathlib import Path

import pytest

from tests.support.mounts import wait_until
from tests.write.saves.place import Folder
from tests.write.saves.test_posix_bytes import opened, read_elsewhere, refused

pytestmark = pytest.mark.mount
NOREPLACE, EXCHANGE = 1, 2
LIBC = ctypes.CDLL(None, use_errno=True)


def renameat2(old: Path, new: Path, flags: int) -> None:
    if LIBC.renameat2(-100, os.fsencode(old), -100, os.fsencode(new), flags) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def test_renames_with_flags(folder: Folder) -> None:
    folder.write("a", b"a")
    folder.write("b", b"b")
    with refused(errno.EEXIST):
        renameat2(folder / "a", folder / "b", NOREPLACE)
    with refused(errno.EINVAL):
        renameat2(folder / "a", folder / "b", EXCHANGE)
    renameat2(folder / "a", folder / "c", NOREPLACE)
    folder.comes_to(b=[b"b"], c=[b"a"])


def test_times_stay_after_the_upload(folder: Folder) -> None:
    path = folder.write("f", b"data")
    os.utime(path, ns=(1, 1_234_567_890_123_456_789))
    before = path.stat()
    assert before.st_mtime_ns == 1_234_567_890_123_456_789
    folder.comes_to(f=[b"data"])
    after = path.stat()
    assert (after.st_mtime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ino)
    os.utime(path, ns=(1, 987_000_000_000_000_001))  # of a version: nothing goes up
    assert path.stat().st_mtime_ns == 987_000_000_000_000_001
    folder.write("g", b"next")
    folder.comes_to(f=[b"data"], g=[b"next"])


def test_a_touch_is_now(folder: Folder) -> None:
    path = folder.write("f", b"data")
    os.utime(path, ns=(1, 1))
    os.utime(path)
    assert path.stat().st_mtime > 1_000_000


def test_owner_and_mode(folder: Folder) -> None:
    path = folder.write("f", b"data")
    path.chmod(0o600)
    os.chown(path, os.getuid(), os.getgid())
    os.chown(path, -1, -1)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    with refused(errno.EPERM):
        os.chown(path, 12345, -1)
    with refused(errno.EPERM):
        os.chown(path, -1, 12345)


def test_no_links_and_no_devices(folder: Folder) -> None:
    path = folder.write("f", b"data")
    with refused(errno.EPERM):
        os.link(path, folder / "g")
    with refused(errno.EPERM):
        (folder / "g").symlink_to("f")
    with refused(errno.EPERM):
        os.mkfifo(folder / "g")
    with socket.socket(socket.AF_UNIX) as one, refused(errno.EPERM):
        os.chdir(folder.path)
        try:
            one.bind("g")
        finally:
            os.chdir("/")
    assert folder.names() == ["f"]


def test_o_excl(folder: Folder) -> None:
    with opened(folder / "f", os.O_CREAT | os.O_EXCL | os.O_WRONLY) as fd:
        os.write(fd, b"x")
    with refused(errno.EEXIST):
        os.open(folder / "f", os.O_CREAT | os.O_EXCL | os.O_WRONLY)


def test_an_open_file_is_deleted(folder: Folder) -> None:
    with opened(folder / "f") as fd:
        os.write(fd, b"before")
        (folder / "f").unlink()
        assert not (folder / "f").exists()
        os.write(fd, b" after")
        assert os.pread(fd, 100, 0) == b"before after"
        assert os.fstat(fd).st_size == 12
    folder.write("g", b"next")
    folder.comes_to(g=[b"next"])


def test_an_open_file_is_renamed(folder: Folder) -> None:
    with opened(folder / "f") as fd:
        os.write(fd, b"before")
        (folder / "f").rename(folder / "g")
        os.write(fd, b" after")
        os.fsync(fd)
        assert read_elsewhere(folder / "g") == b"before after"
        assert os.fstat(fd).st_ino == (folder / "g").stat().st_ino
    folder.comes_to(g=[b"before after"])


def test_an_open_file_is_replaced(folder: Folder) -> None:
    path = folder.write("f", b"old")
    with opened(path, os.O_RDWR) as fd:
        folder.write("new", b"new")
        (folder / "new").rename(path)
        assert os.pread(fd, 10, 0) == b"old"
        os.pwrite(fd, b"lost", 0)
        assert os.pread(fd, 10, 0) == b"lost"
        assert read_elsewhere(path) == b"new"
    assert read_elsewhere(path) == b"new"
    folder.comes_to(f=[b"new"])


def test_a_version_that_is_open_is_deleted(folder: Folder) -> None:
    path = folder.write("f", b"data" * 1000)
    folder.comes_to(f=[b"data" * 1000])
    with opened(path, os.O_RDWR) as fd:
        path.unlink()
        assert os.pread(fd, 4, 0) == b"data"
        os.pwrite(fd, b"more", 0)
        assert os.pread(fd, 4, 0) == b"more"
    folder.comes_to()


def test_names_that_cannot_be(folder: Folder) -> None:
    with refused(errno.ENAMETOOLONG):
        (folder / ("x" * 256)).touch()
    with refused(errno.ENAMETOOLONG):
        (folder / ("x" * 256)).mkdir()
    for name in ("a:b", "a?b", "a*b", "a<b", "a>b", 'a"b', "a|b", "a\\b", "a\tb"):
        with refused(errno.EINVAL):
            (folder / name).touch()
        with refused(errno.EINVAL):
            (folder / name).mkdir()
    folder.write("x" * 255, b"long")
    with refused(errno.EINVAL):
        (folder / ("x" * 255)).rename(folder / "a:b")
    folder.comes_to_all({"x" * 255: [b"long"]})


def test_case_variants(folder: Folder) -> None:
    folder.write("Plan.dwg", b"data")
    with refused(errno.EINVAL):
        (folder / "plan.dwg").touch()
    assert not (folder / "plan.dwg").exists()
    (folder / "Plan.dwg").rename(folder / "PLAN.dwg")  # of itself it may be
    folder.comes_to_all({"PLAN.dwg": [b"data"]})


def test_to_another_folder(folder: Folder) -> None:
    """What the service has stays in its folder; what it has not seen goes where it is put."""
    (folder / "sub").mkdir()
    sub = Folder(folder.drive, folder.emulator, folder / "sub")
    folder.write("known", b"known")
    folder.comes_to(known=[b"known"])
    with refused(errno.EXDEV):
        (folder / "known").rename(sub / "known")
    folder.write("fresh", b"fresh").rename(sub / "fresh")
    assert read_elsewhere(sub / "fresh") == b"fresh"
    sub.comes_to(fresh=[b"fresh"])
    folder.comes_to(known=[b"known"])


def test_rmdir_of_what_is_not_empty(folder: Folder) -> None:
    sub = folder / "sub"
    sub.mkdir()
    (sub / "f").write_bytes(b"x")
    with refused(errno.ENOTEMPTY):
        sub.rmdir()
    with refused(errno.EISDIR):
        sub.unlink()
    with refused(errno.ENOTDIR):
        (sub / "f").rmdir()
    (sub / "f").unlink()
    sub.rmdir()
    assert not sub.exists()
    with refused(errno.ENOENT):
        sub.rmdir()
    with refused(errno.EEXIST):
        folder.path.mkdir()


def test_mkdir_and_rename_of_folders(folder: Folder) -> None:
    one, two = folder / "one", folder / "two"
    one.mkdir()
    inode = one.stat().st_ino
    (one / "f").write_bytes(b"x")
    one.rename(two)
    assert two.stat().st_ino == inode
    assert folder.names() == ["two"]
    assert read_elsewhere(two / "f") == b"x"
    Folder(folder.drive, folder.emulator, two).comes_to(f=[b"x"])
    (folder / "three").mkdir()
    two.rename(folder / "three" / "two")
    assert read_elsewhere(folder / "three" / "two" / "f") == b"x"
    assert folder.names() == ["three"]


def test_a_folder_that_may_only_be_viewed(folder: Folder) -> None:
    """What would be refused later is refused at open, and the permission bits say so."""
    sub = folder / "viewed"
    folder.emulator.change("add_folder", path=folder.service_path, name="viewed")
    folder.emulator.change("add_item", path=f"{folder.service_path}/viewed", name="f", text="data")
    folder.emulator.change("level", path=f"{folder.service_path}/viewed", user="*", level="view")
    wait_until(sub.exists)
    with refused(errno.EACCES):
        os.open(sub / "f", os.O_RDWR)
    with refused(errno.EACCES):
        os.open(sub / "f", os.O_RDONLY | os.O_TRUNC)
    with refused(errno.EACCES):
        os.truncate(sub / "f", 1)
    with refused(errno.EACCES):
        (sub / "new").touch()
    with refused(errno.EACCES):
        (sub / "new").mkdir()
    with refused(errno.EACCES):
        (sub / "f").unlink()
    wait_until(lambda: stat.S_IMODE((sub / "f").stat().st_mode) == 0o444)
    assert read_elsewhere(sub / "f") == b"data"


def test_extended_attributes(folder: Folder) -> None:
    path = folder.write("f", b"data")
    os.setxattr(path, "user.dmfs.item_id", b"x")  # cp -a and rsync -X copy ours
    with refused(errno.EOPNOTSUPP):
        os.setxattr(path, "user.mine", b"x")
    folder.comes_to(f=[b"data"])
    wait_until(lambda: "user.dmfs.item_id" in os.listxattr(path))
    assert os.getxattr(path, "user.dmfs.item_id").startswith(b"urn:")

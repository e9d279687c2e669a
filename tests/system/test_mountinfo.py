"""The kernel's table of mounts."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmfs.system.mountinfo import filesystem_of, mount_at, parse_mountinfo

ROOT = b"21 1 254:0 / / rw,relatime shared:1 - ext4 /dev/root rw\n"


def row(mountpoint: bytes, kind: bytes = b"fuse.dmfs", source: bytes = b"dmfs") -> bytes:
    """As the kernel writes it: blank, tab, newline, backslash and # in octal."""
    fields = [mountpoint, kind, source]
    for byte in b"\\ \t\n#":
        fields = [each.replace(bytes([byte]), b"\\%03o" % byte) for each in fields]
    place, kind, source = fields
    return (
        b"77 21 0:51 / "
        + place
        + b" ro,nosuid shared:7 master:1 - "
        + kind
        + b" "
        + source
        + b" ro\n"
    )


def test_a_filesystem_is_known_by_its_name() -> None:
    fd = os.open("/proc", os.O_RDONLY)
    try:
        assert filesystem_of(fd) == "proc"
    finally:
        os.close(fd)


@pytest.mark.parametrize(
    "name",
    ["図面　一覧", "a\u00a0b", "line\u2028separator", "next\x85line", "form\x0cfeed\x1d",
     "a b\tc\nd\\040#", "100%\\134", " - ", "(x) - fuse.sshfs y"],
)  # fmt: skip
def test_a_mountpoint_may_have_any_name(name: str) -> None:
    (_, mount) = parse_mountinfo(ROOT + row(f"/mnt/{name}".encode()))
    assert (mount.mountpoint, mount.kind, mount.source) == (f"/mnt/{name}", "fuse.dmfs", "dmfs")
    assert (mount.number, mount.device, mount.is_fuse) == (77, "0:51", True)


@given(
    st.binary(min_size=1, max_size=40).filter(lambda raw: b"\0" not in raw), st.binary(max_size=9)
)
def test_any_bytes_come_back(place: bytes, source: bytes) -> None:
    (mount,) = parse_mountinfo(row(b"/" + place, source=source))
    assert os.fsencode(mount.mountpoint) == b"/" + place
    assert os.fsencode(mount.source) == source


def test_rows_of_an_unknown_shape_are_left_out() -> None:
    table = b"\n".join(
        [b"", b"x", b"1 2 3", b"a 1 0:1 / /x rw - tmpfs none rw", ROOT[:-1], b"9 9 9 9 9 9 9"]
    )
    assert [mount.mountpoint for mount in parse_mountinfo(table)] == ["/"]


def test_the_last_mount_of_a_place_is_the_one_that_is_seen() -> None:
    table = parse_mountinfo(ROOT + row(b"/a") + row(b"/a", b"fuse.sshfs", b"host:") + row(b"/b"))
    seen = mount_at("/a", table)
    assert seen is not None
    assert (seen.kind, seen.is_fuse) == ("fuse.sshfs", True)
    assert mount_at("/c", table) is None

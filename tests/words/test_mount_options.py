"""``-o`` of a mount that writes, and what mount(8) adds by itself."""

from __future__ import annotations

import pytest

from dmfs.errors import UsageError
from dmfs.fuse.mount_options import without_default_rw
from dmfs.fuse.mountpoint import parse_options

FSTAB = """
# /  /mnt/commented  dmfs  rw  0 0
/        /mnt/read      dmfs       _netdev,nofail         0 0
/Hub     /mnt/write     dmfs       _netdev,rw,nofail      0 0
/Hub     /mnt/my\\040hub  fuse.dmfs  rw                   0 0
UUID=1   /              ext4       rw                     0 1
"""


def test_a_mount_writes_only_where_that_is_said() -> None:
    assert not parse_options("").writes
    assert not parse_options("defaults,noatime,async,sync").writes
    found = parse_options("rw,sync,moves=copy,noatime")
    assert (found.writes, found.sync, found.moves) == (True, True, True)
    assert found.kernel == parse_options("noatime").kernel


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ("rw,ro", "exclude"),
        ("rw,allow_other", "in your name"),
        ("rw,allow_root", "in your name"),
        ("rw,moves=rename", "moves=copy"),
        ("rw=1", "takes no value"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(words: str, part: str) -> None:
    with pytest.raises(UsageError, match=part):
        parse_options(words)


def test_others_may_write_where_that_is_said_too() -> None:
    assert not parse_options("rw").shared_identity
    for words in ("rw,allow_other,shared_identity", "rw, allow_other, shared_identity"):
        assert parse_options(words).writes
        assert parse_options(words).shared_identity
    assert "shared_identity" not in parse_options("rw,shared_identity").kernel


@pytest.mark.parametrize(
    ("arguments", "left"),
    [
        (["/", "/mnt/read", "-o", "rw,noatime"], ["/", "/mnt/read", "-o", "noatime"]),
        (["/", "/mnt/read", "-o", "rw"], ["/", "/mnt/read", "-o", "defaults"]),
        (["/", "/mnt/read", "-orw,nodev"], ["/", "/mnt/read", "-onodev"]),
        (["/", "/mnt/commented", "-o", "rw"], ["/", "/mnt/commented", "-o", "defaults"]),
        (["/Hub", "/mnt/write", "-o", "rw,nodev"], ["/Hub", "/mnt/write", "-o", "rw,nodev"]),
        (["/Hub", "/mnt/write/", "-o", "rw"], ["/Hub", "/mnt/write/", "-o", "rw"]),
        (["/Hub", "/mnt/my hub", "-o", "rw"], ["/Hub", "/mnt/my hub", "-o", "rw"]),
        (["rw", "/mnt/read"], ["rw", "/mnt/read"]),
    ],
)
def test_the_rw_of_mount_8_is_none(arguments: list[str], left: list[str]) -> None:
    assert without_default_rw(arguments, FSTAB) == left

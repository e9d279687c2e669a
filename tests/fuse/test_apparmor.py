"""What AppArmor's profile of fusermount3 permits, and what to say where it does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmfs.errors import SetupError
from dmfs.fuse import mount
from dmfs.fuse.confinement import apparmor
from dmfs.fuse.confinement.apparmor import (
    Profile,
    hint_of_refusal,
    lines_for,
    profile_in_force,
    remedy,
)

ANY = "options=(nosuid,nodev) options in (ro,rw,noatime,dirsync,nodiratime,noexec,sync)"
NEWER = f"""
abi <abi/5.0>,
include <tunables/global>

@{{fuse_types}} = {{fuse,fuse.*,fuseblk,fusectl}}
profile fusermount3 /usr/bin/fusermount3 {{
  include <abstractions/base>
  capability sys_admin,

  # a comment that says: mount -> /nowhere/**/,
  mount fstype=@{{fuse_types}} {ANY} -> @{{HOME}}/**/,
  mount fstype=@{{fuse_types}} {ANY} -> /mnt/{{,**/}},
  mount fstype=@{{fuse_types}} {ANY} -> @{{run}}/user/@{{uid}}/**/,
  mount fstype=@{{fuse_types}} {ANY} -> /media/**/,
  mount fstype=@{{fuse_types}} {ANY} -> /tmp/**/,
  mount fstype=@{{fuse_types}} options=(nosuid,nodev,ro) -> /cvmfs/**/,
  umount @{{HOME}}/**/,
  mount fstype=fuse options=(nosuid,nodev,rw) /dev/fuse -> /var/tmp/flatpak-cache-*/**/,
  mount fstype=fuse.rofiles-fuse options=(nosuid,nodev,rw) {{rofiles-fuse,/dev/fuse}} -> /var/tmp/t-*/**/,
  /dev/fuse rw,
  @{{exec_path}} mr,
  include if exists <local/fusermount3>
}}
"""  # noqa: E501
"""As Ubuntu 25.10 and later have it."""
OLDER = """
@{fuse_types} = {fuse,fuse.*,fuseblk,fusectl}
profile fusermount3 /usr/bin/fusermount3 {
  mount fstype=@{fuse_types} options=(nosuid,nodev,rw) -> @{HOME}/**/,
  mount fstype=@{fuse_types} options=(nosuid,nodev,ro) -> @{HOME}/**/,
  mount fstype=@{fuse_types} options=(nosuid,nodev,rw,noatime) -> /mnt/**/,
  umount @{HOME}/**/,
}
"""
"""As the first ones: a rule for each set of options."""


@pytest.mark.parametrize(
    ("place", "options", "permitted"),
    [
        ("/home/ada/Autodesk", {"ro"}, True),
        ("/home/ada/a/b c/図面", set(), True),
        ("/root/x", {"ro"}, True),
        ("/home/ada", {"ro"}, False),
        ("/mnt", {"ro"}, True),
        ("/mnt/a", {"ro", "noatime", "noexec"}, True),
        ("/mnt2/a", {"ro"}, False),
        ("/media/ada/x", {"ro"}, True),
        ("/media", {"ro"}, False),
        ("/run/user/1000/x", {"ro"}, True),
        ("/run/user/ada/x", {"ro"}, False),
        ("/tmp/x", {"rw"}, True),
        ("/srv/autodesk", {"ro"}, False),
        ("/cvmfs/x", {"ro"}, True),
        ("/cvmfs/x", {"rw"}, False),
        ("/cvmfs/x", {"ro", "noatime"}, False),
        ("/var/tmp/flatpak-cache-1/x", {"rw"}, False),  # of another type
        ("/nowhere/x", {"ro"}, False),
        ("/home/ada/x", {"ro", "dev"}, False),
    ],
)
def test_places_and_options_of_the_newer_profile(
    place: str, options: set[str], permitted: bool
) -> None:
    assert Profile(NEWER).permits(place, options) is permitted


@pytest.mark.parametrize(
    ("place", "options", "permitted"),
    [
        ("/home/ada/x", {"ro"}, True),
        ("/home/ada/x", set(), True),
        ("/home/ada/x", {"ro", "noatime"}, False),
        ("/mnt/x", {"noatime"}, True),
        ("/mnt/x", set(), False),
    ],
)
def test_the_older_profile_wants_exact_sets(place: str, options: set[str], permitted: bool) -> None:
    assert Profile(OLDER).permits(place, options) is permitted


@pytest.mark.parametrize("place", ["/srv/autodesk", "/data/my drive", "/a/[1]/{x,y}*", "/ü/ä"])
def test_the_two_lines_permit_that_place_and_no_other(place: str) -> None:
    local = "\n".join(lines_for(place)) + "\n"
    profile = Profile(NEWER, local)
    for options in ({"ro"}, set(), {"ro", "noatime"}, {"noexec"}):
        assert not Profile(NEWER).permits(place, options)
        assert profile.permits(place, options)
    assert not profile.permits(f"{place}2", {"ro"})
    assert not profile.permits(f"{place}/below", {"ro"})


@pytest.mark.parametrize(
    ("line", "permitted"),
    [
        ("mount,", True),
        ("mount fstype=fuse.dmfs,", True),
        ("mount fstype=fuse,", False),
        ("mount fstype=(fuse, fuse.dmfs) -> /srv/**,", True),
        ("mount -> /srv/autodesk/,", True),
        ('mount -> "/srv/auto*/",', True),
        ("mount options=(nosuid nodev ro) -> /srv/autodesk/,", True),
        ("mount options in (nosuid,nodev,ro) -> /srv/**/,", True),
        ("mount options in (nosuid,nodev) -> /srv/**/,", False),
        ("audit mount\n  fstype=fuse.dmfs\n  -> /srv/**/,", True),
        ("mount -> /srv/**/,\n deny mount -> /srv/autodesk/,", False),
        ("mount -> @{unknown}/**/,", False),
        ("mount -> /srv/[/,", False),
        ("mount -> /srv/{a/,", False),
        ("umount /srv/**/,", False),
        ("# mount,", False),
        ("", False),
    ],
)
def test_other_shapes_of_rules(line: str, permitted: bool) -> None:
    text = f"profile fusermount3 /usr/bin/fusermount3 {{\n  {line}\n}}\n"
    assert Profile(text).permits("/srv/autodesk", {"ro"}) is permitted


@pytest.mark.parametrize(
    ("header", "enforced"),
    [
        ("profile fusermount3 /usr/bin/fusermount3 {", True),
        ("profile fusermount3 /usr/bin/fusermount{,3} flags=(complain) {", False),
        ("profile fusermount3 /usr/bin/fusermount3 flags=(attach_disconnected) {", True),
        ("profile fusermount3 /usr/bin/fusermount3 flags=(unconfined) {", False),
    ],
)
def test_a_profile_that_only_complains_forbids_nothing(header: str, enforced: bool) -> None:
    assert Profile(f"abi <abi/4.0>,\n{header}\n  mount,\n}}\n").is_enforced is enforced


def test_where_a_drive_may_be_is_told() -> None:
    assert Profile(NEWER).places() == [
        "/home/*/**/", "/root/**/", "/mnt/{,**/}", "/run/user/[0-9]*/**/",
        "/var/run/user/[0-9]*/**/", "/media/**/", "/tmp/**/", "/cvmfs/**/",
    ]  # fmt: skip


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("PROFILE", "LOCAL", "DISABLED", "SWITCH"):
        monkeypatch.setattr(apparmor, name, tmp_path / name)
    (tmp_path / "SWITCH").write_text("Y\n")
    (tmp_path / "PROFILE").write_text(NEWER)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    return tmp_path


def test_a_refusal_has_its_remedy(machine: Path) -> None:
    hint = hint_of_refusal("/srv/autodesk", {"ro"})
    assert "AppArmor" in hint
    for line in lines_for("/srv/autodesk"):
        assert f"`{line}`" in hint
    assert "apparmor_parser -r" in hint
    assert len(hint.splitlines()) == 1
    assert hint_of_refusal("/mnt/autodesk", {"ro"}) == "", "then it is something else"
    (machine / "LOCAL").write_text("\n".join(lines_for("/srv/autodesk")))
    assert hint_of_refusal("/srv/autodesk", {"ro"}) == ""


def test_a_mount_that_is_refused_says_so(
    machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("fuse_session_mount failed")

    monkeypatch.setattr("pyfuse3.init", refuse)
    place = str(tmp_path / "place")  # below /tmp, or wherever tests are
    (machine / "PROFILE").write_text("profile fusermount3 /usr/bin/fusermount3 {\n}\n")
    operations: Any = None
    with pytest.raises(SetupError, match="the kernel does not mount") as caught:
        mount._mount(operations, place, {"ro", "fsname=dmfs"})
    assert lines_for(place)[0] in caught.value.hint
    (machine / "SWITCH").write_text("N")
    with pytest.raises(SetupError) as caught:
        mount._mount(operations, place, {"ro", "fsname=dmfs"})
    assert caught.value.hint == ""


def test_where_the_profile_is_not_in_force_nothing_is_said(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert profile_in_force(is_root=True) is None
    assert profile_in_force(is_root=False) is not None
    (machine / "DISABLED").symlink_to("x")
    assert profile_in_force(is_root=False) is None
    (machine / "DISABLED").unlink()
    (machine / "PROFILE").unlink()
    assert profile_in_force(is_root=False) is None
    (machine / "PROFILE").mkdir()
    assert profile_in_force(is_root=False) is None
    (machine / "SWITCH").write_text("N\n")
    assert hint_of_refusal("/srv/autodesk", {"ro"}) == ""


def test_without_a_local_addition_the_profile_itself_is_named() -> None:
    assert "the block of" in remedy("/srv/x", Profile(OLDER))
    assert "local/fusermount3" in remedy("/srv/x", Profile(NEWER))


@given(st.text('mount()= ->/*{},[]\\"@a\n#', max_size=60), st.text("/a*", min_size=1, max_size=9))
def test_no_text_breaks_it(text: str, place: str) -> None:
    profile = Profile(f"profile fusermount3 /usr/bin/fusermount3 {{\nmount {text}\n}}", text)
    profile.permits(place, {"ro"})
    profile.places()

"""Which drives there are, from tables and cards alone; what a person means by PATH."""

from __future__ import annotations

import json
import os
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

import pytest

from dmfs.cli.control.target import mount_named
from dmfs.control import mounts as mounts_module
from dmfs.control.cards import Card, Place, is_alive, read_cards, run_directories, stem_of
from dmfs.control.mounts import Seen, all_mounts, drive_path, place_of, shows
from dmfs.errors import SetupError
from dmfs.fuse import mount_place
from dmfs.system.mountinfo import Mount, parse_mountinfo
from tests.control.server import card


def test_a_card_lives_as_long_as_its_process_and_says_how_it_ended(tmp_path: Path) -> None:
    place = Place(tmp_path / "run", card("/mnt/a"))
    with place.taken() as ours:
        assert ours
        ((path, found),) = read_cards([tmp_path / "run"]).items()
        assert found == place.card
        assert is_alive(path)
        with Place(tmp_path / "run", card("/mnt/a")).taken() as again:
            assert not again
        place.end("2026-01-01T01:00:00Z", "unmounted")
    ((path, found),) = read_cards([tmp_path / "run"]).items()
    assert not is_alive(path)
    assert (found.ended_at, found.because) == ("2026-01-01T01:00:00Z", "unmounted")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[]",
        b"nonsense",
        b'{"mountpoint": 7}',
        json.dumps(asdict(card("/mnt/other"))).encode(),  # of another place
        json.dumps({**asdict(card("/mnt/a")), "pid": "7"}).encode(),
        b"[" * 100_000,
    ],
)
def test_a_damaged_card_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / f"{stem_of('/mnt/a')}.json").write_bytes(content)
    assert read_cards([tmp_path, tmp_path / "missing"]) == {}


def test_a_card_of_a_newer_dmfs_is_read_as_far_as_it_is_known(tmp_path: Path) -> None:
    newer = {**asdict(card("/mnt/a")), "more": [1, 2]}
    (tmp_path / f"{stem_of('/mnt/a')}.json").write_text(json.dumps(newer))
    assert list(read_cards([tmp_path]).values()) == [card("/mnt/a")]


def test_the_run_directory(tmp_path: Path) -> None:
    state = tmp_path / "state"
    assert run_directories({"XDG_RUNTIME_DIR": "/run/user/7"}, state, 7) == [
        Path("/run/user/7/dmfs"),
        state / "run",
    ]
    for nothing in ({}, {"XDG_RUNTIME_DIR": "relative"}):
        assert run_directories(nothing, state, 7)[0] == state / "run"


def test_the_owner_of_a_mount_is_in_the_kernels_table() -> None:
    table = (
        b"36 35 0:57 / /mnt/a rw,nosuid - fuse.dmfs dmfs rw,user_id=1000,group_id=1000\n"
        b"37 35 98:0 / /mnt/b rw - ext4 /dev/x rw,user_id=7x\n"
    )
    assert [row.owner for row in parse_mountinfo(table)] == [1000, None]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine on which the test says what is mounted."""
    rows: list[Mount] = []
    monkeypatch.setattr(mounts_module, "mount_table", lambda: rows)
    monkeypatch.setattr(mount_place, "mount_table", lambda: rows)
    monkeypatch.setattr(mounts_module, "_listening", list)

    def mount(at: str, owner: int, kind: str = "fuse.dmfs") -> None:
        rows.append(Mount(len(rows), "0:1", at, kind, "dmfs", owner))

    own = os.getuid()
    mount("/mnt/alive", own)
    mount("/mnt/dead", own)
    mount("/mnt/stranger", own + 1)
    mount("/mnt/sshfs", own, "fuse.sshfs")
    return tmp_path / "state"


def test_living_dead_and_ended_ones(machine: Path) -> None:
    run = machine / "run"
    with Place(run, card("/mnt/dead")).taken(), Place(run, card("/mnt/gone")).taken():
        pass
    with Place(run, card("/mnt/alive", source="/Hub")).taken():
        found = {seen.mountpoint: seen for seen in all_mounts({}, machine, os.getuid())}
    assert list(found) == ["/mnt/alive", "/mnt/dead", "/mnt/stranger", "/mnt/gone"]
    assert found["/mnt/alive"].socket == run / f"{stem_of('/mnt/alive')}.sock"
    assert found["/mnt/dead"].socket is None
    assert found["/mnt/dead"].card is not None
    assert found["/mnt/stranger"].owner == os.getuid() + 1
    assert found["/mnt/gone"].is_mounted is False


def test_a_drive_that_others_mounted_is_known_by_its_card_alone(machine: Path) -> None:
    """In another mount namespace, or as a type that is not ours to know."""
    run, given = machine / "run", "/dev/fd/3"
    own = os.getuid()
    with (
        Place(run, card(given, descriptor=given)).taken(),
        Place(run, card("/mnt/sshfs", descriptor=given)).taken(),
        Place(run, card("/mnt/starting")).taken(),  # not mounted yet
    ):
        found = {seen.mountpoint: seen for seen in all_mounts({}, machine, own)}
    for place in (given, "/mnt/sshfs"):
        assert found[place].is_mounted
        assert (found[place].owner, found[place].socket) == (own, run / f"{stem_of(place)}.sock")
    assert "/mnt/starting" not in found
    assert mount_named(given, list(found.values())) == found[given]
    after = {seen.mountpoint: seen for seen in all_mounts({}, machine, own)}
    assert [after[each].is_mounted for each in (given, "/mnt/sshfs")] == [False, False]


def test_root_sees_the_drives_of_two_users_at_one_path(
    machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two mount namespaces: the kernel's table has one of them, their cards have both."""
    at, given, own = "/mnt/stranger", "/dev/fd/3", os.getuid()
    users = {own + 1: tmp_path / "ada", own + 2: tmp_path / "bob"}
    monkeypatch.setattr(
        mounts_module, "_owner",
        lambda path: next((uid for uid, run in users.items() if run in path.parents), own),
    )  # fmt: skip
    with ExitStack() as stack:
        for run in users.values():
            for place in (at, given):
                told = card(place, descriptor=given, state_dir=str(run))
                stack.enter_context(Place(run, told).taken())
        sockets = [run / f"{stem_of(each)}.sock" for run in users.values() for each in (given, at)]
        for listed in (sockets, sockets[::-1]):
            monkeypatch.setattr(mounts_module, "_listening", lambda listed=listed: listed)
            found = all_mounts({}, machine, 0)
            for place in (at, given):
                seen = {each.owner: each for each in found if each.mountpoint == place}
                assert {uid: each.socket for uid, each in seen.items()} == {
                    uid: run / f"{stem_of(place)}.sock" for uid, run in users.items()
                }
            (here,) = {place_of(f"{at}/x", found).mount, mount_named(at, found)}
            assert here is not None
            assert here.owner == own + 1
            with pytest.raises(SetupError, match="2 drives have the name /dev/fd/3"):
                mount_named(given, found)


def test_a_card_is_read_and_its_lock_tried_once(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[Path] = []

    def look(path: Path) -> bool:
        looks.append(path)
        return False

    monkeypatch.setattr(mounts_module, "is_alive", look)
    for place in ("/mnt/dead", "/mnt/gone", "/mnt/alive"):
        with Place(machine / "run", card(place)).taken():
            pass
    assert len(all_mounts({}, machine, os.getuid())) == 4
    assert len(looks) == len(set(looks)) == 3


@pytest.mark.parametrize(
    ("given", "mountpoint", "path"),
    [
        ("/mnt/alive", "/mnt/alive", "/"),
        ("/mnt/alive/", "/mnt/alive", "/"),
        ("/mnt/alive/a/b", "/mnt/alive", "/a/b"),
        ("/mnt/alive/a/../b/./c", "/mnt/alive", "/b/c"),
        ("/mnt/alive/../alive/x", "/mnt/alive", "/x"),
        ("/mnt/x/../dead/é\n", "/mnt/dead", "/é\n"),
        ("/mnt/alive2/a", None, "/mnt/alive2/a"),
        ("/Hub/Project", None, "/Hub/Project"),
        ("/", None, "/"),
        ("Hub/Project", None, "/Hub/Project"),
        ("/mnt/alive/..", None, "/mnt/alive/.."),
    ],
)
def test_what_a_path_means(machine: Path, given: str, mountpoint: str | None, path: str) -> None:
    place = place_of(given, all_mounts({}, machine, os.getuid()))
    assert (place.mount and place.mount.mountpoint, place.path) == (mountpoint, path)


def test_a_link_to_a_mountpoint_leads_into_it(machine: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to("/mnt/alive/folder")
    place = place_of(f"{link}/x", all_mounts({}, machine, os.getuid()))
    assert place.mount is not None
    assert (place.mount.mountpoint, place.path) == ("/mnt/alive", "/folder/x")


def test_paths_of_the_drive_and_the_mounts_that_show_them() -> None:
    def seen(source: str, **more: object) -> Seen:
        return Seen(f"/mnt{source}", True, 0, card(source=source), Path("/run/x.sock"))

    hub, project, other = seen("/Hub"), seen("/Hub/Project/"), seen("/Hub 2")
    every = [hub, project, other, Seen("/mnt/dead", True, 0, Card(**asdict(card())))]
    for path, mounts in (
        ("/Hub/Project/a", [hub, project]),
        ("/Hub", [hub]),
        ("/Hub 2/x", [other]),
    ):
        assert [each for each in every if shows(each, path)] == mounts
    assert drive_path("/Hub/Project/", "/a/b") == "/Hub/Project/a/b"
    assert drive_path("/", "/") == "/"
    assert drive_path("/Hub", "/") == "/Hub"

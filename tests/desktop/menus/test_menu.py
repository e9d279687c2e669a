"""The menu and the emblems in a stand-in for the file manager: what is asked, shown and run."""

from __future__ import annotations

import ast

import pytest

from dmfs.desktop.share_files import MENU
from tests.desktop.menus.stand_in import Desk

ROW = "36 35 0:{n} / {place} rw,nosuid - {kind} dmfs rw,user_id=0\n"
TABLE = (
    "25 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
    + ROW.format(n=50, place="/home/me/Drive\\0401", kind="fuse.dmfs")
    + ROW.format(n=51, place="/home/me/Drive\\0401/other", kind="ext4")
    + ROW.format(n=52, place="/mnt/s", kind="fuse.sshfs")
)
TOP = "/home/me/Drive 1"


@pytest.fixture
def desk():
    return Desk()


@pytest.fixture
def menu(desk, tmp_path):
    return _menu(desk, tmp_path)


def _menu(desk, tmp_path, place="nautilus-python"):
    module = desk.load(place)
    table = tmp_path / "mountinfo"
    table.write_text(TABLE)
    module.TABLE_OF_MOUNTS = table
    menu = module.DmfsMenu()
    menu._drives = module.Drives(table)
    return menu


def show(menu, desk, file):
    """As a file manager does for a file that it shows; the emblems."""
    file.emblems.clear()
    menu.update_file_info_full("provider", object(), "closure", file)
    desk.settle()
    return file.emblems


def labels(items):
    return [item.label for item in items]


def test_it_imports_nothing_of_dmfs():
    """It runs in the system's Python, where dmfs may not be installed."""
    for node in ast.walk(ast.parse(MENU.read_text("utf-8"))):
        names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        assert not [name for name in names if name.partition(".")[0] == "dmfs"]


@pytest.mark.parametrize(
    ("place", "binding"),
    [("nautilus-python", "Nautilus"), ("nemo-python", "Nemo"), ("caja-python", "Caja")],
)
def test_each_file_manager_has_its_own_binding(desk, tmp_path, place, binding):
    _menu(desk, tmp_path, place)
    assert [name for name, _ in desk.required] == [binding]


def test_a_newer_nautilus_that_is_loaded_already_is_taken(desk, tmp_path):
    desk.versions = set()
    assert _menu(desk, tmp_path).get_file_items([]) == []


@pytest.mark.parametrize(
    "path",
    ["/etc/passwd", f"{TOP}0/x", f"{TOP}/other/x", "/mnt/s/x", "/home/me", "/"],
)
def test_files_of_other_filesystems_are_left_alone(menu, desk, path):
    file = desk.file(path)
    assert menu.update_file_info_full("p", "h", "c", file) == "complete"
    assert menu.get_file_items([file]) == []
    assert menu.get_background_items(file) == []
    assert desk.asked == []


def test_other_schemes_are_left_alone(menu, desk):
    assert menu.get_file_items([desk.file(f"{TOP}/a", scheme="sftp")]) == []


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, []),
        ({"cached": "99"}, []),
        ({"cached": "100"}, ["cached"]),
        ({"cached": "100", "pinned": "yes"}, ["pinned"]),
        ({"pinned": "inherited", "cached": "3"}, ["pinned"]),
        ({"state": "waiting", "cached": "100"}, ["uploading", "cached"]),
        ({"state": "uploading", "pinned": "yes"}, ["uploading", "pinned"]),
        ({"state": "conflict"}, ["conflict"]),
        ({"state": "failed"}, ["conflict"]),
        ({"state": "clean", "cached": "100"}, ["cached"]),
        ({"state": "local"}, []),
    ],
)
def test_emblems(menu, desk, values, expected):
    file = desk.file(f"{TOP}/plan.rvt")
    desk.values[file.location.path] = values
    assert show(menu, desk, file) == [f"emblem-dmfs-{name}" for name in expected]
    assert len(desk.completed) == 1


def test_a_file_is_asked_for_once_in_a_moment(menu, desk):
    file = desk.file(f"{TOP}/plan.rvt")
    desk.values[file.location.path] = {"cached": "100"}
    show(menu, desk, file)
    assert show(menu, desk, file) == ["emblem-dmfs-cached"]
    assert len(desk.asked) == 1
    desk.now_us += 4_000_000
    show(menu, desk, file)
    assert len(desk.asked) == 2


def test_nothing_is_waited_for(menu, desk):
    """A drive that hangs: the file manager goes on, and a folder that was left gets no answer."""
    file, handle = desk.file(f"{TOP}/plan.rvt"), object()
    assert menu.update_file_info_full("provider", handle, "closure", file) == "later"
    assert desk.completed == []
    assert labels(menu.get_file_items([file]))[0] == "Keep on this computer"
    menu.cancel_update("provider", handle)
    desk.settle()
    assert (desk.completed, file.emblems, menu._running) == ([], [], [])


def test_a_file_that_is_gone_shows_nothing(menu, desk):
    assert show(menu, desk, desk.file(f"{TOP}/gone.rvt")) == []
    assert len(desk.completed) == 1


def test_what_goes_up_is_looked_at_again_until_it_is_there(menu, desk):
    file = desk.file(f"{TOP}/plan.rvt")
    desk.values[file.location.path] = {"state": "uploading"}
    show(menu, desk, file)
    desk.tick()
    assert file.invalidated == 1
    desk.values[file.location.path] = {"state": "clean", "cached": "100"}
    assert show(menu, desk, file) == ["emblem-dmfs-cached"]
    desk.tick()
    assert (file.invalidated, desk.timers, menu._watched) == (1, [], {})


def test_what_goes_up_for_ever_is_not_looked_at_for_ever(menu, desk):
    files = [desk.file(f"{TOP}/plan {n}.rvt") for n in range(300)]
    for file in files:
        desk.values[file.location.path] = {"state": "waiting"}
        show(menu, desk, file)
    assert len(menu._watched) == 200
    for _ in range(70):
        before = [file.invalidated for file in files]
        desk.tick()
        for file, looks in zip(files, before, strict=True):
            if file.invalidated > looks:
                show(menu, desk, file)
    assert max(file.invalidated for file in files) == 60
    assert desk.timers == []


def test_what_is_known_has_a_limit(menu):
    for number in range(10_500):
        menu._remember(f"{TOP}/{number}", {})
    assert len(menu._known) == 10_000
    assert f"{TOP}/0" not in menu._known


def test_the_items_of_a_file(menu, desk):
    file = desk.file(f"{TOP}/a b/plan.rvt")
    assert labels(menu.get_file_items([file])) == [
        "Keep on this computer", "Free up space", "Open in browser", "Versions",
    ]  # fmt: skip
    desk.values[file.location.path] = {"pinned": "yes"}
    show(menu, desk, file)
    assert labels(menu.get_file_items("window", [file])) == [
        "Let it go", "Open in browser", "Versions",
    ]  # fmt: skip
    desk.values[file.location.path] = {"pinned": "inherited"}
    desk.now_us += 4_000_000
    show(menu, desk, file)
    assert labels(menu.get_file_items([file])) == ["Open in browser", "Versions"]


def test_the_items_of_several_and_of_folders(menu, desk):
    folder = desk.file(f"{TOP}/models", folder=True)
    file = desk.file(f"{TOP}/plan.rvt")
    assert "Versions" not in labels(menu.get_file_items([folder]))
    assert labels(menu.get_file_items([file, folder])) == ["Keep on this computer", "Free up space"]
    assert menu.get_file_items([file, desk.file("/etc/passwd")]) == []
    assert menu.get_file_items([file] * 1001) == []
    old = desk.file(f"{TOP}/.versions/plan.rvt/plan@v1.rvt")
    assert "Versions" not in labels(menu.get_file_items([old]))


def test_items_of_the_folder_have_names_of_their_own(menu, desk):
    """Nautilus 43 has one action a name: *Keep* of a file kept the whole folder."""
    folder = desk.file(TOP, folder=True)
    of_folder = {item.name for item in menu.get_background_items("window", folder)}
    of_files = {item.name for item in menu.get_file_items([desk.file(f"{TOP}/plan.rvt")])}
    assert of_folder
    assert not of_folder & of_files


def test_labels_in_the_language_of_the_session(menu, desk):
    file = desk.file(f"{TOP}/plan.rvt")
    desk.language = "de_AT.UTF-8"
    assert labels(menu.get_file_items([file]))[0] == "Auf diesem Rechner behalten"
    desk.language = "pt_BR"
    assert labels(menu.get_file_items([file]))[0] == "Keep on this computer"


def choose(menu, desk, file, number):
    menu.get_file_items([file])[number].handler()
    desk.settle()


def test_a_choice_runs_the_command_beside_it_and_looks_again(menu, desk):
    file = desk.file(f"{TOP}/-rf plan.rvt")
    desk.values[file.location.path] = {"cached": "100"}
    show(menu, desk, file)
    choose(menu, desk, file, 0)
    assert desk.ran == [["/usr/bin/dmfs", "pin", "--", f"{TOP}/-rf plan.rvt"]]
    assert file.invalidated == 1
    desk.values[file.location.path] = {"pinned": "yes"}
    assert show(menu, desk, file) == ["emblem-dmfs-pinned"]


def test_a_failure_is_shown_in_words(menu, desk):
    desk.said = b"some warning\ndmfs: 5 GB are too much \xe2\x80\x94 evict something\n"
    choose(menu, desk, desk.file(f"{TOP}/plan.rvt"), 0)
    assert desk.ran[1][-2:] == ["dmfs pin", "5 GB are too much \u2014 evict something"]


def test_without_the_command_it_says_so(menu, desk):
    del desk.programs["dmfs"]
    choose(menu, desk, desk.file(f"{TOP}/plan.rvt"), 0)
    assert "not on the PATH" in desk.ran[0][-1]


def test_without_notifications_it_goes_to_the_log(menu, desk, capfd):
    desk.programs.clear()
    choose(menu, desk, desk.file(f"{TOP}/plan.rvt"), 0)
    assert "dmfs pin: The command dmfs is not on the PATH" in capfd.readouterr().err


def test_versions_are_shown_by_the_file_manager(menu, desk):
    choose(menu, desk, desk.file(f"{TOP}/a b/plan.rvt"), 3)
    assert desk.shown == [f"file://{TOP}/a b/.versions/plan.rvt"]
    assert desk.ran == []


def test_the_table_of_mounts_is_read_once_in_two_seconds(menu, desk, tmp_path):
    file = desk.file(f"{TOP}/plan.rvt")
    assert menu.get_file_items([file])
    (tmp_path / "mountinfo").write_bytes(b"nothing of use\n\xff - \n")
    assert menu.get_file_items([file])
    desk.now_us += 3_000_000
    assert menu.get_file_items([file]) == []
    (tmp_path / "mountinfo").unlink()
    desk.now_us += 3_000_000
    assert menu.get_file_items([file]) == []

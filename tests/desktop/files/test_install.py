"""``dmfs desktop install``, ``remove`` and ``status``, in a person's own place."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from dmfs.cli import main as command
from dmfs.cli.documents.command import documents
from dmfs.desktop import installing, share_files
from dmfs.desktop.installing import Place
from dmfs.desktop.missing import missing
from dmfs.desktop.plan import RECORD


class Person:
    """Somebody who calls the command, in this process."""

    def __init__(self, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.data = place / "data"
        self._capsys = capsys

    def run(self, *words: str, status: int = 0) -> str:
        found = command.main(["desktop", *words])
        said = self._capsys.readouterr()
        assert found == status, said
        return said.out + said.err

    def files(self) -> set[str]:
        """Those that are ours, or look like it: not the databases of the tools."""
        return {
            str(path.relative_to(self.data))
            for path in self.data.rglob("*")
            if path.is_file() and (path.parent.name != "mime")
        }


@pytest.fixture
def person(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("XDG_DATA_DIRS", str(tmp_path / "usr/share"))
    # made once for all tests, and not all 43
    monkeypatch.setattr("dmfs.cli.documents.command.documents", lambda _: MADE)
    return Person(tmp_path, capsys)


FILES = {each.name for each in share_files.share_files()}
MADE = {name: text for name, text in documents("").items() if name.endswith(("/dmfs.1", "/dmfs"))}
ALL = FILES | set(MADE)


def test_the_list_has_what_the_desktop_needs():
    assert {
        "mime/packages/dmfs.xml",
        "icons/hicolor/scalable/mimetypes/dmfs-model.svg",
        "nautilus-python/extensions/dmfs_menu.py",
        "nemo-python/extensions/dmfs_menu.py",
        "caja-python/extensions/dmfs_menu.py",
        "kio/servicemenus/dmfs-menu.desktop",
    } <= FILES
    assert {"man/man1/dmfs.1", "bash-completion/completions/dmfs"} <= set(MADE)
    assert not FILES & set(MADE)


def test_install_status_remove(person):
    assert person.run("status", status=1).startswith(f"0 of {len(ALL)} files are installed in ")
    assert f"{len(ALL)} files are installed" in person.run("install")
    assert person.files() == ALL | {RECORD}
    for each in share_files.share_files():
        path = person.data / each.name
        assert path.read_bytes() == each.source.read_bytes()
        assert stat.S_IMODE(path.stat().st_mode) == each.mode
    assert "nothing was to be done" in person.run("install")
    assert f"{len(ALL)} of {len(ALL)} files" in person.run("status")
    assert f"{len(ALL)} files removed" in person.run("remove")
    assert person.files() == set()
    assert "0 files removed" in person.run("remove")


def test_files_of_others_stay(person):
    """One that was there before, and one that somebody changed."""
    own = person.data / "nautilus-python/extensions/dmfs_menu.py"
    own.parent.mkdir(parents=True)
    own.write_text("my own")
    neighbour = own.with_name("other.py")
    neighbour.write_text("of another program")
    assert f"not of dmfs: {own}" in person.run("install")
    edited = person.data / "mime/packages/dmfs.xml"
    edited.write_text("<edited/>")
    said = person.run("status", status=1)
    assert str(own) in said
    assert str(edited) in said
    person.run("install")
    person.run("remove")
    assert own.read_text() == "my own"
    assert edited.read_text() == "<edited/>"
    assert person.files() == {
        str(path.relative_to(person.data)) for path in (own, edited, neighbour)
    }


def test_an_older_dmfs_is_replaced(person):
    person.run("install")
    record = person.data / RECORD
    values = json.loads(record.read_text())
    old, gone = person.data / "mime/packages/dmfs.xml", person.data / "dmfs/of-old.txt"
    for path in (old, gone):
        path.write_text("of an older version")
        values[str(path.relative_to(person.data))] = share_digest(path)
    record.write_text(json.dumps(values))
    assert ": 1 of them new" in person.run("install")
    assert b"<mime-info" in old.read_bytes()
    assert not gone.exists()


def share_digest(path: Path) -> str:
    from dmfs.desktop.plan import digest

    return digest(path.read_bytes())


@pytest.mark.parametrize(
    "record", ["", "[]", '{"../victim": "%s"}', '{"/etc/x": 1}', "[" * 100_000, "\xff"]
)
def test_a_damaged_record_does_no_harm(person, record):
    person.run("install")
    victim = person.data.parent / "victim"
    victim.write_text("stays")
    (person.data / RECORD).write_text(record.replace("%s", share_digest(victim)), "latin-1")
    person.run("remove")
    assert victim.read_text() == "stays"
    assert not ALL & person.files()


def test_what_a_file_manager_compiled_goes_too(person):
    person.run("install")
    cache = person.data / "nautilus-python/extensions/__pycache__"
    cache.mkdir()
    (cache / "dmfs_menu.cpython-311.pyc").write_bytes(b"x")
    person.run("remove")
    assert not (person.data / "nautilus-python").exists()


def test_a_place_that_cannot_be_written_is_one_line(person):
    (person.data).parent.mkdir(exist_ok=True)
    person.data.write_text("a file")
    said = person.run("install", status=1)
    assert said.count("\n") == 1
    assert f"dmfs: {person.data}" in said
    assert "cannot be changed" in said


def test_a_link_in_the_place_of_a_file_is_not_followed(person):
    target = person.data.parent / "elsewhere.xml"
    target.write_text("elsewhere")
    link = person.data / "mime/packages/dmfs.xml"
    link.parent.mkdir(parents=True)
    link.symlink_to(target)
    assert "not of dmfs" in person.run("install")
    assert target.read_text() == "elsewhere"
    assert link.is_symlink()


def test_programs_get_json(person):
    answer = json.loads(person.run("install", "--json"))
    assert answer["action"] == "install"
    assert set(answer["written"]) == ALL
    assert answer["directory"] == str(person.data)
    assert any("update-mime-database" in each for each in answer["problems"])
    states = json.loads(person.run("status", "--json"))["files"]
    assert states == dict.fromkeys(ALL, "current")


def test_packages_take_the_files_alone(person, tmp_path):
    root = tmp_path / "root/usr/share"
    answer = json.loads(person.run("install", "--directory", str(root), "--json"))
    assert answer["problems"] == []
    assert {str(p.relative_to(root)) for p in root.rglob("*") if p.is_file()} == ALL | {RECORD}
    assert person.files() == set()


@pytest.mark.parametrize(
    ("words", "status", "expected"),
    [
        (["install", "--directory", ""], 1, "--directory is empty"),
        (["install", "mime"], 2, "'mime' is too much"),
        (["menu"], 2, "needs one of pin,"),
        (["menu", "format", "/x"], 2, "needs one of pin,"),
        (["menu", "pin", "/etc/passwd"], 1, "not on a drive of dmfs"),
        (["menu", "versions", "/proc/self/stat"], 1, "not on a drive of dmfs"),
    ],
)
def test_mistakes_are_one_line(person, words, status, expected):
    said = person.run(*words, status=status)
    assert expected in said
    assert said.count("\n") == 1


def test_what_a_package_installed_is_not_installed_again(person, tmp_path, monkeypatch):
    """Or each item of a menu stands there twice."""
    monkeypatch.setenv("XDG_DATA_DIRS", f"relative:{tmp_path}/none:{tmp_path}/usr")
    person.run("install", "--directory", str(tmp_path / "usr"))
    (tmp_path / "usr/man/man1/dmfs.1").unlink()  # it is dmfs.1.gz there
    for action in ("install", "status"):
        assert f"for all users in {tmp_path}/usr" in person.run(action)
    assert json.loads(person.run("status", "--json"))["directory"] == f"{tmp_path}/usr"
    assert "missing: attr, for pictures" in person.run("install")
    assert "dmfs on PATH" in json.loads(person.run("status", "--json"))["missing"][-1]
    assert person.files() == set()
    person.run("install", "--user")
    assert person.files() == ALL | {RECORD}
    (tmp_path / "usr/mime/packages/dmfs.xml").write_text("of another version")
    assert "nothing was to be done" in person.run("install")


def test_without_a_home_it_says_so(person, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", "relative")
    monkeypatch.setenv("HOME", "nowhere")
    assert "no home directory" in person.run("install", status=1)


def test_the_databases_are_made_where_their_tools_are(tmp_path):
    """And icons without a cache get none: it would hide what others install later."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("update-mime-database", "gtk-update-icon-cache"):
        (tools / name).write_text(f'#!/bin/sh\necho "$@" >>{tmp_path}/{name}\n')
        (tools / name).chmod(0o755)
    place = Place(tmp_path / "data", lambda name: str(tools / name))
    place.install()
    assert place.refresh() == []
    assert (tmp_path / "update-mime-database").read_text() == f"{tmp_path}/data/mime\n"
    assert not (tmp_path / "gtk-update-icon-cache").exists()
    (tmp_path / "data/icons/hicolor/icon-theme.cache").touch()
    os.utime(tmp_path / "data/icons/hicolor", (1, 1))
    assert place.refresh() == []
    assert (tmp_path / "gtk-update-icon-cache").read_text().endswith("data/icons/hicolor\n")
    (tools / "update-mime-database").write_text("#!/bin/sh\necho no room >&2\nexit 3\n")
    assert place.refresh() == ["update-mime-database failed: no room"]


def test_without_a_cache_of_icons_programs_look_again(tmp_path):
    place = Place(tmp_path / "data", lambda _: None)
    place.install()
    icons = tmp_path / "data/icons/hicolor"
    os.utime(icons, (1, 1))
    place.refresh()
    assert icons.stat().st_mtime > 1


def test_what_is_larger_than_any_of_ours_is_not_read(tmp_path, monkeypatch):
    place = Place(tmp_path, lambda _: None)
    place.install()
    monkeypatch.setattr(installing, "FOUND_MAX_BYTES", 1000)
    large = {name for name, (data, _) in place.files.items() if len(data) > 1000}
    assert {name for name, state in place.states().items() if state == "foreign"} == large
    assert large


def test_what_is_missing_is_named_with_its_package(tmp_path):
    assert len(missing({}, lambda _: None, tmp_path)) == 3
    found = missing({}, lambda name: None if name == "getfattr" else f"/usr/bin/{name}", tmp_path)
    assert not any("attr" in each for each in found), "the thumbnailer takes Python then"
    assert missing({}, lambda name: f"/usr/bin/{name}", tmp_path) == [
        "python3-nautilus or nautilus-python, for menus and emblems in Nautilus",
        "nemo-python or python3-nemo, for menus and emblems in Nemo",
        "python3-caja or python-caja, for menus and emblems in Caja",
    ]
    for place in (
        "lib/x86_64-linux-gnu/nautilus/extensions-4/libnautilus-python.so",
        "lib64/nemo/extensions-3.0/libnemo-python.so",
        "lib/caja/extensions-2.0/libcaja-python.so",
    ):
        (tmp_path / place).parent.mkdir(parents=True)
        (tmp_path / place).touch()
    assert missing({}, lambda name: f"/usr/bin/{name}", tmp_path) == []

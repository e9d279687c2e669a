"""Promises of ``dmfs/help/semantics.md`` about names of another case, and the drive's own
small files.

What Wine does is done here without it. Seen with strace of Wine 8.0 (``cmd /c type``): a stat of
the whole path; where that fails, of each part; for one that fails a stat of ``.ciopfs``, and where
that fails all entries of the directory.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dmfs.emulator.process import EmulatorProcess
from tests.support.histories import look_again
from tests.support.mounts import Drive, wait_until
from tests.write.conftest import WRITES

PROJECT = "Bench/Bench Project/Project Files"
THIRD = "small-00003.txt"


@pytest.fixture(scope="module")
def world_spec() -> str:
    return "small:files=5,min=100,max=200"


@pytest.fixture(scope="module")
def drive(emulator: EmulatorProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drive]:
    for name in ("Plan.dwg", "Grüße.dwg", "two.txt", "TWO.TXT"):
        folder = PROJECT if name.lower() != "two.txt" else f"{PROJECT}/small"
        emulator.change("add_item", path=folder, name=name, size=64 + len(name))
    with Drive(
        tmp_path_factory.mktemp("case"), emulator, config=WRITES, options=["rw,ignore_case"]
    ) as mounted:
        yield mounted


def here(drive: Drive, *parts: str) -> Path:
    return Path(drive.path(PROJECT, *parts))


def names(path: Path) -> list[str]:
    return sorted(each.name for each in path.iterdir())


def wine_opens(path: Path) -> bool:
    """Whether Wine finds a file without reading its directory."""
    is_fuse = os.statvfs(path.parent).f_namemax == 255
    return is_fuse and (path.parent / ".ciopfs").exists() and path.exists()


def test_a_name_of_another_case_means_the_one_entry_that_there_is(drive: Drive) -> None:
    plan = here(drive, "Plan.dwg")
    for spelling in ("PLAN.DWG", "plan.dwg", "pLAN.dWg"):
        assert here(drive, spelling).samefile(plan)
        assert here(drive, spelling).read_bytes() == plan.read_bytes()
        assert wine_opens(here(drive, spelling))
    assert here(drive, "GRÜSSE.DWG").exists() is False, "one letter is one letter"
    assert here(drive, "grÜßE.dwg").exists()
    assert here(drive, "SMALL", "SMALL-00001.TXT").samefile(here(drive, "small/small-00001.txt"))
    assert not here(drive, "plan.dwgx").exists()
    shown = names(here(drive))
    assert "PLAN.DWG" not in shown
    assert ".ciopfs" not in shown


def test_two_that_differ_by_case_alone_are_two(drive: Drive) -> None:
    small = here(drive, "small")
    assert (small / "two.txt").stat().st_ino != (small / "TWO.TXT").stat().st_ino
    assert not (small / "Two.txt").exists()
    assert not (small / ".ciopfs").exists()
    assert (here(drive) / ".ciopfs").stat().st_size == 0


def test_what_is_written_under_another_case_is_the_file_that_is_there(drive: Drive) -> None:
    folder = here(drive)
    (folder / "note.txt").write_bytes(b"first")
    assert (folder / "NOTE.TXT").read_bytes() == b"first", "no absence outlives a new file"
    (folder / "NOTE.TXT").write_bytes(b"second")
    assert (folder / "note.txt").read_bytes() == b"second"
    assert [name for name in names(folder) if name.lower() == "note.txt"] == ["note.txt"]
    with pytest.raises(FileExistsError):
        os.open(folder / "Note.txt", os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    with pytest.raises(FileExistsError):
        (folder / "SMALL").mkdir()
    (folder / "NOTE.txt").rename(folder / "other.txt")
    assert not (folder / "note.txt").exists()
    assert (folder / "OTHER.TXT").read_bytes() == b"second"
    (folder / "save.tmp").write_bytes(b"third")
    (folder / "SAVE.TMP").replace(folder / "Other.TXT")
    assert [name for name in names(folder) if "ther" in name] == ["other.txt"]
    assert (folder / "other.txt").read_bytes() == b"third"
    (folder / "OTHER.txt").unlink()
    assert not (folder / "other.txt").exists()
    assert not (folder / "OTHER.TXT").exists()


def test_a_change_at_the_service_reaches_every_spelling(
    drive: Drive, emulator: EmulatorProcess
) -> None:
    folder = here(drive)
    assert not (folder / "LATER.DWG").exists()
    emulator.change("add_item", path=PROJECT, name="Later.dwg", size=77)
    look_again(drive, PROJECT)
    assert (folder / "LATER.DWG").stat().st_size == 77
    emulator.change("new_version", path=f"{PROJECT}/Later.dwg", size=88)
    look_again(drive, PROJECT)
    wait_until(lambda: (folder / "LATER.DWG").stat().st_size == 88)
    emulator.change("add_item", path=PROJECT, name="later.DWG", size=99)
    look_again(drive, PROJECT)
    assert not (folder / "LATER.DWG").exists(), "now there are two"
    assert not (folder / ".ciopfs").exists()


def test_versions_answer_to_another_case_too(drive: Drive, emulator: EmulatorProcess) -> None:
    emulator.change("new_version", path=f"{PROJECT}/small/small-00002.txt", size=55)
    look_again(drive, f"{PROJECT}/small")
    found = names(here(drive, "small", ".versions", "SMALL-00002.TXT"))
    assert found == ["small-00002@v1.txt", "small-00002@v2.txt"]


def test_the_drives_own_files_are_answered_and_never_listed(drive: Drive) -> None:
    top = Path(drive.path())
    assert names(top) == ["Bench"]
    tag = top / "CACHEDIR.TAG"
    assert tag.read_bytes().startswith(b"Signature: 8a477f597d28d172789f06886806bc55\n")
    assert tag.stat().st_size == len(tag.read_bytes())
    for name in (".trackerignore", ".nomedia"):
        assert (top / name).read_bytes() == b""
        assert os.listxattr(top / name) == []
        assert not (here(drive) / name).exists(), "at the top alone"
    with pytest.raises(PermissionError):
        (top / ".nomedia").write_bytes(b"x")
    with pytest.raises(OSError, match="ead-only") as refused:
        tag.unlink()
    assert refused.value.errno == errno.EROFS


def test_a_real_entry_goes_before_a_marker_and_no_markers_takes_them_away(
    make_drive: Callable[..., Drive], emulator: EmulatorProcess
) -> None:
    emulator.change("add_item", path=f"{PROJECT}/small", name="CACHEDIR.TAG", size=11)
    real = make_drive(source=f"/{PROJECT}/small")
    assert Path(real.path("CACHEDIR.TAG")).stat().st_size == 11
    assert Path(real.path(".nomedia")).exists()
    assert Path(real.path("SMALL-00001.TXT")).exists() is False, "without ignore_case"
    assert Path(real.path(".ciopfs")).exists() is False
    plain = make_drive(name="plain", options=["no_markers,ignore_case"])
    assert not Path(plain.path("CACHEDIR.TAG")).exists()
    assert not Path(plain.path(".trackerignore")).exists()
    spellings = [Path(plain.path(PROJECT, "small", name)) for name in (THIRD, THIRD.upper())]
    for size in (61, 62):  # read-only, where the kernel believes listed names
        emulator.change("new_version", path=f"{PROJECT}/small/{THIRD}", size=size)
        look_again(plain, f"{PROJECT}/small")
        for path in spellings:
            assert (path.stat().st_size, len(path.read_bytes())) == (size, size)

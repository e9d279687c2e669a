"""Promises of ``dmfs/help/semantics.md`` about programs that open all they see, with programs that
have the names of those: no thumbnail is made here, but each open is a real one of its own process.

``tests/desktop/neighbours`` has the real programs, at night.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from dmfs.emulator.process import EmulatorProcess
from tests.support.commands import stdout_of
from tests.support.mounts import Drive
from tests.write.conftest import WRITES

PROJECT = "Bench/Bench Project/Project Files"
MIB = 1024 * 1024
MODELS, PHOTO, LARGE, PDF = f"{PROJECT}/small", "photo.JPG", "large.jpg", "plan.pdf"
DENIED = b"Permission denied"


@pytest.fixture(scope="module")
def world_spec() -> str:
    return "small:files=20,min=60000,max=90000+tree:folders=12,files=20,depth=3"


@pytest.fixture(scope="module")
def pictures(emulator: EmulatorProcess) -> None:
    for name, size in ((PHOTO, 70_000), (LARGE, 5 * MIB), (PDF, 90_000), ("film.mp4", 80_000)):
        emulator.change("add_item", path=PROJECT, name=name, size=size)


Run = Callable[..., subprocess.CompletedProcess[bytes]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A program by its name, in a session of its own: no terminal is its."""

    def start(
        name: str, *words: str, of: str = "cat", before: tuple[str, ...] = ()
    ) -> subprocess.CompletedProcess[bytes]:
        program = tmp_path / name
        if not program.exists():
            shutil.copy(shutil.which(of) or of, program)
        return subprocess.run(
            [*before, str(program), *words], stdin=subprocess.DEVNULL, capture_output=True,
            start_new_session=True, timeout=30, check=False,
        )  # fmt: skip

    return start


def models(drive: Drive) -> list[str]:
    folder = drive.path(MODELS)
    return [f"{folder}/{name}" for name in sorted(drive.call("listdir", folder))]


@pytest.fixture
def walked(drive: Drive, calm: EmulatorProcess, pictures: None) -> Drive:
    """All is listed and nothing is cached."""
    drive.tool("ls", "-lR", str(drive.point))
    drive.home.run("evict", drive.path(PROJECT))
    calm.reset()
    return drive


def test_an_indexer_gets_what_is_cached_and_costs_no_call(walked: Drive, run: Run) -> None:
    files = models(walked)
    for name in ("baloo_file_extractor", "tracker-extract-3", "clamscan"):
        done = run(name, *files)
        assert done.stdout == b""
        assert done.stderr.count(DENIED) == len(files), done.stderr[:300]
    assert walked.counts() == {}
    first = Path(files[0]).read_bytes()
    walked.emulator.reset()
    found = run("baloo_file_extractor", *files[:2])
    assert found.stdout == first
    assert found.stderr.count(DENIED) == 1
    assert walked.counts() == {}


def test_a_thumbnailer_gets_small_pictures_and_pdfs(walked: Drive, run: Run) -> None:
    def opened(name: str) -> bool:
        return run("gdk-pixbuf-thumbnailer", walked.path(PROJECT, name)).returncode == 0

    assert [opened(name) for name in (PHOTO, PDF, LARGE, "film.mp4")] == [True, True, False, False]
    assert walked.counts().get("cdn_get") == 2
    walked.emulator.reset()
    done = run("tumblerd", *models(walked))
    assert done.stderr.count(DENIED) == len(models(walked))
    assert walked.counts() == {}


@pytest.mark.tool("bwrap")
def test_a_thumbnailer_in_a_sandbox_is_known_all_the_same(walked: Drive, run: Run) -> None:
    """As gnome-desktop starts them: in namespaces of their own, the file may be put elsewhere."""
    sandbox = ("bwrap", "--bind", "/", "/", "--unshare-all", "--die-with-parent", "--dev", "/dev",
               "--proc", "/proc")  # fmt: skip
    if subprocess.run([*sandbox, "true"], check=False, capture_output=True).returncode:
        pytest.skip("bwrap makes no sandbox here")
    file, other = models(walked)[3], "/mnt/input.rvt"
    elsewhere = ("--as-pid-1", "--tmpfs", "/mnt", "--ro-bind", file, other)
    for more, opened in (((), file), (("--as-pid-1",), file), (elsewhere, other)):
        done = run("evince-thumbnailer", opened, before=(*sandbox, *more))
        assert DENIED in done.stderr, (more, done.stderr)
    assert walked.counts() == {}


@pytest.mark.tool("script")
def test_what_a_person_starts_is_never_kept_away(walked: Drive, run: Run, tmp_path: Path) -> None:
    file = models(walked)[5]
    program = tmp_path / "updatedb"
    shutil.copy(shutil.which("cat") or "", program)
    line = f"{program} '{file}'"
    done = subprocess.run(
        ["script", "-qec", line, "/dev/null"], stdin=subprocess.DEVNULL, capture_output=True,
        start_new_session=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-300:]
    assert walked.counts().get("sign") == 1
    assert run("my-own-indexer", models(walked)[6]).returncode == 0, "not in the table"


def test_an_indexers_walk_is_a_listing_a_folder_and_nothing_else(
    make_drive: Callable[..., Drive], calm: EmulatorProcess, run: Run
) -> None:
    drive = make_drive(config={"ttl": "10m", "hub_ttl": "10m"})
    tree = drive.path(PROJECT, "tree")
    Path(tree).stat()
    calm.reset()
    found = run("updatedb.plocate", tree, "-type", "d", of="find").stdout.splitlines()
    assert len(found) > 10
    assert drive.counts() == {"contents": len(found)}


def test_who_was_kept_away_is_counted(walked: Drive, run: Run) -> None:
    def line() -> str:
        text = stdout_of(walked.home, "status", str(walked.point)).decode()
        return next((each for each in text.splitlines() if "kept away" in each), "")

    run("localsearch-extractor-3", *models(walked) * 2)
    assert "localsearch-ext 40 (indexer)" in line()
    assert walked.log().count("localsearch-ext (") == 1, "one line for each program"
    (status,) = json.loads(stdout_of(walked.home, "status", "--json", str(walked.point)))
    assert {"program": "localsearch-ext", "kind": "indexer", "refused": 40} in status["kept_away"]
    assert not any("localsearch" in each["message"] for each in status["failures"])


def test_what_was_written_here_is_for_all(
    make_drive: Callable[..., Drive], calm: EmulatorProcess, run: Run
) -> None:
    drive = make_drive(config=WRITES | {"upload_delay": "10m"}, options=["rw"])
    first, second = models(drive)[:2]
    draft = Path(drive.path(PROJECT, "draft.rvt"))
    draft.write_bytes(b"new")
    Path(first).write_bytes(b"newer")
    calm.reset()
    found = run("baloo_file", str(draft), first, second)
    assert found.stdout == b"newnewer"
    assert found.stderr.count(DENIED) == 1, "what was not written here is not cached"
    assert drive.counts() == {}
    whole = Path(second).read_bytes()
    calm.reset()
    assert run("baloo_file", second).stdout == whole
    assert drive.counts() == {}


def test_the_setting_neighbours_decides(
    make_drive: Callable[..., Drive], calm: EmulatorProcess, pictures: None, run: Run
) -> None:
    drive = make_drive(config={"neighbours": "closed", "neighbour_indexers": "my-indexer"})
    files = models(drive)[:2]
    found = [run("baloo_file", files[0]), run("my-indexer", files[1])]
    found.append(run("tumblerd", drive.path(PROJECT, PHOTO)))
    assert all(DENIED in each.stderr for each in found), "open: tests/neighbours"

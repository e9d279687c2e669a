"""The menu in the real Nautilus, under a virtual screen. A part of the nightly run:
DMFS_NAUTILUS=1."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from dmfs.desktop.missing import missing
from tests.desktop.files.conftest import fill
from tests.desktop.neighbours.session import Session
from tests.support.apt import install_or_skip
from tests.support.fixtures import running_emulator
from tests.support.mounts import Drive, wait_until

PROGRAMS = ("nautilus", "Xvfb", "dbus-daemon", "xdotool", "convert", "update-mime-database")
PACKAGES = (
    "nautilus python3-nautilus xvfb dbus xdotool imagemagick shared-mime-info"
    " adwaita-icon-theme librsvg2-common"
)
pytestmark = [
    pytest.mark.mount,
    pytest.mark.slow,
    pytest.mark.skipif(not os.environ.get("DMFS_NAUTILUS"), reason="a part of the nightly run"),
]
FOLDER = "Bench/Bench Project/Project Files/models"
COUNT = 12
OUTLINE = "#9A9996"
"""Of the icons of types."""
GREEN = "#2EC27E"
"""Of the emblem of what is here."""


@pytest.fixture(autouse=True)
def programs() -> None:
    """What is missing is installed, by root."""

    def absent() -> list[str]:
        names = [name for name in PROGRAMS if shutil.which(name) is None]
        return names + [each for each in missing({}, shutil.which) if "Nautilus" in each]

    install_or_skip(absent, PACKAGES)


@pytest.fixture
def drive(tmp_path: Path) -> Iterator[Drive]:
    with running_emulator(world="small:files=1,min=10,max=20") as emulator:
        fill(emulator, FOLDER, COUNT)
        with Drive(tmp_path / "drive", emulator, config={"ttl": "10m", "hub_ttl": "10m"}) as made:
            yield made


@pytest.fixture
def session(tmp_path: Path, drive: Drive) -> Iterator[Session]:
    """Of a person whose PATH has dmfs, and not its environment of Python."""
    programs = tmp_path / "bin"
    programs.mkdir()
    found = shutil.which("dmfs", path=drive.home.environ["PATH"])
    assert found is not None
    (programs / "dmfs").symlink_to(found)
    made = Session(tmp_path / "session", drive.home.environment())
    made.environ |= {
        "PATH": f"{programs}:/usr/bin:/bin", "NAUTILUS_PYTHON_DEBUG": "misc",
        "GSK_RENDERER": "cairo", "GSETTINGS_BACKEND": "memory",
    }  # fmt: skip
    try:
        made.bus()
        made.screen()
        yield made
    finally:
        made.close()


def test_emblems_and_menu_in_nautilus(drive: Drive, session: Session, tmp_path: Path):
    """The folder is shown without a signing; *Keep* of a file keeps that one and nothing else; what
    is here has its emblem."""
    session.run("dmfs", "desktop", "install")
    first, second = (
        drive.path(FOLDER, f"Plan 000{n}.{end}") for n, end in enumerate(("rvt", "rfa"))
    )
    drive.call("listdir", drive.path(FOLDER))
    drive.emulator.reset()
    session.start("stdbuf", "-oL", "nautilus", "--new-window", drive.path(FOLDER))
    log = session.logs / "stdbuf.log"
    wait_until(lambda: log.read_text().count("update_file_info: entered") >= COUNT, 60)
    wait_until(
        lambda: "models" in session.run("xdotool", "search", "--name", "models", "getwindowname"),
        30,
    )
    wait_until(lambda: pixels(session, tmp_path, OUTLINE) > 20, 60)
    assert costs(drive) == {}
    assert pixels(session, tmp_path, GREEN) == 0
    # the first file; of its menu the fifth item from below
    for _ in range(3):  # a key that comes before its menu is lost
        session.run("xdotool", "key", "Escape", "Escape")
        session.run("xdotool", "mousemove", "336", "130", "click", "1")
        session.run("xdotool", "key", "--delay", "700", "shift+F10", *["Up"] * 5, "Return")
        with contextlib.suppress(AssertionError):
            wait_until(lambda: pinned(drive, first), 15)
            break
    assert (pinned(drive, first), pinned(drive, second)) == ("yes", "")
    wait_until(lambda: costs(drive) == {"sign": 1, "cdn_get": 1}, 30)
    session.run("dmfs", "unpin", first)
    for _ in range(3):  # within a second of the last look it shows the same
        session.run("xdotool", "key", "F5")
        with contextlib.suppress(AssertionError):
            wait_until(lambda: pixels(session, tmp_path, GREEN) > 20, 5)
            break
    assert pixels(session, tmp_path, GREEN) > 20
    assert "Traceback" not in log.read_text()


def costs(drive: Drive) -> dict[str, int]:
    """Calls for bytes. Pictures have calls of their own."""
    return {name: n for name, n in drive.counts().items() if name in {"sign", "cdn_get"}}


def pinned(drive: Drive, path: str) -> str:
    try:
        return os.getxattr(path, "user.dmfs.pinned").decode()
    except OSError:
        return ""


def pixels(session: Session, place: Path, colour: str) -> int:
    """How many of the screen have a colour."""
    shot = place / "screen.png"
    session.run("import", "-window", "root", str(shot))
    said = session.run("convert", str(shot), "-format", "%c", "-depth", "8", "histogram:info:")
    return sum(int(n) for n in re.findall(rf"(\d+): \([^)]*\) {colour}", said))

"""Nightly: file managers on a virtual screen show the pictures of a folder of models.

What the screen shows is looked at: the share of it that has the colours of the pictures.
Screenshots stay in ``DMFS_SCREENSHOTS`` if that names a directory.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dmfs.emulator.process import EmulatorProcess
from dmfs.emulator.thumbnails.pictures import CARDS
from tests.support.apt import install_or_skip
from tests.support.fixtures import drives, running_emulator
from tests.support.mounts import Drive

SHARE = Path(__file__).resolve().parents[2] / "dmfs/desktop/share"
SCREEN = (1700, 2000)
"""Room for 200 models in any of them."""
TONES = 14
"""A version's card is so much lighter or darker than its file's colour."""
COUNT = 200
PROGRAMS = {
    "thunar": ("thunar", "thunar -q"),
    "pcmanfm": ("pcmanfm -n", "kill $!"),
    "nautilus": ("nautilus -w", "nautilus -q"),
}
"""By program: what shows a folder, and what ends it."""
NEEDED = (
    *("xvfb-run", "xauth", "xdotool", "dbus-run-session", "import", "convert", "getfattr"),
    "update-mime-database",
)
PACKAGES = "xvfb xauth xdotool dbus dbus-x11 imagemagick attr shared-mime-info"
BESIDE = {"thunar": "tumbler", "pcmanfm": "", "nautilus": "bubblewrap"}
"""By program: what makes its pictures, where that is another package."""
PATIENCE_S = 240
QUIET_S = 25.0
"""No further picture for so long: there will be none."""
DRAWN_S = 8.0

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.mount,
]


@pytest.fixture(scope="module", params=PROGRAMS)
def program(request: pytest.FixtureRequest) -> str:
    """It and all that it needs are installed, where they may be."""
    name: str = request.param

    def missing() -> list[str]:
        return [each for each in (*NEEDED, name) if shutil.which(each) is None]

    install_or_skip(missing, f"{PACKAGES} {name} {BESIDE[name]}")
    return name


@pytest.fixture(scope="module")
def emulator() -> Iterator[EmulatorProcess]:
    with running_emulator(world=f"models:count={COUNT}") as started:
        yield started


@pytest.fixture
def make(emulator: EmulatorProcess, tmp_path: Path) -> Iterator[Callable[..., Drive]]:
    with drives(tmp_path, emulator, source="/Bench/Bench Project/Project Files") as made:
        yield made


class Desk:
    """A home with our types and thumbnailer, and a virtual screen."""

    def __init__(self, directory: Path) -> None:
        self.home = directory / "desk"
        self.data = self.home / ".local/share"
        self.thumbnails = self.home / ".cache/thumbnails"
        shutil.copytree(SHARE, self.data)
        (self.home / "run").mkdir(mode=0o700)
        libfm = self.home / ".config/libfm/libfm.conf"
        libfm.parent.mkdir(parents=True)
        libfm.write_text("[ui]\nthumbnail_local=1\nthumbnail_max=4096\nbig_icon_size=64\n")
        subprocess.run(["update-mime-database", self.data / "mime"], check=True, timeout=60)

    def show(self, program: str, folder: Path, shot: Path) -> None:
        """Have a file manager show a folder, and make a picture of the screen."""
        begin, end = PROGRAMS[program]
        stop = self.home / "stop"
        stop.unlink(missing_ok=True)
        # without a window manager no window fills the screen by itself
        script = (
            f"(sleep 7; {_resized(program)}) & {begin} '{folder}' &"
            f" until [ -e '{stop}' ]; do sleep 0.5; done; import -window root '{shot}'; {end}"
        )
        screen = f"-screen 0 {SCREEN[0]}x{SCREEN[1]}x24"
        environ = {
            "HOME": str(self.home), "PATH": os.environ["PATH"], "LANG": "C.UTF-8",
            "XDG_DATA_HOME": str(self.data), "XDG_CACHE_HOME": str(self.home / ".cache"),
            "XDG_CONFIG_HOME": str(self.home / ".config"),
            "XDG_RUNTIME_DIR": str(self.home / "run"), "NO_AT_BRIDGE": "1",
            "GSK_RENDERER": "cairo", "GIO_USE_VFS": "local",
        }  # fmt: skip
        session = subprocess.Popen(
            ["xvfb-run", "-a", "-s", screen, "dbus-run-session", "--", "sh", "-c", script],
            env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            self._until_all_are_made()
        finally:
            stop.touch()
            session.wait(60)

    def _until_all_are_made(self) -> None:
        seen, since = 0, time.monotonic()
        for _ in range(PATIENCE_S):
            time.sleep(1.0)
            if (now := self.made()) != seen:
                seen, since = now, time.monotonic()
            if seen == COUNT or time.monotonic() - since > QUIET_S:
                break
        time.sleep(DRAWN_S)

    def made(self) -> int:
        """Pictures that the desktop made of ours, without failures."""
        found = self.thumbnails.rglob("*.png")
        return sum("fail" not in path.parts for path in found)


def _resized(program: str) -> str:
    width, height = SCREEN
    found = f"xdotool search --onlyvisible --class {program}"
    return f"{found} windowmove %@ 0 0 windowsize %@ {width} {height}"


def coloured(shot: Path) -> float:
    """The share of a picture's pixels that have the colour of a card."""
    rgb = subprocess.run(
        ["convert", shot, "-depth", "8", "rgb:-"], capture_output=True, check=True, timeout=60
    ).stdout
    known = {
        tuple(min(255, max(0, value + by)) for value in card)
        for card in CARDS
        for by in range(-TONES, TONES + 1)
    }
    pixels = zip(rgb[::3], rgb[1::3], rgb[2::3], strict=True)
    return sum(pixel in known for pixel in pixels) / (len(rgb) // 3)


def counts(emulator: EmulatorProcess) -> dict[str, int]:
    found = emulator.counts()
    return {name: found.get(name, 0) for name in ("thumbnail", "sign", "cdn_get")}


def test_a_folder_of_models_shows_pictures(program, emulator, make, tmp_path):
    out = Path(os.environ.get("DMFS_SCREENSHOTS", tmp_path))
    desk = Desk(tmp_path)
    # the quota as it is by itself, in a window that lets a night's test end
    drive = make(config={"rates": "", "rate_window": "6s"})
    emulator.reset()
    shot = out / f"{program}.png"
    desk.show(program, drive.point / "models", shot)
    shown, share = desk.made(), coloured(shot)
    print(f"{program}: {shown} pictures, {share:.1%} of the screen, {counts(emulator)}")
    assert shown >= 100
    assert counts(emulator) == {"thumbnail": shown, "sign": 0, "cdn_get": 0}
    assert share > 0.02  # Nautilus draws the first of them at once and the others in its time
    drive.close()
    again = make(config={"rates": "", "rate_window": "6s"})
    shutil.rmtree(desk.thumbnails)  # the desktop forgets, the drive does not
    emulator.reset()
    desk.show(program, again.point / "models", out / f"{program} again.png")
    assert desk.made() == shown
    assert counts(emulator) == {"thumbnail": 0, "sign": 0, "cdn_get": 0}

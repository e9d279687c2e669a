"""The neighbours: how each is let loose on a directory of models."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.desktop.neighbours.rows import SIGNINGS_MAX
from tests.desktop.neighbours.session import Session
from tests.support.mounts import wait_until

FOLDERS_SHOWN = 3
"""A file manager is shown so many folders, one after the other."""


@dataclass
class Place:
    """Where it is let loose."""

    session: Session
    models: Path
    """The directory with the folders of models."""
    folders: list[Path]
    seconds: float
    """At most."""

    def until_end(self, child: subprocess.Popen[bytes]) -> bool:
        """Wait for its end; False: it is cut."""
        try:
            child.wait(self.seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def write(self, path: str, text: str) -> Path:
        """A file of the home."""
        whole = self.session.home / path
        whole.parent.mkdir(parents=True, exist_ok=True)
        whole.write_text(text)
        return whole


@dataclass(frozen=True)
class Neighbour:
    """A program, and what it takes."""

    name: str
    packages: str
    """Of Debian."""
    program: str
    """That must be there."""
    run: Callable[[Place], bool]
    """Until it ends (True) or the time is over."""
    known: bool = False
    """Whether a person has looked at all folders before."""
    bus: bool = False
    screen: bool = False
    signings: int = SIGNINGS_MAX
    """That it may cost."""
    persons: bool = False
    least_s: float = 0.0
    """It looks at names first, and only then opens files."""

    @property
    def missing(self) -> bool:
        return found(self.program) is None


def found(program: str) -> str | None:
    """Services lie where no shell looks."""
    places = "/usr/bin:/usr/sbin:/usr/libexec:/usr/lib/x86_64-linux-gnu/tumbler-1"
    return shutil.which(program, path=places)


def the(program: str) -> str:
    """Its path."""
    path = found(program)
    assert path is not None, program
    return path


def updatedb(place: Place) -> bool:
    """plocate's, which leaves nothing out: Debian's list of filesystems does not name ours."""
    words = ["-l", "0", "-o", str(place.session.home / "locate.db"), "-U", str(place.models)]
    return place.until_end(place.session.start(the("updatedb.plocate"), *words))


def _signatures(place: Place) -> Path:
    """A database of viruses that knows one."""
    line = "Nobody.Has.It:0:*:6e6f626f647920686173207468697320627974652073657175656e6365\n"
    return place.write("signatures/one.ndb", line).parent


def clamscan(place: Place) -> bool:
    words = ["-r", "--no-summary", "-d", str(_signatures(place)), str(place.models)]
    return place.until_end(place.session.start(the("clamscan"), *words))


def clamscan_in_a_terminal(place: Place) -> bool:
    """As somebody runs it who wants a folder scanned."""
    words = [the("clamscan"), "-r", "-d", str(_signatures(place)), str(place.folders[0])]
    return place.until_end(
        place.session.start("script", "--quiet", "--command", shlex.join(words), "/dev/null")
    )


def clamd(place: Place) -> bool:
    session = place.session
    socket = session.home / "clamd.sock"
    config = place.write(
        "clamd.conf",
        f"LocalSocket {socket}\nDatabaseDirectory {_signatures(place)}\nForeground yes\n",
    )
    session.start(the("clamd"), "-c", config)
    wait_until(socket.exists, 10.0)
    words = ["-c", str(config), "--multiscan", "--no-summary", str(place.models)]
    return place.until_end(session.start(the("clamdscan"), *words))


def tracker(place: Place) -> bool:
    """The index of GNOME, told to index the models."""
    place.write(
        ".config/glib-2.0/settings/keyfile",
        "[org/freedesktop/tracker/miner/files]\n"
        f"index-recursive-directories=['{place.models}']\n"
        "index-single-directories=@as []\ninitial-sleep=0\nthrottle=0\n"
        "enable-monitors=false\nindex-removable-devices=true\n",
    )
    return place.until_end(place.session.start(the("tracker-miner-fs-3")))


def baloo(place: Place) -> bool:
    """The index of KDE, told to index the models and what is in them."""
    place.write(
        ".config/baloofilerc",
        "[Basic Settings]\nIndexing-Enabled=true\n\n[General]\nonly basic indexing=false\n"
        f"folders[$e]={place.models}/\nexclude folders[$e]=\nindex hidden folders=false\n"
        "exclude filters=\nexclude mimetypes=\n",
    )
    return place.until_end(place.session.start(the("baloo_file")))


def tumbler(place: Place) -> bool:
    """Asked for thumbnails of all files of ten folders, as a file manager asks for a folder's."""
    name = "org.freedesktop.thumbnails.Thumbnailer1"
    for folder in place.folders[:10]:
        files = sorted(folder.iterdir())
        uris = ", ".join(f"'{each.as_uri()}'" for each in files)
        types = ", ".join(f"'{_type(each)}'" for each in files)
        place.session.run(
            "gdbus", "call", "--session", "-d", name, "-o", f"/{name.replace('.', '/')}",
            "-m", f"{name}.Queue", f"[{uris}]", f"[{types}]", "normal", "default", "0",
        )  # fmt: skip
    time.sleep(place.seconds)
    return False


def _type(path: Path) -> str:
    """By the name alone, as a file manager has it with our list of types."""
    known = {".jpg": "image/jpeg", ".pdf": "application/pdf", ".dwg": "image/vnd.dwg"}
    return known.get(path.suffix, f"application/x-{path.suffix[1:]}")


def thunar(place: Place) -> bool:
    return _manager(place, "thunar")


def nautilus(place: Place) -> bool:
    return _manager(place, "nautilus", "--new-window")


def pcmanfm(place: Place) -> bool:
    return _manager(place, "pcmanfm")


def _manager(place: Place, *words: str) -> bool:
    """It shows one folder after the other."""
    for folder in place.folders[:FOLDERS_SHOWN]:
        place.session.start(the(words[0]), *words[1:], folder)
        time.sleep(place.seconds / FOLDERS_SHOWN)
    return False


def gio_list(place: Place) -> bool:
    """Types of the files of ten folders."""
    words = ["list", "-a", "standard::content-type", *(str(each) for each in place.folders[:10])]
    return place.until_end(place.session.start("gio", *words))


NEIGHBOURS = (
    Neighbour("plocate: updatedb", "plocate", "updatedb.plocate", updatedb),
    Neighbour("clamscan -r", "clamav", "clamscan", clamscan),
    Neighbour("clamscan in a terminal, 100 files", "clamav bsdutils", "clamscan",
              clamscan_in_a_terminal, persons=True),
    Neighbour("clamd, clamdscan -m", "clamav-daemon clamdscan", "clamdscan", clamd),
    Neighbour("tracker-miner-fs-3", "tracker tracker-extract tracker-miner-fs",
              "tracker-miner-fs-3", tracker, bus=True),
    Neighbour("baloo_file", "baloo-kf5", "baloo_file", baloo, bus=True, least_s=120.0),
    Neighbour("gio list, 1000 files", "libglib2.0-bin", "gio", gio_list, known=True,
              signings=0),
    Neighbour("tumblerd, 1000 files", "tumbler", "tumblerd", tumbler,
              known=True, bus=True, screen=True),
    Neighbour("Thunar, 3 folders", "thunar tumbler xvfb", "thunar", thunar,
              known=True, bus=True, screen=True),
    Neighbour("Nautilus, 3 folders", "nautilus xvfb", "nautilus", nautilus,
              known=True, bus=True, screen=True),
    Neighbour("pcmanfm, 3 folders", "pcmanfm xvfb", "pcmanfm", pcmanfm,
              known=True, bus=True, screen=True),
)  # fmt: skip

"""The documents, made once with the programs themselves."""

from __future__ import annotations

import os
import random
import shutil
import struct
import subprocess
import venv
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.desktop.tools.programs import HERE, PLACE, PYTHON

LIBRARIES = "ezdxf ifcopenshell openpyxl numpy"
DOCUMENTS = PLACE / "documents"
BY_LIBRARIES = (
    "Door schedule.xlsx", "Site plan.dxf", "Tower.ifc", "Assets.sqlite", "Report.pdf",
)  # fmt: skip
"""By ``making.py``, one a run."""
_MADE_S = 600


def libraries() -> None:
    """Python's, in an environment of their own. What cannot be had is left out."""
    try:
        if not PYTHON.exists():
            venv.create(PLACE / "venv", with_pip=True)
        there = [str(PYTHON), "-c", "import ezdxf, ifcopenshell, openpyxl, numpy"]
        if subprocess.run(there, capture_output=True, check=False).returncode:
            pip = [str(PYTHON), "-m", "pip", "install", "-q", *LIBRARIES.split()]
            subprocess.run(pip, stdout=subprocess.DEVNULL, timeout=_MADE_S, check=False)
    except (OSError, subprocess.SubprocessError) as error:
        print(f"Python's libraries could not be had: {error}", flush=True)


def has(name: str) -> bool:
    """Whether a document is there. Only whole ones have their names."""
    return (DOCUMENTS / name).exists()


def make() -> None:
    """All that are not there yet and can be made here. What cannot is told, and left out."""
    DOCUMENTS.mkdir(parents=True, exist_ok=True)
    for name in BY_LIBRARIES:
        made_whole(name, partial(_run, PYTHON, HERE / "making.py", name))
    made_whole("Site photo.png", lambda path: path.write_bytes(photo()))
    if shutil.which("ffmpeg"):
        made_whole("Walk.mp4", _walk)
    if shutil.which("soffice"):
        made_whole("Minutes.odt", _minutes)
    if shutil.which("freecadcmd"):
        made_whole("Bracket.step", _bracket)


def made_whole(name: str, make: Callable[[Path], object]) -> bool:
    """Have a document made, unless it is there; whether it is there now.

    It is made under the same name in a directory ``.part`` and then moved: a run that is cut off or
    fails leaves nothing that the next one would take for a document. ``make`` gets the path.
    """
    if has(name):
        return True
    part = DOCUMENTS.parent / ".part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    try:
        make(part / name)
        (part / name).chmod(0o644)
        (part / name).rename(DOCUMENTS / name)
    except (OSError, subprocess.SubprocessError) as error:
        print(f"{name} could not be made: {error}", flush=True)
        return False
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return True


def _walk(path: Path) -> None:
    _run("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=1280x720:duration=20",
         "-c:v", "mpeg4", "-q:v", "2", path)  # fmt: skip


def _minutes(path: Path) -> None:
    text = PLACE / "Minutes.txt"
    dice = random.Random(6)
    text.write_text("".join(f"{number}. {dice.getrandbits(256):x}\n" for number in range(9000)))
    _run("soffice", f"-env:UserInstallation=file://{PLACE}/profile", "--headless",
         "--convert-to", "odt:writer8", "--outdir", path.parent, text)  # fmt: skip


def _bracket(path: Path) -> None:
    _run("env", f"MAKE={path}", "freecadcmd", HERE / "solids.py")


def photo(width: int = 2400, height: int = 1800) -> bytes:
    """A PNG of noise."""
    dice = random.Random(5)
    rows = b"".join(b"\0" + dice.randbytes(3 * width) for _ in range(height))
    header = struct.pack(">2L5B", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 1)), (b"IEND", b""))
    body = b"".join(
        struct.pack(">L", len(data)) + kind + data + struct.pack(">L", zlib.crc32(kind + data))
        for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


def _run(*words: str | Path) -> None:
    environ = {**os.environ, "HOME": str(PLACE), "QT_QPA_PLATFORM": "offscreen"}
    subprocess.run(
        words, env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, timeout=_MADE_S,
        check=True,
    )  # fmt: skip

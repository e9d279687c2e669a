"""The documents, made once with the programs themselves."""

from __future__ import annotations

import os
import random
import shutil
import struct
import subprocess
import venv
import zlib
from pathlib import Path

from tests.desktop.tools.programs import HERE, PLACE, PYTHON

LIBRARIES = "ezdxf ifcopenshell openpyxl numpy"
DOCUMENTS = PLACE / "documents"
_MADE_S = 600


def libraries() -> None:
    """Python's, in an environment of their own. What cannot be had is left out."""
    if not PYTHON.exists():
        venv.create(PLACE / "venv", with_pip=True)
    has = [str(PYTHON), "-c", "import ezdxf, ifcopenshell, openpyxl, numpy"]
    if subprocess.run(has, capture_output=True, check=False).returncode:
        pip = [str(PYTHON), "-m", "pip", "install", "-q", *LIBRARIES.split()]
        subprocess.run(pip, stdout=subprocess.DEVNULL, timeout=_MADE_S, check=False)


def make() -> None:
    """All that are not there yet and can be made here. CalledProcessError."""
    DOCUMENTS.mkdir(parents=True, exist_ok=True)
    if not (DOCUMENTS / "Report.pdf").exists():  # the last one
        _run(PYTHON, HERE / "making.py", DOCUMENTS)
    if not (DOCUMENTS / "Site photo.png").exists():
        (DOCUMENTS / "Site photo.png").write_bytes(photo())
    if shutil.which("ffmpeg") and not (DOCUMENTS / "Walk.mp4").exists():
        _run("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=1280x720:duration=20",
             "-c:v", "mpeg4", "-q:v", "2", DOCUMENTS / "Walk.mp4")  # fmt: skip
    if shutil.which("soffice") and not (DOCUMENTS / "Minutes.odt").exists():
        text = PLACE / "Minutes.txt"
        dice = random.Random(6)
        lines = (f"{number}. {dice.getrandbits(256):x}\n" for number in range(9000))
        text.write_text("".join(lines))
        _run("soffice", f"-env:UserInstallation=file://{PLACE}/profile", "--headless",
             "--convert-to", "odt:writer8", "--outdir", DOCUMENTS, text)  # fmt: skip
    if shutil.which("freecadcmd") and not (DOCUMENTS / "Bracket.step").exists():
        _run("env", f"MAKE={DOCUMENTS}/Bracket.step", "freecadcmd", HERE / "solids.py")
    for each in DOCUMENTS.iterdir():
        each.chmod(0o644)


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

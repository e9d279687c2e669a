"""The programs: how each is run on a document, and what comes out of it."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

PLACE = Path("/var/tmp/dmfs-desktop-tools")
"""The environment of Python's libraries, and the documents: made once."""
PYTHON = PLACE / "venv/bin/python"
HERE = Path(__file__).parent
MIB = 1 << 20

Words = Callable[[Path, Path], list[str | Path]]
"""From the document and an empty directory to a command."""
Result = Callable[[bytes, Path], bytes]
"""From its stdout and that directory to what is compared."""


def said(stdout: bytes, _out: Path) -> bytes:
    return stdout


def made(pattern: str) -> Result:
    """The files that it made."""

    def result(_stdout: bytes, out: Path) -> bytes:
        found = sorted(out.glob(pattern))
        return b"".join(hashlib.sha256(each.read_bytes()).digest() for each in found)

    return result


@dataclass(frozen=True)
class Program:
    """One program with one document."""

    name: str
    document: str
    words: Words
    result: Result = said
    packages: str = ""
    bytes_max: int = 0
    """0: the whole file, and some."""
    binary: str = ""
    """'' for the first of its words."""
    drawn: str = ""
    """A PDF that it made: compared as it looks, for it holds the time."""

    @property
    def missing(self) -> bool:
        first = self.binary or self.words(Path("x"), Path("y"))[0]
        return shutil.which(first) is None


def _soffice(form: str) -> Words:
    return lambda file, out: [
        "soffice", f"-env:UserInstallation=file://{out}/profile", "--headless", "--convert-to",
        form, "--outdir", out, file,
    ]  # fmt: skip


def _python(kind: str) -> Words:
    return lambda file, _: [PYTHON, "-I", HERE / "reading.py", kind, file]


POPPLER = "poppler-utils"
PROGRAMS = [
    Program("pdfinfo", "Report.pdf", lambda f, _: ["pdfinfo", f], packages=POPPLER,
            bytes_max=2 * MIB),
    Program(
        "pdftoppm, page 30", "Report.pdf",
        lambda f, o: ["pdftoppm", "-r", "50", "-f", "30", "-l", "30", f, o / "page"],
        made("page*"), POPPLER, bytes_max=5 * MIB,
    ),
    Program("pdftotext", "Report.pdf", lambda f, _: ["pdftotext", f, "-"], packages=POPPLER),
    Program("identify -ping", "Site photo.png",
            lambda f, _: ["identify", "-ping", "-format", "%wx%h %[channels]", f],
            packages="imagemagick", bytes_max=2 * MIB),
    Program("convert -thumbnail", "Site photo.png",
            lambda f, o: ["convert", f, "-thumbnail", "256", o / "small.ppm"],
            made("small.ppm"), "imagemagick"),
    Program("unzip -p, one member", "Site scan.zip", lambda f, _: ["unzip", "-p", f, MEMBER],
            packages="unzip", bytes_max=10 * MIB),
    Program("7z, one member", "Site scan.zip", lambda f, _: ["7z", "x", "-so", f, MEMBER],
            packages="p7zip-full", bytes_max=10 * MIB),
    Program("ffprobe", "Walk.mp4",
            lambda f, _: ["ffprobe", "-v", "error", "-of", "flat", "-show_entries",
                          "format=duration,size:stream=codec_name,width", f],
            packages="ffmpeg", bytes_max=6 * MIB),
    Program("sqlite3, by an index", "Assets.sqlite",
            lambda f, _: ["sqlite3", "-readonly", f,
                          "SELECT note FROM asset WHERE tag = 'T000777'"],
            packages="sqlite3", bytes_max=4 * MIB),
    Program("LibreOffice, to csv", "Door schedule.xlsx", _soffice("csv"), made("*.csv"),
            "libreoffice-calc"),
    Program("LibreOffice, to text", "Minutes.odt", _soffice("txt:Text"), made("*.txt"),
            "libreoffice-writer"),
    Program("LibreCAD, to pdf", "Site plan.dxf",
            # it prints beside the document, whatever -o says: so beside a link to it
            lambda f, _: ["sh", "-c", 'ln -s "$1" plan.dxf; exec librecad dxf2pdf -a plan.dxf',
                          "sh", f],
            packages="librecad", binary="librecad", drawn="plan.pdf"),
    Program("FreeCAD, solids", "Bracket.step",
            lambda f, _: ["env", f"SHAPE={f}", "freecadcmd", HERE / "solids.py"],
            packages="freecad", binary="freecadcmd"),
    Program("ezdxf", "Site plan.dxf", _python("ezdxf")),
    Program("ifcopenshell", "Tower.ifc", _python("ifcopenshell")),
    Program("openpyxl, sheets", "Door schedule.xlsx", _python("openpyxl")),
]  # fmt: skip
MEMBER = "scan/part-0042.bin"
"""Of the sample world's archive of 1 GiB."""

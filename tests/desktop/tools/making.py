"""``PYTHON making.py NAME PATH``: a document that needs a library of its own, some MB.

Run by the Python of an environment that has ezdxf, ifcopenshell, openpyxl and numpy.
"""
# mypy: ignore-errors

from __future__ import annotations

import random
import sqlite3
import sys
import zlib
from pathlib import Path


def schedule(path: Path, rows: int = 40_000) -> None:
    import openpyxl

    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("Doors")
    dice = random.Random(1)
    sheet.append(["door", "width_mm", "height_mm", "room", "note"])
    for number in range(rows):
        note = f"{dice.getrandbits(64):x}"
        sheet.append([f"D{number}", 800 + number % 5 * 50, 2100, f"R{number // 3}", note])
    book.save(path)


def drawing(path: Path, lines: int = 20_000) -> None:
    import ezdxf

    document = ezdxf.new("R2010")
    space = document.modelspace()
    dice = random.Random(2)
    for _ in range(lines):
        start = dice.uniform(0, 400), dice.uniform(0, 280)
        space.add_line(start, (start[0] + dice.uniform(-9, 9), start[1] + dice.uniform(-9, 9)))
    document.saveas(path)


def building(path: Path, walls: int = 12_000) -> None:
    import ifcopenshell
    import ifcopenshell.guid

    model = ifcopenshell.file(schema="IFC4")
    place = model.create_entity("IfcCartesianPoint", (0.0, 0.0, 0.0))
    for number in range(walls):
        model.create_entity(
            "IfcWall", GlobalId=ifcopenshell.guid.new(), Name=f"Wall {number}",
            Description=f"{number * 7919 % 10007} of {place.id()}",
        )  # fmt: skip
    model.write(str(path))


def database(path: Path, rows: int = 120_000) -> None:
    base = sqlite3.connect(path)
    base.execute("CREATE TABLE asset (id INTEGER PRIMARY KEY, tag TEXT, note TEXT)")
    dice = random.Random(3)
    rows_of = ((n, f"T{n * 7919 % rows:06d}", f"{dice.getrandbits(512):x}") for n in range(rows))
    base.executemany("INSERT INTO asset VALUES (?, ?, ?)", rows_of)
    base.execute("CREATE INDEX by_tag ON asset (tag)")
    base.commit()
    base.execute("VACUUM")
    base.close()


def report(path: Path, pages: int = 60) -> None:
    """A picture of 256 × 256 on each page, and a line of text."""
    import numpy as np

    dice = np.random.default_rng(4)
    objects: list[bytes] = [b"<< /Type /Catalog /Pages 2 0 R >>", b""]
    kids = []
    for page in range(pages):
        noise = dice.integers(0, 256, 256 * 256 * 3, dtype=np.uint8)
        pixels = zlib.compress(noise.tobytes(), 1)
        text = (
            f"q 400 0 0 400 90 250 cm /I Do Q BT /F 24 Tf 72 760 Td (Page {page + 1}) Tj ET"
        ).encode()
        first = len(objects) + 1
        objects += [
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents %d 0 R /Resources"
            b" << /XObject << /I %d 0 R >> /Font << /F << /Type /Font /Subtype /Type1"
            b" /BaseFont /Helvetica >> >> >> >>" % (first + 1, first + 2),
            b"<< /Length %d >>\nstream\n%s\nendstream" % (len(text), text),
            b"<< /Type /XObject /Subtype /Image /Width 256 /Height 256 /ColorSpace /DeviceRGB"
            b" /BitsPerComponent 8 /Filter /FlateDecode /Length %d >>\nstream\n%s\nendstream"
            % (len(pixels), pixels),
        ]
        kids.append(b"%d 0 R" % first)
    objects[1] = b"<< /Type /Pages /Kids [%s] /Count %d >>" % (b" ".join(kids), pages)
    out, offsets = bytearray(b"%PDF-1.4\n"), []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % at for at in offsets)
    count, start = len(objects) + 1, len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n%s" % (count, table)
    out += b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (count, start)
    path.write_bytes(out)


if __name__ == "__main__":
    makers = {
        "Door schedule.xlsx": schedule, "Site plan.dxf": drawing, "Tower.ifc": building,
        "Assets.sqlite": database, "Report.pdf": report,
    }  # fmt: skip
    makers[sys.argv[1]](Path(sys.argv[2]))

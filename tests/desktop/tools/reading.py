"""``PYTHON reading.py KIND FILE``: what a library of Python makes of a document, in a line."""
# mypy: ignore-errors

from __future__ import annotations

import sys
from collections import Counter


def main(kind: str, path: str) -> None:
    if kind == "ezdxf":
        import ezdxf

        space = ezdxf.readfile(path).modelspace()
        ends = sum(entity.dxf.end.x for entity in space)
        print(sorted(Counter(entity.dxftype() for entity in space).items()), round(ends, 3))
    elif kind == "ifcopenshell":
        import ifcopenshell

        model = ifcopenshell.open(path)
        print(len(model.by_type("IfcWall")), model.by_type("IfcWall")[-1].Description)
    else:
        import openpyxl

        book = openpyxl.load_workbook(path, read_only=True)
        print(book.sheetnames)


main(*sys.argv[1:])

"""In FreeCAD: what is in the STEP file SHAPE, or makes the one MAKE (names of the environment)."""
# mypy: ignore-errors

from __future__ import annotations

import os

import FreeCAD
import Part


def made(path: str) -> None:
    """Some MB of plates with holes."""
    plates = []
    for number in range(60):
        plate = Part.makeBox(100, 60, 10, FreeCAD.Vector(0, 0, number * 20))
        for hole in range(20):
            at = FreeCAD.Vector(8 + hole % 10 * 9, 15 + hole // 10 * 30, number * 20 - 1)
            plate = plate.cut(Part.makeCylinder(2 + number % 3 * 0.5, 12, at))
        plates.append(plate)
    Part.makeCompound(plates).exportStep(path)


if "MAKE" in os.environ:
    made(os.environ["MAKE"])
else:
    shape = Part.Shape()
    shape.read(os.environ["SHAPE"])
    print("solids", len(shape.Solids), round(shape.Volume, 2))

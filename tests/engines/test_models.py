"""Models and drawings of the field."""

from __future__ import annotations

import io

import ezdxf
import ifcopenshell

from tests.engines.place import Place

SAMPLE = "dmfs:///Emulated Builders ／ Headquarters/Sample Project/Project Files"


def test_ifcopenshell(place: Place):
    fs = place.fs()
    with fs.open(f"{SAMPLE}/Models/House.ifc") as file:
        model = ifcopenshell.file.from_string(file.read().decode())
    assert [wall.Name for wall in model.by_type("IfcWall")] == [f"Wall {n}" for n in range(1, 5)]
    size_bytes = fs.size(f"{SAMPLE}/Models/House.ifc")
    place.told("ifcopenshell", "a model", 5, 1, 1, size_bytes)


def test_ezdxf(place: Place):
    with place.fs().open(place.path("drawings/grid.dxf")) as file:
        drawing = ezdxf.read(io.TextIOWrapper(file, "utf-8"))
    assert len(drawing.modelspace().query('LINE[layer=="GRID"]')) == 200
    place.told("ezdxf", "a drawing", 5, 1, 1, place.size("drawings/grid.dxf"))

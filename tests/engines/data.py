"""Real files for the programs: tables, arrays, a drawing. Always the same but for what libraries
write of themselves."""

from __future__ import annotations

from pathlib import Path

import ezdxf
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import xarray as xr

ROWS = 200_000
GROUPS = 8
FLOORS = 6
HARD_NAME = "100% [a]*?#1::2.csv"


def readings() -> pd.DataFrame:
    """Of sensors; random floats, so that nothing of it is compressed away."""
    random = np.random.default_rng(7)
    columns = {f"c{n}": random.random(ROWS) for n in range(6)}
    return pd.DataFrame({"n": np.arange(ROWS), "floor": np.arange(ROWS) % FLOORS, **columns})


def doors() -> pd.DataFrame:
    numbers = np.arange(5000)
    return pd.DataFrame({"door": [f"D{n:04d}" for n in numbers], "width_mm": 700 + numbers % 400})


def field() -> xr.Dataset:
    """Temperatures: 8 moments of 256 x 256."""
    values = np.random.default_rng(8).random((8, 256, 256), dtype=np.float32)
    return xr.Dataset({"t": (("time", "y", "x"), values)})


def make(top: Path) -> None:
    tables, arrays, drawings = (top / name for name in ("tables", "arrays", "drawings"))
    for each in (tables, arrays, drawings):
        each.mkdir(parents=True)
    doors().to_csv(tables / "doors.csv", index=False)
    doors().head(10).to_csv(tables / HARD_NAME, index=False)
    table = pa.Table.from_pandas(readings(), preserve_index=False)
    pq.write_table(table, tables / "readings.parquet", row_group_size=ROWS // GROUPS)
    for floor in range(FLOORS):
        part = table.filter(pa.compute.equal(table["floor"], floor)).drop_columns("floor")
        below = tables / "by floor" / f"floor={floor}"
        below.mkdir(parents=True)
        pq.write_table(part, below / "part.parquet")
    chunks = {"t": {"chunks": (1, 128, 128)}}
    field().to_zarr(arrays / "field.zarr", encoding=chunks, zarr_format=3, consolidated=True)
    field().to_netcdf(
        arrays / "field.nc", engine="h5netcdf", encoding={"t": {"chunksizes": (1, 128, 128)}}
    )
    drawing = ezdxf.new("R2010")
    for x in range(200):
        drawing.modelspace().add_line((x, 0), (x, 100), dxfattribs={"layer": "GRID"})
    drawing.saveas(drawings / "grid.dxf")

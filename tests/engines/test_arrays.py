"""Arrays and paths."""

from __future__ import annotations

import kerchunk.hdf
import numpy as np
import xarray as xr
import zarr
from upath import UPath
from zarr.storage import FsspecStore

from tests.engines import data
from tests.engines.place import Place


def test_zarr(place: Place):
    store = FsspecStore.from_url(place.url("arrays/field.zarr"), read_only=True)
    found = zarr.open_group(store, mode="r")["t"][3, :128, 128:]
    assert np.array_equal(found, data.field()["t"].values[3, :128, 128:])
    place.told("zarr", "1 chunk of 32", 10, 2, 2, 60_000)


def test_xarray_of_zarr(place: Place):
    found = xr.open_zarr(place.url("arrays/field.zarr"))["t"].load()
    assert np.array_equal(found.values, data.field()["t"].values)
    place.told("xarray", "`open_zarr`, all 32 chunks", 32, 33, 33, 1_900_000)


def test_xarray_of_hdf5(place: Place):
    with place.fs().open(place.path("arrays/field.nc")) as file:
        found = xr.open_dataset(file, engine="h5netcdf")["t"][2, :10, :10].load()
    assert np.array_equal(found.values, data.field()["t"].values[2, :10, :10])
    place.told(
        "xarray", "`open_dataset(file)`, 1 chunk of 32", 5, 1, 1, place.size("arrays/field.nc")
    )


def test_kerchunk(place: Place):
    """The chunks of an HDF5 file, read as those of a zarr by their places in it."""
    url = place.url("arrays/field.nc")
    with place.fs().open(url) as file:
        references = kerchunk.hdf.SingleHdf5ToZarr(file, url).translate()
    found = xr.open_dataset(
        "reference://", engine="zarr", chunks=None, consolidated=False,
        backend_kwargs={"storage_options": {"fo": references, "remote_protocol": "dmfs"}},
    )["t"].load()  # fmt: skip
    assert np.array_equal(found.values, data.field()["t"].values)
    place.told(
        "kerchunk", "references of HDF5, all 32 chunks", 5, 1, 1, place.size("arrays/field.nc")
    )


def test_universal_pathlib(place: Place):
    top = UPath(place.url("tables"))
    assert sorted(each.name for each in top.glob("*.parquet")) == ["readings.parquet"]
    table = top / "doors.csv"
    assert (table.stat().st_size, table.parent.name) == (place.size("tables/doors.csv"), "tables")
    assert table.read_bytes() == (place.files / "tables/doors.csv").read_bytes()
    place.told(
        "universal-pathlib", "`glob`, `stat`, `read_bytes`", 5, 1, 1, place.size("tables/doors.csv")
    )

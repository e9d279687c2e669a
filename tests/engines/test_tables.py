"""Tables: pandas, PyArrow, DuckDB, Polars."""

from __future__ import annotations

import duckdb
import fsspec.parquet
import pandas as pd
import polars as pl
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from pyarrow.fs import FSSpecHandler, PyFileSystem

from tests.engines import data
from tests.engines.place import Place, same


def test_pandas_csv(place: Place):
    same(pd.read_csv(place.url("tables/doors.csv")), data.doors())
    place.told("pandas", "`read_csv`", 5, 1, 1, place.size("tables/doors.csv"))


def test_pandas_parquet(place: Place):
    same(pd.read_parquet(place.url("tables/readings.parquet")), data.readings())
    place.told(
        "pandas", "`read_parquet`, all columns", 5, 1, 15, place.size("tables/readings.parquet")
    )


def test_pandas_columns(place: Place):
    found = pd.read_parquet(place.url("tables/readings.parquet"), columns=["n", "c3"])
    same(found, data.readings()[["n", "c3"]])
    place.told("pandas", "`read_parquet`, 2 of 8 columns", 5, 1, 18, 5_400_000)


def test_parquet_by_ranges(place: Place):
    """fsspec's own helper reads the footer, and then what is wanted at once."""
    url = place.url("tables/readings.parquet")
    with fsspec.parquet.open_parquet_file(url, columns=["n", "c3"]) as file:
        found = pd.read_parquet(file, columns=["n", "c3"])
    same(found, data.readings()[["n", "c3"]])
    place.told("pandas", "`open_parquet_file`, 2 of 8 columns", 5, 1, 18, 6_100_000)


def test_arrow_dataset(place: Place):
    """Partitions that a filter rules out are not opened."""
    arrow = PyFileSystem(FSSpecHandler(place.fs()))
    found = ds.dataset(place.path("tables/by floor"), filesystem=arrow, partitioning="hive")
    table = found.to_table(filter=ds.field("floor") == 3, columns=["n", "c0"])
    expected = data.readings().query("floor == 3")[["n", "c0"]]
    same(table.sort_by("n").to_pandas(), expected)
    place.told("PyArrow", "dataset of 6 files, 1 of them wanted", 12, 2, 2, 4_400_000)


def test_arrow_file(place: Place):
    with place.fs().open(place.path("tables/readings.parquet")) as file:
        table = pq.ParquetFile(file).read_row_group(5, columns=["c2"])
    rows = data.ROWS // data.GROUPS
    assert table["c2"].to_pylist() == data.readings()["c2"][5 * rows : 6 * rows].tolist()
    place.told("PyArrow", "1 column of 1 row group of 8", 5, 1, 3, 350_000)


def test_duckdb(place: Place):
    with duckdb.connect() as connection:
        connection.register_filesystem(place.fs())
        found = connection.sql(
            f"select floor, count(*) as n, avg(c1) as mean from '{place.url('tables/by floor')}"
            "/*/part.parquet' group by floor order by floor"
        ).fetchall()
    grouped = data.readings().groupby("floor")["c1"]
    assert [(floor, n) for floor, n, _ in found] == list(grouped.count().items())
    assert all(abs(mean - grouped.mean()[floor]) < 1e-9 for floor, _, mean in found)
    place.told("DuckDB", "mean of 1 column by group, 6 files", 12, 6, 6, 13_200_000)


def test_duckdb_by_many_threads(place: Place):
    """DuckDB's threads seek and read one file without a lock."""
    with duckdb.connect() as connection:
        connection.register_filesystem(place.fs())
        found = connection.sql(
            f"select sum(n), avg(c1) from '{place.url('tables/readings.parquet')}'"
        ).fetchall()
    expected = data.readings()
    assert found[0][0] == expected["n"].sum()
    assert abs(found[0][1] - expected["c1"].mean()) < 1e-9
    place.told("DuckDB", "2 of 8 columns of a file", 5, 1, 20, 6_000_000)


def test_polars(place: Place):
    with place.fs().open(place.path("tables/readings.parquet")) as file:
        found = pl.read_parquet(file, columns=["n", "c3"], use_pyarrow=True)
    same(found.to_pandas(), data.readings()[["n", "c3"]])
    place.told("Polars", "`read_parquet(file)`, 2 of 8 columns", 5, 1, 18, 5_400_000)


def test_hard_names(place: Place):
    """Names are taken as they are."""
    for name in (place.url, place.path):
        with place.fs().open(name(f"tables/{data.HARD_NAME}")) as file:
            same(pd.read_csv(file), data.doors().head(10))

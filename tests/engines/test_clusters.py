"""Many processes: what the program has listed goes with its tasks, so that no worker lists.

GETs are at most one a file and process: two that begin at the same moment may each fetch.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import dask.dataframe as dd
import fsspec
import pandas as pd
import pytest
import ray
from distributed import Client, LocalCluster
from pyarrow.fs import FSSpecHandler, PyFileSystem

from dmfs.spec.filesystem import DmfsFileSystem
from tests.engines import data
from tests.engines.place import LISTS, Place


@pytest.fixture
def elsewhere(place: Place) -> dict[str, str]:
    """The environment of workers on another machine, as far as caches tell."""
    return {
        f"DMFS_{kind}_DIR": str(place.directory / "elsewhere" / kind) for kind in ("CACHE", "STATE")
    }


@pytest.fixture
def client(place: Place, elsewhere: dict[str, str]) -> Iterator[Client]:
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=2, processes=True, dashboard_address=None,
            host="127.0.0.1", local_directory=str(place.directory / "dask"), env=elsewhere,
        ) as cluster,
        Client(cluster) as made,
    ):  # fmt: skip
        yield made


def listings(place: Place) -> int:
    counts = place.emulator.counts()
    return sum(counts.get(route, 0) for route in LISTS)


def total(frame: pd.DataFrame) -> float:
    return float(frame["c1"].sum())


def size_of(file: fsspec.core.OpenFile) -> tuple[int, int]:
    with file as opened:
        return os.getpid(), len(opened.read())


def no_sign_in() -> str:
    """In a worker whose environment has no sign-in."""
    for key in ("DMFS_CLIENT_ID", "DMFS_CLIENT_SECRET"):
        os.environ.pop(key, None)
    DmfsFileSystem.clear_instance_cache()
    return str(fsspec.filesystem("dmfs").ls("/"))


def test_dask_dataframe(place: Place, client: Client):
    frame = dd.read_parquet(place.url("tables/by floor"), columns=["n", "c1", "floor"])
    found = frame.groupby("floor")["c1"].sum().compute()
    expected = data.readings().groupby("floor")["c1"].sum()
    assert [int(each) for each in found.index] == list(expected.index)
    assert abs(found.to_numpy() - expected.to_numpy()).max() < 1e-6
    place.told(
        "Dask", "sums by group, 6 files, 2 worker processes", 12, 18, 12, 26_300_000, shared=True
    )


def test_dask_workers_list_nothing(place: Place, client: Client):
    """A file system object that has listed: what it knows goes along."""
    fs = place.fs()
    names = fs.glob(place.path("tables/by floor/*/part.parquet"))
    before = listings(place)
    files = [fsspec.core.OpenFile(fs, name) for name in names]
    found = client.gather(client.map(size_of, files, pure=False))
    assert [size for _, size in found] == [fs.size(name) for name in names]
    assert os.getpid() not in {pid for pid, _ in found}
    assert listings(place) == before
    place.told(
        "Dask", "`map` over 6 open files, 2 worker processes", 12, 6, 12, 13_200_000, shared=True
    )


def test_ray_data(place: Place, elsewhere: dict[str, str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_DATA_DISABLE_PROGRESS_BARS", "1")
    short = Path(tempfile.mkdtemp(prefix="ray", dir="/tmp"))  # sockets below it have long names
    ray.init(
        num_cpus=2, object_store_memory=100 * 2**20, include_dashboard=False, log_to_driver=False,
        runtime_env={"env_vars": elsewhere}, _temp_dir=str(short), _node_ip_address="127.0.0.1",
    )  # fmt: skip
    try:
        arrow = PyFileSystem(FSSpecHandler(place.fs()))
        found = ray.data.read_parquet(
            place.path("tables/by floor"), filesystem=arrow, columns=["n", "c1"]
        )
        assert found.sum("n") == data.ROWS * (data.ROWS - 1) // 2
        with pytest.raises(PermissionError, match="no client id is configured"):
            ray.get(ray.remote(no_sign_in).remote())
        place.told(
            "Ray Data",
            "sum of a column, 6 files, 2 worker processes",
            12,
            18,
            18,
            39_500_000,
            shared=True,
        )
    finally:
        ray.shutdown()
        shutil.rmtree(short, ignore_errors=True)


def test_no_sign_in_in_the_worker(place: Place, client: Client):
    """One clear line reaches the program, of an ordinary kind."""
    with pytest.raises(PermissionError, match="no client id is configured"):
        client.submit(no_sign_in, pure=False).result()


def test_no_such_profile(place: Place, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("DMFS_CLIENT_SECRET")
    with pytest.raises(PermissionError, match="nobody is signed in with profile 'nobody'"):
        pd.read_csv("dmfs://nobody/Local/Local Project/x.csv")

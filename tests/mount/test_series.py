"""Readers of a series of small files find the next ones prepared, and little is done in vain."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dmfs.prefetch.file_series import FETCH_WINDOW
from tests.support.mounts import wait_until

FOLDER = "Bench/Bench Project/Project Files/small"


@pytest.fixture(scope="module")
def world_spec() -> str:
    return "small:files=300,min=1024,max=40960"


@pytest.fixture
def fresh(emulator, calm, make_drive):
    drive = make_drive(config={"ttl": "10m", "hub_ttl": "10m"})
    drive.tool("ls", "-l", drive.path(FOLDER))
    drive.emulator.reset()
    return drive


def paths(drive):
    done = drive.tool("find", drive.path(FOLDER), "-type", "f")
    return sorted(done.stdout.splitlines())


def settled(drive):
    """The counts once nothing is on its way any more."""
    last: list[object] = []

    def still():
        last.append(drive.counts())
        return len(last) > 10 and last[-1] == last[-10]

    wait_until(still)
    return drive.counts()


def sha256_of_all(drive):
    world = drive.emulator.world()
    project = world["hubs"][0]["projects"][0]
    found = {}

    def walk(folder):
        for item in folder["items"]:
            version = item["versions"][-1]
            found[os.fsencode(version["name"])] = drive.emulator.sha256(version["storage"])[0]
        for child in folder["folders"]:
            walk(child)

    for folder in project["folders"]:
        walk(folder)
    return found


@pytest.mark.parametrize("backwards", [False, True])
def test_every_file_of_a_series_costs_one_signing_and_one_get(fresh, backwards):
    order = sorted(paths(fresh), reverse=backwards)
    done = fresh.tool("sha256sum", *order, timeout_s=100)
    sums = {
        os.fsencode(Path(os.fsdecode(line[66:])).name): line[:64].decode()
        for line in done.stdout.splitlines()
    }
    assert sums == sha256_of_all(fresh)
    counts = settled(fresh)
    assert (counts["sign"], counts["cdn_get"]) == (300, 300)


@pytest.mark.parametrize("order", ["names", "inodes", "sizes"])
def test_what_is_fetched_in_vain_is_at_most_eight_files(fresh, order):
    """And a series is recognised in the order of inode numbers (``tar --sort=inode``), too."""
    keys: dict[str, Callable[[bytes], Any]] = {
        "names": os.fsdecode,
        "inodes": lambda path: Path(os.fsdecode(path)).stat().st_ino,
        "sizes": lambda path: -Path(os.fsdecode(path)).stat().st_size,
    }
    fresh.tool("sha256sum", *sorted(paths(fresh), key=keys[order])[:40])
    counts = settled(fresh)
    assert 40 < counts["cdn_get"] <= 40 + FETCH_WINDOW == 48
    assert counts["sign"] <= 40 + 20, "half of what was read"


def test_reads_in_no_order_fetch_hardly_anything_else(fresh):
    order = paths(fresh)
    random.Random(5).shuffle(order)
    fresh.tool("sha256sum", *order[:40])
    assert settled(fresh)["cdn_get"] <= 40 + FETCH_WINDOW


def test_two_files_here_and_there_prepare_nothing(fresh):
    every = paths(fresh)
    for start in (0, 100, 200):
        fresh.tool("sha256sum", every[start], every[start + 1])
    counts = settled(fresh)
    assert (counts["sign"], counts["cdn_get"]) == (6, 6)

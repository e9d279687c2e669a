"""Kernel parameters are raised where root may, and reported."""

from __future__ import annotations

import os

import pytest

from dmfs.fuse.kernel_params import READ_AHEAD_KB, parameter_paths, raise_parameters


@pytest.fixture(scope="module")
def world_spec() -> str:
    return "small:files=3"


def test_readahead_is_raised_by_the_mount(drive):
    path = parameter_paths(str(drive.point))["read_ahead_kb"]
    if not os.access(path, os.W_OK):
        pytest.skip(f"{path} is not ours to write")
    assert int(path.read_text()) == READ_AHEAD_KB
    assert raise_parameters(str(drive.point))["read_ahead_kb"] == READ_AHEAD_KB


def test_parameters_that_cannot_be_raised_harm_nothing(tmp_path):
    assert "max_background" not in raise_parameters(str(tmp_path))
    assert raise_parameters(str(tmp_path / "absent")) == {}

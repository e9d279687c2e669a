"""What an error of the drive is to a program, and to one on another machine."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import fsspec
import pytest

from dmfs.spec.filesystem import DmfsFileSystem

pytestmark = pytest.mark.process  # a thread of its own


def test_an_error_travels_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Engines pickle an error with its context, which was as deep as the loop's stack: what arrived
    was not a PermissionError any more."""
    for key in ("DMFS_CLIENT_ID", "DMFS_CLIENT_SECRET", "DMFS_CONFIG"):
        monkeypatch.delenv(key, raising=False)
    for key in ("HOME", "DMFS_CACHE_DIR", "DMFS_STATE_DIR"):
        monkeypatch.setenv(key, str(tmp_path / key))
    fs = DmfsFileSystem(skip_instance_cache=True)
    with pytest.raises(PermissionError) as caught:
        fs.ls("/")
    error = caught.value
    fs.close()
    assert "no client id is configured" in str(error)
    assert (error.__context__, error.__cause__) == (None, None)
    assert pickle.loads(pickle.dumps(error)).args == error.args


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"client_secret": "hush"}, "client_secret would show in every task"),
        ({"settings": {"client_secret": "hush"}}, "client_secret would show in every task"),
        ({"memory_budget": "64M"}, "memory_budget is no option by itself .give it as settings="),
        ({"settings": {"memory_bugdet": "64M"}}, "unknown key 'memory_bugdet' .*memory_budget"),
        ({"settings": {"memory_budget": "a lot"}}, "memory_budget"),
    ],
)
def test_options_that_are_none(options: dict[str, Any], words: str):
    """Neither without effect nor with a secret in them."""
    with pytest.raises(OSError, match=words) as caught:
        fsspec.filesystem("dmfs", skip_instance_cache=True, **options)
    assert "hush" not in str(caught.value)
    assert "\n" not in str(caught.value)

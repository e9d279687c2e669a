"""What the tests of several commands look at, and how uploads are stopped."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from dmfs.emulator.process import EmulatorProcess
from tests.support.mounts import Home, wait_until


def report(home: Home, *words: str) -> dict[str, dict[str, Any]]:
    """The rows by the names of their files."""
    done = home.run("uploads", "--json", *words)
    rows = json.loads(done.stdout)["uploads"]
    bad = any(row["state"] in ("failed", "conflict") for row in rows)
    assert done.returncode == bad, done.stderr
    return {row["path"].rpartition("/")[2]: row for row in rows}


def nothing_waits(home: Home) -> None:
    wait_until(lambda: not report(home))


def refuse(calm: EmulatorProcess) -> None:
    calm.fault("status", route="storage", status=403, code="FORBIDDEN", times=None)


def hold(calm: EmulatorProcess) -> None:
    calm.fault("reset_before_effect", route="upload_urls", times=None)


def state_of(path: Path) -> str:
    return os.getxattr(path, "user.dmfs.state").decode()

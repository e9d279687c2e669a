"""Drives that write, what is saved on them, and when it is a version."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench import drives
from tests.bench.context import Bench
from tests.bench.measure import MIB
from tests.bench.processes import CommandFailed, run
from tests.bench.service import Link, Service

WORLD = "big:size=1000000,count=1"
WRITES = {
    "scopes": "data:read data:create data:write",
    "any_spool_disk": "true",
    "version_interval": "0",
}
AT_ONCE = {"upload_delay": "100ms"}
NEVER = {"upload_delay": "1h"}
TIMEOUT_S = 600.0
_LOOK_S = 0.02
"""Each look costs the drive 0.3 ms that it wants for the bytes."""


@contextmanager
def saving(
    bench: Bench, link: Link, settings: dict[str, str], world: str = WORLD,
    *, rate_limits: str = "off",
) -> Iterator[tuple[drives.Drive, Service]]:  # fmt: skip
    """A drive that writes, its service's link as slow for PUTs as for GETs."""
    with bench.service(world, link, rate_limits=rate_limits, shelf=False) as service:
        if link.mb_per_s:
            service.emulator.settings(cdn_put_bytes_per_s=link.mb_per_s * 1e6)
        chosen = WRITES | settings
        with drives.dmfs(bench.places, service, chosen, options=["rw"]) as drive:
            drive.list("")
            yield drive, service


def source(bench: Bench, size: int) -> Path:
    """A file of bytes that no compression and no hole makes quick."""
    path = bench.places.fresh("source") / "bytes"
    with path.open("wb") as file:
        for _ in range(size // MIB):
            file.write(os.urandom(MIB))
    return path


def state_of(path: Path) -> str:
    """Of what was saved there last: ``waiting``, ``uploading``, ``clean`` …"""
    return os.getxattr(path, "user.dmfs.state").decode()


def until_clean(paths: Iterable[Path], timeout_s: float = TIMEOUT_S) -> None:
    """Until each of them is the service's: its version was made, checked and adopted. The drive is
    asked and not the emulator, whose list of versions takes a digest of all their bytes."""
    give_up = time.monotonic() + timeout_s
    for path in paths:
        while state_of(path) != "clean":
            if time.monotonic() > give_up:
                raise CommandFailed(f"{path.name} did not arrive in {timeout_s:.0f} s")
            time.sleep(_LOOK_S)


def check(service: Service, given: Path, count: int) -> None:
    """So many items, and the bytes of ``given`` in each. CommandFailed."""
    sha256 = run(["sha256sum", str(given)], TIMEOUT_S).stdout.split()[0].decode()
    items = service.emulator.writes()["items"]
    wrong = [each["name"] for each in items if each["versions"][-1]["sha256"] != sha256]
    if wrong or len(items) != count:
        raise CommandFailed(f"WRONG BYTES: {wrong}, {len(items)} items for {count}")

"""What the fixtures of several directories are made of: an emulator, its calm, and drives that are
closed afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dmfs.config import Settings
from dmfs.emulator.process import EmulatorProcess
from tests.support.mounts import Drive, start_emulator, stop_emulator

SETTINGS = {
    "api_latency_ms": 0, "route_latency_ms": {}, "cdn_latency_ms": 0, "cdn_bytes_per_s": 0,
    "rate_limits": "off", "rate_window_s": 60, "token_ttl_s": 3599, "url_ttl_cap_s": None,
    "signing": None, "url_form": None, "page_limit": None,
    "cdn_put_bytes_per_s": 0, "line_bytes_per_s": 0, "upload_ttl_s": 93600,
    "failed_completion_status": 400,
    "lock_status": 403, "patch_name_taken_status": 400, "folder_files_max": 10000,
    "refused_characters": '<>:"/\\|?*', "processing_s": 0, "refuse_empty": False,
    "etag_form": "md5", "accelerate_base": None, "list_lag_s": 0, "search_lag_s": 0,
    "sha1_lag_s": 0,
    "busy_s": 0, "upload_level_versions": "any", "storage_moves": False, "lost_look_s": 10,
    "local_names": None, "list_refs_rows": "other", "publish_null": "waiting",
}  # fmt: skip
"""Those that an emulator starts with."""


@contextmanager
def running_emulator(**options: Any) -> Iterator[EmulatorProcess]:
    """An emulator that must end without a traceback."""
    started = start_emulator(**options)
    yield started
    words = stop_emulator(started)
    assert "Traceback" not in words, words


@contextmanager
def calmed(emulator: EmulatorProcess) -> Iterator[EmulatorProcess]:
    """Without faults and with its first settings, before and after; counting from 0."""
    emulator.clear_faults()
    emulator.clear_races()
    emulator.settings(**SETTINGS)
    emulator.clear_exports()
    emulator.reset()
    yield emulator
    emulator.clear_faults()
    emulator.clear_races()
    emulator.settings(**SETTINGS)


def drive_settings(emulator: EmulatorProcess, directory: Path, **more: Any) -> Settings:
    """Of a drive without a mount, with its files below a directory, and ``more``."""
    chosen: dict[str, Any] = {
        "api_url": emulator.api_url,
        "client_id": emulator.client_id,
        "client_secret": emulator.client_secret,
        "cache_dir": directory / "cache",
        "state_dir": directory / "state",
        "poll": 0.0,
        "rates": "off",
    }
    return Settings(**(chosen | more))


@contextmanager
def drives(
    directory: Path, emulator: EmulatorProcess, **defaults: Any
) -> Iterator[Callable[..., Drive]]:
    """Mounts of one test: ``make(name="again", config={…})``; ``of`` is another emulator."""
    made: list[Drive] = []

    def make(name: str = "own", of: EmulatorProcess | None = None, **options: Any) -> Drive:
        drive = Drive(directory / name, of or emulator, **{**defaults, **options})
        made.append(drive)
        return drive.start()

    yield make
    for drive in made:
        drive.close()

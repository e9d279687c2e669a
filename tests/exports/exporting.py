"""What the tests of exports share: a person, drives without a mount, and the job."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dmfs.auth.tokens import SignIn
from dmfs.config import Settings
from dmfs.drive import Drive
from dmfs.emulator.process import EmulatorProcess
from dmfs.errors import DriveError
from dmfs.jobs.export.job import export
from dmfs.model import Directory, File, Shortcut
from dmfs.spans import MIB
from tests.auth.person import write as write_sign_in

SCOPES = "data:read data:create data:write"
ADA = "ADAEMU000001"
PROJECT = "/Bench Fusion/Bench Designs"


def sign_in(emulator: EmulatorProcess, state_dir: Path, scopes: str = SCOPES) -> None:
    given = emulator.sign_in(scope=scopes, user=ADA)
    now_s = time.time()
    write_sign_in(state_dir, SignIn(
        api_url=emulator.api_url, client_id="emulator-desktop", scopes=scopes,
        access_token=given["access_token"], access_expires_s=now_s + 3000,
        refresh_token=given["refresh_token"], refresh_expires_s=now_s + 15 * 86400,
        signed_in_s=now_s, refreshed_s=now_s, user_id=ADA, user_name="Ada Example",
    ))  # fmt: skip


def settings_for(
    emulator: EmulatorProcess, directory: Path, *, scopes: str = SCOPES, **more: Any
) -> Settings:
    """Of a person's drive; a minute of the published rates takes 0.6 s, so that a job is first
    looked at after 20 ms."""
    sign_in(emulator, directory / "state", scopes)
    values: dict[str, Any] = {
        "api_url": emulator.api_url, "client_id": "emulator-desktop", "scopes": scopes,
        "cache_dir": directory / "cache", "state_dir": directory / "state",
        "poll": 0.0, "rates": "off", "rate_window": 0.6, "ttl": 3600.0, "hub_ttl": 3600.0,
    }  # fmt: skip
    return Settings(**(values | more))


async def exported(
    drive: Drive, *paths: str, **more: Any
) -> tuple[list[dict[str, Any]], DriveError | None]:
    """All that the job tells, and its error."""
    events: list[dict[str, Any]] = []

    async def tell(event: Mapping[str, Any]) -> None:
        events.append(dict(event))

    try:
        await export(drive, {"paths": list(paths), **more}, tell)
    except DriveError as error:
        return events, error
    return events, None


def of_kind(events: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [each for each in events if each["event"] == kind]


async def content(drive: Drive, file: File) -> bytes:
    reader = await drive.open(file)
    try:
        pieces, offset = [], 0
        while offset < reader.size_bytes:
            data, _ = await reader.read(offset, MIB)
            pieces.append(bytes(data))
            offset += len(data)
        return b"".join(pieces)
    finally:
        reader.close()


def posts(emulator: EmulatorProcess) -> dict[str, int]:
    """How often each version and format was ordered, by the emulator's own count."""
    rows = emulator.exports()["posts"]
    return {f"{each['version']} {each['format']}": each["count"] for each in rows}


async def shortcut(drive: Drive, path: str) -> Shortcut:
    node = await drive.resolve(path)
    assert isinstance(node, Shortcut)
    return node


async def directory_at(drive: Drive, path: str) -> Directory:
    """The directory at a path of the drive."""
    node = await drive.resolve(path)
    assert not isinstance(node, File | Shortcut)
    return node

"""Mounts: dmfs on the emulator, rclone on an HTTP directory. Each with a cache of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from dmfs.emulator.settings import S3Place
from dmfs.system.mountinfo import mount_at
from tests.bench.places import Places
from tests.bench.processes import Child, CommandFailed, run
from tests.bench.python import environment, environment_of_dmfs, python
from tests.bench.service import SOURCE, Service

_MOUNT_TIMEOUT_S = 30.0
_LIST_TIMEOUT_S = 120.0


_AS_THE_SERVICE = {"rates": "off"}
"""The emulated service has no limits unless a row says so; a drive that keeps to the published
ones would measure them."""


class Drive:
    """A mounted drive. ``path`` is where its Project Files are."""

    def __init__(self, path: Path, child: Child, env: Mapping[str, str]) -> None:
        self.path = path
        self.child = child
        self._env = env

    @property
    def pid(self) -> int:
        return self.child.pid

    def file(self, name: str) -> str:
        return str(self.path / name)

    def list(self, folder: str) -> None:
        """Make it know a folder, so that a row measures reading alone."""
        run(["ls", "-l", "--", self.file(folder)], _LIST_TIMEOUT_S)

    def told(self, *words: str) -> str:
        """What a command of dmfs prints about this drive."""
        done = run([*python("dmfs"), *words], _LIST_TIMEOUT_S, self._env)
        return done.stdout.decode()


@contextmanager
def dmfs(
    places: Places, service: Service, settings: Mapping[str, str] | None = None,
    *, ca_file: Path | None = None, options: Sequence[str] = (),
) -> Iterator[Drive]:  # fmt: skip
    """dmfs in the foreground, defaults unless ``settings`` says otherwise, cold cache.
    ``options``: of ``-o``."""
    own = places.fresh("dmfs")
    mountpoint = own / "drive"
    mountpoint.mkdir()
    (own / "config.toml").touch()
    env = environment_of_dmfs(
        DMFS_API_URL=service.emulator.api_url,
        DMFS_CLIENT_ID=service.emulator.client_id,
        DMFS_CLIENT_SECRET=service.emulator.client_secret,
        DMFS_CONFIG=str(own / "config.toml"),
        DMFS_CACHE_DIR=str(own / "cache"),
        DMFS_STATE_DIR=str(own / "state"),
    )
    if ca_file is not None:
        env["SSL_CERT_FILE"] = str(ca_file)
    chosen = _AS_THE_SERVICE | dict(settings or {})
    words = [f"--set={key}={value}" for key, value in chosen.items()]
    words += [word for each in options for word in ("-o", each)]
    arguments = [
        *python("dmfs"), "mount", "-f", SOURCE, str(mountpoint), "--log-level=warning", *words,
    ]  # fmt: skip
    with _mounted(arguments, mountpoint, own, env) as drive:
        yield drive


@contextmanager
def rclone(
    places: Places, program: str, url: str, flags: Sequence[str], *, ca_file: Path | None = None
) -> Iterator[Drive]:
    """``rclone mount`` of an HTTP directory, read-only, its listings kept for the whole row."""
    own = places.fresh("rclone")
    mountpoint = own / "drive"
    mountpoint.mkdir()
    (own / "rclone.conf").touch()
    trust = [] if ca_file is None else [f"--ca-cert={ca_file}"]
    arguments = [
        program, "mount", ":http:", str(mountpoint), f"--http-url={url}/", "--read-only",
        f"--config={own / 'rclone.conf'}", f"--cache-dir={own / 'cache'}",
        "--dir-cache-time=1h", "--log-level=ERROR", *trust, *flags,
    ]  # fmt: skip
    with _mounted(arguments, mountpoint, own, environment()) as drive:
        yield drive


@contextmanager
def rclone_s3(
    places: Places, program: str, place: S3Place, flags: Sequence[str]
) -> Iterator[Drive]:
    """``rclone mount`` of a bucket, for writing."""
    own = places.fresh("rclone")
    mountpoint = own / "drive"
    mountpoint.mkdir()
    config = own / "rclone.conf"
    config.write_text(
        "[s3]\ntype = s3\nprovider = SeaweedFS\nno_check_bucket = true\n"
        f"endpoint = {place.endpoint}\nregion = {place.region}\n"
        f"access_key_id = {place.access_key}\nsecret_access_key = {place.secret_key}\n"
    )
    arguments = [
        program, "mount", f"s3:{place.bucket}", str(mountpoint), f"--config={config}",
        f"--cache-dir={own / 'cache'}", "--log-level=ERROR", *flags,
    ]  # fmt: skip
    with _mounted(arguments, mountpoint, own, environment()) as drive:
        yield drive


@contextmanager
def _mounted(
    arguments: Sequence[str], mountpoint: Path, own: Path, env: Mapping[str, str]
) -> Iterator[Drive]:
    child = Child(arguments, own / "log", env)
    try:
        _wait_until_mounted(child, mountpoint)
        yield Drive(mountpoint, child, env)
    finally:
        child.stop()
        if is_mounted(mountpoint):
            subprocess.run(
                ["fusermount3", "-uz", "--", str(mountpoint)],
                check=False, capture_output=True, timeout=10,
            )  # fmt: skip
        shutil.rmtree(own, ignore_errors=True)


def is_mounted(mountpoint: Path) -> bool:
    """From the kernel's table: a stat of a dead mount could hang."""
    return mount_at(os.fspath(mountpoint)) is not None


def _wait_until_mounted(child: Child, mountpoint: Path) -> None:
    give_up = time.monotonic() + _MOUNT_TIMEOUT_S
    while not is_mounted(mountpoint):
        if not child.running or time.monotonic() > give_up:
            raise CommandFailed(f"not mounted: {child.last_words()}")
        time.sleep(0.01)
    run(["stat", "--", str(mountpoint)], _MOUNT_TIMEOUT_S)

"""``dmfs demo``: emulator + mount + a short guided tour.

Everything runs as the real commands in processes of their own, so the tour shows what a user
would get. ``--check`` runs the tour's commands and compares their output with the emulator's own
description of its world.
"""

from __future__ import annotations

import contextlib
import ctypes
import shlex
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from dmfs.emulator.process import EmulatorError, EmulatorProcess
from dmfs.errors import SetupError
from dmfs.fuse.mountpoint import check_machine, mounts, parse_options, prepare_mountpoint

_START_TIMEOUT_S = 30.0
_STOP_TIMEOUT_S = 10.0
_COMMAND_TIMEOUT_S = 120.0
_PROJECT = "Sample Project"
_FILES = f"Emulated Builders ／ Headquarters/{_PROJECT}/Project Files"
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class Stop:
    """One stop of the tour: a shell command, what it shows, and the check of its output."""

    command: str
    about: str
    is_right: Callable[[str], bool]


def demo(mountpoint: str | None, *, check: bool, environ: Mapping[str, str]) -> int:
    """Run the demo until Ctrl-C, or the check. Leaves no mount, process or file behind."""
    console = Console(soft_wrap=True, highlight=False)
    check_machine(parse_options(""))
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    console.print("Starting an emulator of the service and mounting its drive ...")
    with _emulator() as emulator, _mounted(emulator, mountpoint, environ) as path:
        stops = tour(path, emulator)
        if check:
            return _check(stops, console, stop)
        _introduce(path, stops, console)
        while not stop.wait(1.0):
            if path not in mounts():
                console.print("The drive was unmounted; ending the demo.")
                break
    console.print("Unmounted and cleaned up.")
    return 0


def _introduce(path: str, stops: list[Stop], console: Console) -> None:
    console.print(Text.assemble("A drive is mounted at ", (path, "bold green")))
    console.print("Its service is an emulator on this machine. Try, in another terminal:\n")
    for number, stop in enumerate(stops, 1):
        command = (f"  {number}. {stop.command}", "bold")
        console.print(Text.assemble(command, f"\n     {stop.about}\n"))
    console.print("Ctrl-C ends the demo and leaves nothing behind.")


def _check(stops: list[Stop], console: Console, stop: threading.Event) -> int:
    """Run every stop; 0 if each printed what the emulator's world says."""
    failed = 0
    for number, step in enumerate(stops, 1):
        if stop.is_set():
            return 130
        started = time.monotonic()
        done = subprocess.run(
            ["bash", "-c", step.command],
            capture_output=True,
            timeout=_COMMAND_TIMEOUT_S,
            check=False,
        )
        output = done.stdout.decode("utf-8", "surrogateescape")
        is_right = done.returncode == 0 and step.is_right(output)
        failed += not is_right
        elapsed_s = time.monotonic() - started
        mark = Text(" ok  ", "green") if is_right else Text("WRONG", "bold red")
        console.print(Text.assemble(mark, f" {number}. {step.about} ({elapsed_s:.2f} s)"))
        if not is_right:
            errors = done.stderr.decode(errors="replace")
            console.print(Text(f"      {step.command}\n{output}{errors}"))
    return 1 if failed else 0


def tour(path: str, emulator: EmulatorProcess) -> list[Stop]:
    """Five commands worth trying, each with the check of its output."""
    files = f"{path}/{_FILES}"
    world = _World(emulator)
    # a package needs a Python of its version, and that may have no other name
    python = "python3" if shutil.which("python3") else shlex.quote(sys.executable)
    drawing, archive = "Drawings/Room 1.dxf", "Large Files/Site scan.zip"
    return [
        Stop(
            f"ls {shlex.quote(path)}",
            "the hubs: accounts, teams, a personal one",
            lambda out: len(out.splitlines()) == world.hubs,
        ),
        Stop(
            f"find {shlex.quote(files)} -type f -printf '%s %P\\n'",
            "every file of a project; costs a call per folder, none per file",
            lambda out: set(out.splitlines()) == {f"{n} {name}" for name, n in world.sizes.items()},
        ),
        Stop(
            f"grep -rl IFCWALL {shlex.quote(f'{files}/Models')}",
            "search inside models",
            lambda out: out.split("\n")[:-1] == [f"{files}/{name}" for name in world.walls()],
        ),
        Stop(
            f"sha256sum {shlex.quote(f'{files}/{drawing}')}",
            "read a drawing, byte for byte",
            lambda out: out.split()[:1] == [world.sha256(drawing)],
        ),
        Stop(
            f"{python} -I -m zipfile -l {shlex.quote(f'{files}/{archive}')} | tail -n +2 | wc -l",
            "look into a 1 GiB archive without downloading it",
            lambda out: out.strip() == str(world.zip_members(archive)),
        ),
    ]


class _World:
    """The sample project as the emulator describes it."""

    def __init__(self, emulator: EmulatorProcess) -> None:
        self._emulator = emulator
        hubs = emulator.world()["hubs"]
        self.hubs = len(hubs)
        project = next(p for hub in hubs for p in hub["projects"] if p["name"] == _PROJECT)
        top = next(self._folders(project["folders"], "Project Files"))
        self._versions = dict(self._walk(top, ""))
        self.sizes = {name: version["size"] for name, version in self._versions.items()}

    def _folders(self, folders: list[dict[str, Any]], name: str) -> Iterator[dict[str, Any]]:
        for folder in folders:
            if folder["name"] == name:
                yield folder
            yield from self._folders(folder["folders"], name)

    def _walk(self, folder: dict[str, Any], prefix: str) -> Iterator[tuple[str, dict[str, Any]]]:
        for item in folder["items"]:
            version = item["versions"][-1]
            yield prefix + version["name"], version
        for child in folder["folders"]:
            yield from self._walk(child, f"{prefix}{child['name']}/")

    def _bytes(self, name: str, offset: int = 0) -> bytes:
        return self._emulator.bytes(self._versions[name]["storage"], offset)

    def walls(self) -> list[str]:
        """The models that contain the word IFCWALL."""
        models = [name for name in self.sizes if name.startswith("Models/")]
        return [name for name in models if b"IFCWALL" in self._bytes(name)]

    def sha256(self, name: str) -> str:
        return self._emulator.sha256(self._versions[name]["storage"])[0]

    def zip_members(self, name: str) -> int:
        """From the end-of-central-directory record, the last 22 bytes of an archive."""
        tail = self._bytes(name, self.sizes[name] - 22)
        return int(struct.unpack("<4sHHHHIIH", tail)[4])


@contextlib.contextmanager
def _emulator() -> Iterator[EmulatorProcess]:
    emulator = EmulatorProcess()
    try:
        emulator.start()
    except EmulatorError as error:
        raise SetupError(str(error)) from None
    try:
        yield emulator
    finally:
        emulator.stop()


@contextlib.contextmanager
def _mounted(
    emulator: EmulatorProcess, mountpoint: str | None, environ: Mapping[str, str]
) -> Iterator[str]:
    """A mount of the emulator's world in a foreground process of its own."""
    own = Path(tempfile.mkdtemp(prefix="dmfs-demo-"))
    default = own / "drive"
    default.mkdir()
    path = prepare_mountpoint(mountpoint or str(default))
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", "dmfs", "mount", "-f", "/", path, "--log-level", "warning"],
        env=_environment(emulator, own, environ),
        start_new_session=True,  # Ctrl-C is ours to pass on, in the right order
        preexec_fn=_die_with_parent,  # noqa: PLW1509 - no other thread runs yet
    )
    try:
        _wait_until_mounted(child, path)
        yield path
    finally:
        child.terminate()
        try:
            child.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
            subprocess.run(["fusermount3", "-uz", "--", path], check=False)
        shutil.rmtree(own, ignore_errors=True)


def _die_with_parent() -> None:
    """In the child: end with the demo, however that ends (even by SIGKILL)."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _environment(
    emulator: EmulatorProcess, own: Path, environ: Mapping[str, str]
) -> dict[str, str]:
    inherited = {key: value for key, value in environ.items() if not key.startswith("DMFS_")}
    (own / "config.toml").touch()
    return inherited | {
        "DMFS_API_URL": emulator.api_url,
        "DMFS_CLIENT_ID": emulator.client_id,
        "DMFS_CLIENT_SECRET": emulator.client_secret,
        "DMFS_CONFIG": str(own / "config.toml"),
        "DMFS_CACHE_DIR": str(own / "cache"),
        "DMFS_STATE_DIR": str(own / "state"),
    }


def _wait_until_mounted(child: subprocess.Popen[bytes], path: str) -> None:
    give_up = time.monotonic() + _START_TIMEOUT_S
    while path not in mounts():
        if child.poll() is not None:
            raise SetupError("the drive could not be mounted; the reason is above")
        if time.monotonic() > give_up:
            raise SetupError(f"the drive was not mounted within {_START_TIMEOUT_S:.0f} s")
        time.sleep(0.02)
    Path(path).stat()

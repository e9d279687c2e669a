"""A Redis or Valkey server of a test's own, on a socket in its directory or a loopback port."""

from __future__ import annotations

import shutil
import socket
import subprocess
from pathlib import Path

from tests.support.mounts import wait_until

SERVER = shutil.which("valkey-server") or shutil.which("redis-server") or ""


class Server:
    """Started and killed by hand; without a memory on disk."""

    def __init__(self, directory: Path, *options: str) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.socket = directory / "s"
        self.url = f"unix://{self.socket}"
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Server:
        assert self._process is None
        self._process = subprocess.Popen(
            [SERVER, "--port", "0", "--unixsocket", str(self.socket), "--save", "",
             "--appendonly", "no", *self._options],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        wait_until(self._answers, 10, "the server answers")
        return self

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(self.socket)) == 0

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

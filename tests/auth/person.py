"""A person with a terminal and a browser, for the tests of signing in."""

from __future__ import annotations

import http.client
import json
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from dmfs.auth.token_file import TokenFile
from dmfs.auth.tokens import SignIn, StoredSignIn, encode
from dmfs.emulator.process import EmulatorProcess
from tests.support.mounts import Home, dmfs_command

SECRETS: set[str] = set()
"""Every token, code and key that the tests have seen; what may be found nowhere else."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Person:
    """A home, an app, a callback that is registered, and the commands."""

    def __init__(
        self, directory: Path, emulator: EmulatorProcess, config: Mapping[str, object] | None = None
    ) -> None:
        self.emulator = emulator
        self.home = Home(directory, emulator, config or {})
        self.home.environ |= {"DMFS_CLIENT_ID": "emulator-desktop", "BROWSER": "true"}
        del self.home.environ["DMFS_CLIENT_SECRET"]
        self.home.config.chmod(0o600)
        self.port = free_port()
        self.callback = f"http://localhost:{self.port}/callback"
        for app in ("emulator-desktop", "emulator-web"):
            emulator.control("POST", "app", {"client_id": app, "callbacks": [self.callback]})

    def be_confidential(self) -> None:
        self.home.environ |= {
            "DMFS_CLIENT_ID": "emulator-web", "DMFS_CLIENT_SECRET": "web-secret"
        }  # fmt: skip

    def dmfs(self, *words: str, **more: Any) -> tuple[int, str, str]:
        """Status, stdout, stderr; never a traceback."""
        done = self.home.run(*words, **more)
        out, err = done.stdout.decode(), done.stderr.decode()
        assert "Traceback" not in out + err, out + err
        return done.returncode, out, err

    def fails(self, *words: str, **more: Any) -> str:
        """The one line with which it failed."""
        status, out, err = self.dmfs(*words, **more)
        assert status == 1, (out, err)
        lines = [line for line in err.splitlines() if line.startswith("dmfs: ")]
        assert len(lines) == 1, err
        return lines[0]

    def begin(self, *words: str) -> Login:
        return Login(self, *words)

    def login(self, *words: str, user: str = "ADAEMU000001") -> str:
        """A whole sign-in; what the command said."""
        with self.begin(*words) as login:
            status, _ = visit(login.consent(user=user))
            assert status == 200
            assert login.wait() == 0, login.said
            return login.said

    def hand(self, *, scopes: str = "data:read", ages_s: float = 0.0, profile: str = "default",
             expired: bool = False, user: str = "ADAEMU000001",
             **changes: Any) -> SignIn:  # fmt: skip
        """A sign-in written as the product would have, without the walk through the browser."""
        given = self.emulator.sign_in(scope=scopes, user=user)
        SECRETS.update((given["access_token"], given["refresh_token"]))
        now_s = time.time() - ages_s
        values: dict[str, Any] = {
            "api_url": self.emulator.api_url, "client_id": "emulator-desktop", "scopes": scopes,
            "access_token": given["access_token"],
            "access_expires_s": 0.0 if expired else now_s + 3000,
            "refresh_token": given["refresh_token"], "refresh_expires_s": now_s + 15 * 86400,
            "signed_in_s": now_s, "refreshed_s": now_s, "user_id": user,
        }  # fmt: skip
        sign_in = SignIn(**(values | changes))
        write(self.home.state, sign_in, profile)
        return sign_in

    @property
    def file(self) -> Path:
        return self.home.state / "tokens" / "default.json"

    def stored(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.file.read_text())
        SECRETS.update(filter(None, (found.get("access_token"), found.get("refresh_token"))))
        return found

    def status(self, refresh_token: str) -> dict[str, Any]:
        found: dict[str, Any] = self.emulator.control(
            "POST", "refresh_token", {"token": refresh_token}
        )
        return found

    def sessions(self) -> dict[str, int]:
        counts: dict[str, int] = self.emulator.control("GET", "sessions")["counts"]
        return counts


def write(state: Path, sign_in: SignIn, profile: str = "default") -> None:
    file = TokenFile(state, profile)
    file.commit(file.prepare(), encode(StoredSignIn(sign_in, "file"), with_secrets=True))


class Login:
    """``dmfs login`` that has printed its URL."""

    def __init__(self, person: Person, *words: str) -> None:
        self.person = person
        callback = [] if "--callback" in words else ["--callback", person.callback]
        self.process = subprocess.Popen(
            [*dmfs_command(), "login", *callback, *words], env=person.home.environment(),
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.said = ""
        self.url = ""
        self.cmdlines = ""
        assert self.process.stderr is not None
        while not self.url:
            line = self.process.stderr.readline()
            self.said += line
            found = re.search(r"(https?://\S+/authorize\?\S+)", line)
            if found:
                self.url = found[1]
            if not line:
                break
        assert self.process.stderr is not None
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.said += line

    def __enter__(self) -> Login:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join(5)
        for pipe in (self.process.stdin, self.process.stderr):
            if pipe is not None:
                pipe.close()

    def consent(self, **how: Any) -> str:
        """Where the browser is sent to."""
        back = self.person.emulator.consent(self.url, **how)
        found = re.search(r"code=([^&]+)", back)
        if found:
            SECRETS.add(found[1])
        return back

    def paste(self, text: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def wait(self, timeout_s: float = 20.0) -> int:
        status = self.process.wait(timeout_s)
        self._reader.join(5)
        assert "Traceback" not in self.said
        return status

    def failed(self) -> str:
        assert self.wait() == 1, self.said
        lines = [line for line in self.said.splitlines() if line.startswith("dmfs: ")]
        assert len(lines) == 1, self.said
        return lines[0]


class Killer:
    """Refreshes in forked children; see ``killer.py``."""

    def __init__(self, person: Person, files: str = "none") -> None:
        self._child = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("killer.py")),
             person.emulator.api_url, str(person.home.state), files],
            env=person.home.environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def run(self, step: int) -> dict[str, Any]:
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.write(f"{step}\n")
        self._child.stdin.flush()
        found: dict[str, Any] = json.loads(self._child.stdout.readline())
        return found

    def close(self) -> None:
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.close()
        self._child.wait(10)
        self._child.stdout.close()


def visit(url: str) -> tuple[int, str]:
    """GET by a browser that follows nothing."""
    at = urlsplit(url)
    connection = http.client.HTTPConnection("127.0.0.1", at.port or 80, timeout=10)
    try:
        connection.request("GET", f"{at.path}?{at.query}" if at.query else at.path)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def secrets_of(emulator: EmulatorProcess) -> set[str]:
    """Every token, code and app secret that there ever was."""
    return {*emulator.control("GET", "secrets")["secrets"], *SECRETS} - {"emulator-secret"}


KEEPERS = ("tokens", "ring.json", "key.json", "key.pem", "elsewhere.json", "browser")
"""Where secrets belong: sign-in files, the fake keyring, private keys; and a browser's history,
which holds the address that it was sent to, with a code that is spent."""


def found_in(directory: Path, secrets: set[str], since_s: float = 0.0) -> list[str]:
    """Files below that hold one, in whatever form of file; written since then, if it is given."""
    wanted = re.compile(b"|".join(re.escape(secret.encode()) for secret in sorted(secrets)))
    found = []
    for path in directory.rglob("*"):
        if path.is_symlink() or not path.is_file() or set(path.parts) & set(KEEPERS):
            continue
        if path.stat().st_mtime < since_s:
            continue
        if wanted.search(path.read_bytes()):
            found.append(str(path))
    return found

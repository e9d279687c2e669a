"""Keyrings for tests, chosen by PYTHON_KEYRING_BACKEND: one that works, and some that do not."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked


class Good(KeyringBackend):
    """Keeps everything in the file FAKERING."""

    priority = 5

    @property
    def _file(self) -> Path:
        return Path(os.environ["FAKERING"])

    def _all(self) -> dict[str, str]:
        return json.loads(self._file.read_text()) if self._file.exists() else {}

    def _write(self, values: dict[str, str]) -> None:
        new = self._file.with_suffix(f".{os.getpid()}")
        new.write_text(json.dumps(values))
        new.replace(self._file)

    def get_password(self, service: str, username: str) -> str | None:
        return self._all().get(f"{service}/{username}")

    def set_password(self, service: str, username: str, password: str) -> None:
        self._write(self._all() | {f"{service}/{username}": password})

    def delete_password(self, service: str, username: str) -> None:
        values = self._all()
        del values[f"{service}/{username}"]
        self._write(values)


class Locked(Good):
    """Is there, and refuses; the person did not unlock it."""

    def get_password(self, service: str, username: str) -> str | None:
        raise KeyringLocked("the collection is locked")

    def set_password(self, service: str, username: str, password: str) -> None:
        raise KeyringLocked(f"cannot keep {password}")  # it says more than it should

    def delete_password(self, service: str, username: str) -> None:
        raise KeyringLocked("the collection is locked")


class Silent(Good):
    """Waits for a person who is not there."""

    def get_password(self, service: str, username: str) -> str | None:
        time.sleep(30)
        return None

    set_password = delete_password = get_password  # type: ignore[assignment]

"""Copies the desktop's files below a share directory, takes them away again, and says how they
stand. Blocking."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from dmfs.desktop.plan import RECORD, Plan, State, digest, install_plan, remove_plan, state_of
from dmfs.desktop.share_files import share_files
from dmfs.errors import SetupError

TOOL_S = 60.0
"""update-mime-database takes 0.5 s for all types of a Debian."""
RECORD_MAX_BYTES = 1 << 20
FOUND_MAX_BYTES = 1 << 20
"""None of ours is larger: what is, is not read."""


class Place:
    """One share directory. ``documents``: name → text of what is made for it, man pages and
    completions."""

    def __init__(
        self,
        directory: Path,
        which: Callable[[str], str | None],
        documents: Mapping[str, str] | None = None,
    ) -> None:
        self.directory = directory
        self._which = which
        self._made = frozenset(documents or {})
        try:
            self.files = {
                each.name: (each.source.read_bytes(), each.mode) for each in share_files()
            }
        except OSError as error:
            raise SetupError(
                f"a file of dmfs itself cannot be read: {error}", hint="install dmfs again"
            ) from None
        for name, text in (documents or {}).items():
            self.files[name] = (text.encode(), 0o644)

    def install(self) -> dict[str, Any]:
        """Write what is missing or older. ``written``, ``removed``, ``foreign``: names."""
        plan = install_plan(self._wanted(), self._found(), self._record())
        return self._carry_out(plan)

    def remove(self) -> dict[str, Any]:
        """Take away what is ours. The same answer."""
        plan = remove_plan(self._wanted(), self._found(), self._record())
        return self._carry_out(plan)

    def states(self) -> dict[str, str]:
        """How each file stands: a word of ``plan.State``."""
        wanted, found, record = self._wanted(), self._found(), self._record()
        return {
            name: state_of(ours, found.get(name), record.get(name)).value
            for name, ours in wanted.items()
        }

    def is_complete(self) -> bool:
        """Whether all is there but man pages, which packages compress."""
        states = self.states()
        return all(states[name] == State.CURRENT for name in states.keys() - self._made)

    def refresh(self) -> list[str]:
        """Have the desktop's databases made anew. What failed or is not installed, in words."""
        problems = []
        mime, icons = self.directory / "mime", self.directory / "icons/hicolor"
        if mime.is_dir():
            with suppress(OSError):
                (mime / "packages").mkdir(exist_ok=True)  # or the tool refuses, and old types stay
            problems += self._run("update-mime-database", "shared-mime-info", str(mime))
        if (icons / "icon-theme.cache").exists():
            problems += self._run("gtk-update-icon-cache", "gtk-update-icon-cache",
                                  "-q", "-t", "-f", str(icons))  # fmt: skip
        elif icons.is_dir():
            # no cache: one that we made would hide what others install later. A new time of the
            # directory has programs look again
            with suppress(OSError):
                os.utime(icons)
        return problems

    def _run(self, tool: str, package: str, *words: str) -> list[str]:
        program = self._which(tool)
        if program is None:
            return [f"{tool} is not installed (package {package})"]
        try:
            done = subprocess.run(
                [program, *words], stdin=subprocess.DEVNULL, capture_output=True, timeout=TOOL_S,
                check=False,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            return [f"{tool} could not be run: {error}"]
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        return [f"{tool} failed: {said[0] if said else done.returncode}"] if done.returncode else []

    def _wanted(self) -> dict[str, str]:
        return {name: digest(data) for name, (data, _) in self.files.items()}

    def _found(self) -> dict[str, str]:
        found = {}
        for name in self.files.keys() | self._record().keys():
            path = self.directory / name
            try:
                status = path.lstat()
                small = stat.S_ISREG(status.st_mode) and status.st_size <= FOUND_MAX_BYTES
                found[name] = digest(path.read_bytes()) if small else ""
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                raise SetupError(f"{path} cannot be read: {error.strerror}") from None
        return found

    def _record(self) -> dict[str, str]:
        path = self.directory / RECORD
        try:
            if path.stat().st_size > RECORD_MAX_BYTES:
                return {}
            values = json.loads(path.read_bytes())
        except (OSError, ValueError, RecursionError):
            return {}  # without it what is older counts as somebody's own, and stays
        if not isinstance(values, dict):
            return {}
        return {
            name: value for name, value in values.items() if isinstance(value, str) and _below(name)
        }

    def _carry_out(self, plan: Plan) -> dict[str, Any]:
        path = self.directory
        try:
            for name in plan.write:
                path = self.directory / name
                _write(path, *self.files[name])
            for name in plan.remove:
                path = self.directory / name
                path.unlink(missing_ok=True)
                for compiled in path.parent.glob(f"__pycache__/{path.stem}.*.pyc"):
                    compiled.unlink(missing_ok=True)
                    self._prune(compiled.parent)
                self._prune(path.parent)
            path = self.directory / RECORD
            if plan.record:
                text = json.dumps(plan.record, indent=1) + "\n"
                _write(path, text.encode(), 0o644)
            elif path.exists():
                path.unlink()
                self._prune(path.parent)
        except OSError as error:
            raise SetupError(
                f"{path} cannot be changed: {error.strerror}",
                hint=f"who may write below {self.directory} can; what was done stays",
            ) from None
        return {"written": plan.write, "removed": plan.remove, "foreign": plan.foreign}

    def _prune(self, directory: Path) -> None:
        """Directories that are empty now."""
        while directory != self.directory and self.directory in directory.parents:
            try:
                directory.rmdir()
            except OSError:
                return
            directory = directory.parent


def _below(name: str) -> bool:
    """Whether a name of the record, which anybody may have written, stays in the directory."""
    return bool(name) and not name.startswith("/") and ".." not in name.split("/")


def _write(path: Path, data: bytes, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        beside.write_bytes(data)
        beside.chmod(mode)
        beside.replace(path)
    except OSError:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        raise

"""A stand-in for GObject introspection and for a file manager: as much as the menu uses."""

from __future__ import annotations

import importlib.util
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dmfs.desktop.share_files import MENU


class Error(Exception):
    """GLib.Error"""

    message = "it is broken"


class Location:
    """Gio.File"""

    def __init__(self, path: str, desk: Desk) -> None:
        self.path, self._desk = path, desk

    def get_path(self) -> str:
        return self.path

    def get_uri(self) -> str:
        return f"file://{self.path}"

    def query_info_async(
        self, attributes: str, _flags: Any, _priority: int, cancellable: Any, done: Any
    ) -> None:
        self._desk.asked.append((self.path, attributes))
        self._desk.later.append(lambda: done(self, None))

    def query_info_finish(self, _result: Any) -> Any:
        values = self._desk.values.get(self.path)
        if values is None:
            raise Error
        return types.SimpleNamespace(
            get_attribute_as_string=lambda name: values.get(name.rpartition(".")[2])
        )


class Info:
    """Nautilus.FileInfo"""

    def __init__(self, path: str, desk: Desk, *, folder: bool = False, scheme: str = "file"):
        self.location, self.folder, self.scheme = Location(path, desk), folder, scheme
        self.emblems: list[str] = []
        self.invalidated = 0

    def get_location(self) -> Location:
        return self.location

    def get_uri_scheme(self) -> str:
        return self.scheme

    def is_directory(self) -> bool:
        return self.folder

    def add_emblem(self, name: str) -> None:
        self.emblems.append(name)

    def invalidate_extension_info(self) -> None:
        self.invalidated += 1
        self.emblems.clear()


class Item:
    """Nautilus.MenuItem"""

    def __init__(self, name: str, label: str, tip: str) -> None:
        self.name, self.label, self.tip = name, label, tip
        self.handler: Callable[[], None] = lambda: None

    def connect(self, _signal: str, call: Any, *more: Any) -> None:
        self.handler = lambda: call(self, *more)


class Cancellable:
    def __init__(self) -> None:
        self._cancelled = False

    def cancel(self) -> None:
        self._cancelled = True

    def is_cancelled(self) -> bool:
        return self._cancelled


class Process:
    """Gio.Subprocess"""

    def __init__(self, desk: Desk, words: list[str]) -> None:
        self._desk, self.words = desk, words

    def communicate_async(self, _stdin: Any, _cancel: Any, done: Any) -> None:
        self._desk.later.append(lambda: done(self, None))

    def communicate_finish(self, _result: Any) -> Any:
        data = types.SimpleNamespace(get_data=lambda: self._desk.said)
        return True, None, data

    def get_successful(self) -> bool:
        return not self._desk.said


class Desk:
    """What the file manager and its libraries did, and what the drive answers."""

    def __init__(self) -> None:
        self.now_us = 10_000_000
        self.values: dict[str, dict[str, str]] = {}
        self.asked: list[tuple[str, str]] = []
        self.later: list[Callable[[], None]] = []
        self.timers: list[Callable[[], bool]] = []
        self.completed: list[Any] = []
        self.ran: list[list[str]] = []
        self.shown: list[str] = []
        self.said = b""
        self.programs = {"dmfs": "/usr/bin/dmfs", "notify-send": "/usr/bin/notify-send"}
        self.language = "en_GB"
        self.required: list[tuple[str, str]] = []
        self.versions = {("Nautilus", "4.0"), ("Nemo", "3.0"), ("Caja", "2.0")}

    def settle(self) -> None:
        """Let all that was begun come to its end."""
        while self.later:
            self.later.pop(0)()

    def tick(self) -> None:
        """Five seconds later."""
        self.now_us += 5_000_000
        self.timers = [call for call in self.timers if call()]

    def file(self, path: str, **more: Any) -> Info:
        return Info(path, self, **more)

    def load(self, place: str = "nautilus-python") -> Any:
        """The menu, as the file manager loads it from its own directory."""
        for name, module in self._modules().items():
            sys.modules[name] = module
        try:
            spec = importlib.util.spec_from_file_location("dmfs_menu", MENU)
            assert spec is not None
            assert spec.loader is not None
            menu = importlib.util.module_from_spec(spec)
            menu.__file__ = f"/usr/share/{place}/extensions/dmfs_menu.py"
            spec.loader.exec_module(menu)
        finally:
            for name in self._modules():
                del sys.modules[name]
        return menu

    def _every(self, _seconds: int, call: Callable[[], bool]) -> int:
        self.timers.append(call)
        return 1

    def _run(self, words: list[str], _flags: int) -> Process:
        if words[0] not in self.programs.values() and not Path(words[0]).exists():
            raise Error
        self.ran.append(words)
        return Process(self, words)

    def _require(self, name: str, version: str) -> None:
        if (name, version) not in self.versions:
            raise ValueError
        self.required.append((name, version))

    def _modules(self) -> dict[str, Any]:
        manager = {
            "MenuProvider": type("MenuProvider", (), {}),
            "InfoProvider": type("InfoProvider", (), {}),
            "MenuItem": Item,
            "OperationResult": types.SimpleNamespace(COMPLETE="complete", IN_PROGRESS="later"),
            "info_provider_update_complete_invoke": lambda *each: self.completed.append(each),
        }
        launch = {
            "launch_default_for_uri_async": lambda uri, *_: self.shown.append(uri),
            "launch_default_for_uri_finish": lambda _: True,
        }
        contents: dict[str, dict[str, Any]] = {
            "GObject": {"GObject": type("GObject", (), {})},
            "GLib": {
                "Error": Error, "PRIORITY_LOW": 300,
                "get_monotonic_time": lambda: self.now_us,
                "get_language_names": lambda: [self.language, "C"],
                "get_home_dir": lambda: "/nowhere",
                "find_program_in_path": self.programs.get,
                "timeout_add_seconds": self._every,
            },
            "Gio": {
                "Cancellable": Cancellable,
                "FileQueryInfoFlags": types.SimpleNamespace(NOFOLLOW_SYMLINKS=1),
                "SubprocessFlags": types.SimpleNamespace(
                    STDOUT_SILENCE=1, STDERR_SILENCE=2, STDERR_PIPE=4
                ),
                "Subprocess": types.SimpleNamespace(new=self._run),
                "File": types.SimpleNamespace(new_for_path=lambda path: Location(path, self)),
                "AppInfo": types.SimpleNamespace(**launch),
            },
            "Nautilus": manager, "Nemo": manager, "Caja": manager,
        }  # fmt: skip
        made: dict[str, Any] = {"gi": types.ModuleType("gi")}
        made["gi"].require_version = self._require
        made["gi.repository"] = types.ModuleType("gi.repository")
        for name, values in contents.items():
            module = types.ModuleType(name)
            vars(module).update(values)
            made[f"gi.repository.{name}"] = module
        return made

"""The pure tier: tests that start no emulator, mount nothing, and need neither process nor network.

Which those are is read at collection from markers, and from the code of each test, of its fixtures
and of the helpers that they call. While they run, an audit hook makes a test fail that starts a
process or opens a socket of the network all the same: that one needs the marker ``process``.
"""

from __future__ import annotations

import functools
import inspect
import os
import socket
import sys
from collections.abc import Iterable, Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Any

import pytest

MARKERS = ("mount", "tool", "slow", "live", "process")
NAMES = frozenset(
    "subprocess Popen run_process fork posix_spawn spawnlp EmulatorProcess create_server"
    " create_connection open_tcp_listeners open_tcp_stream serve_tcp open_ssl_over_tcp_listeners"
    " serve_ssl_over_tcp serve_listeners bind HTTPServer"
    " ThreadingHTTPServer ProcessFetcher".split()
)
"""Code that names one of these starts a process, or speaks over a socket of the network."""
_PROCESS = frozenset({"subprocess.Popen", "os.posix_spawn", "os.fork", "os.exec", "os.system"})
_NETWORK = frozenset({"socket.bind", "socket.connect"})


def split(items: Iterable[pytest.Item]) -> tuple[list[pytest.Item], list[pytest.Item]]:
    """Pure tests, and the others."""
    pure: list[pytest.Item] = []
    others: list[pytest.Item] = []
    for item in items:
        (pure if _is_pure(item) else others).append(item)
    return pure, others


def _is_pure(item: pytest.Item) -> bool:
    if any(item.get_closest_marker(name) for name in MARKERS):
        return False
    functions = [getattr(item, "obj", None)]
    fixtures = getattr(getattr(item, "_fixtureinfo", None), "name2fixturedefs", {})
    for name, definitions in fixtures.items():
        if name != "nothing_left_behind":  # looks for leftovers of all tests
            functions += [definition.func for definition in definitions]
    return not any(_impure(function) for function in functions if function is not None)


def _impure(function: Any) -> bool:
    handle = getattr(function, "hypothesis", None)
    function = inspect.unwrap(getattr(handle, "inner_test", function))
    function = getattr(function, "__func__", function)
    return isinstance(function, FunctionType) and _reaches(function)


@functools.cache
def _reaches(function: FunctionType) -> bool:
    """Whether a function, or a helper of the tests that it names, names one of ``NAMES``."""
    seen: set[FunctionType] = set()
    pending = [function]
    while pending:
        each = pending.pop()
        if each in seen:
            continue
        seen.add(each)
        names = set(_names(each.__code__))
        if names & NAMES:
            return True
        for name in names:
            value = each.__globals__.get(name)
            pending += _helpers(value)
            if isinstance(value, ModuleType) and value.__name__.startswith("tests."):
                pending += [found for attr in names for found in _helpers(vars(value).get(attr))]
    return False


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _helpers(value: Any) -> list[FunctionType]:
    """Functions of the tests behind a name: itself, or the methods of a class."""
    if not str(getattr(value, "__module__", "")).startswith("tests."):
        return []
    if inspect.isclass(value):
        return [each for each in vars(value).values() if isinstance(each, FunctionType)]
    value = inspect.unwrap(value)
    return [value] if isinstance(value, FunctionType) else []


class Guard:
    """Refuses processes and sockets of the network, and notes them, while ``active``."""

    def __init__(self) -> None:
        self.active = False
        self.refused: list[str] = []
        sys.addaudithook(self._audit)

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.active or event not in _PROCESS | _NETWORK:
            return
        if event in _NETWORK and arguments[0].family in (socket.AF_UNIX, socket.AF_NETLINK):
            return
        self.refused.append(f"{event} in {os.environ.get('PYTEST_CURRENT_TEST')}")
        raise AssertionError(f"{event} in a pure test: it needs the marker process")

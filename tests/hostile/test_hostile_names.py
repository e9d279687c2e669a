"""Hostile names, of docs/security.md: none leaves its directory, none forges a log line."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dmfs.http.errormap import clean
from dmfs.model import Hub, HubId
from dmfs.names import entry_names, legal_name, printable
from dmfs.telemetry.logs import _OneLine, set_up_logging
from tests.hostile.fuzz import assert_legal
from tests.hostile.mutations import HOSTILE_NAMES

fuzzed = settings(suppress_health_check=[HealthCheck.filter_too_much])


def entries_of(names: tuple[str, ...]) -> dict[str, Any]:
    hubs = [Hub(HubId(f"b.{number}"), name) for number, name in enumerate(names)]
    return entry_names(hubs)


def test_no_name_leaves_its_directory() -> None:
    entries = entries_of(HOSTILE_NAMES * 2)
    assert len(entries) == len(HOSTILE_NAMES) * 2
    for name in entries:
        assert_legal(name)


@fuzzed
@given(st.lists(st.text(alphabet=st.characters(), max_size=400), max_size=8))
def test_any_names_are_legal_and_all_there(names: list[str]) -> None:
    entries = entries_of(tuple(names))
    assert len(entries) == len(names)
    for name in entries:
        assert_legal(name)
        assert legal_name(name) == name


@pytest.mark.parametrize("name", HOSTILE_NAMES, ids=ascii)
def test_names_reach_terminals_and_logs_harmless(name: str) -> None:
    assert printable(name).isprintable()
    record = logging.LogRecord("dmfs.x", logging.WARNING, "f", 1, "open %s", (name,), None)
    assert _OneLine("%(message)s").format(record).isprintable()
    try:
        raise ValueError(name)
    except ValueError:
        record.exc_info = sys.exc_info()
    lines = _OneLine("%(message)s").format(record).splitlines()
    assert all(line.isprintable() for line in lines)
    assert clean(name).isprintable()


def test_a_log_line_cannot_be_forged(tmp_path: Path) -> None:
    set_up_logging("info", tmp_path / "log")
    try:
        forged = "x\n2026-01-01 00:00:00,000 ERROR dmfs: all is lost\r\x1b[2K"
        logging.getLogger("dmfs.test").warning("cannot open %s", forged)
        lines = (tmp_path / "log").read_text().splitlines()
        assert len(lines) == 1
        assert lines[0].isprintable()
        assert (tmp_path / "log").stat().st_mode & 0o077 == 0
    finally:
        for handler in logging.getLogger("dmfs").handlers:
            handler.close()
        logging.getLogger("dmfs").handlers.clear()
        logging.getLogger("dmfs").propagate = True
        logging.getLogger("dmfs").setLevel(logging.NOTSET)

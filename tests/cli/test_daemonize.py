"""A background mount gets the command line as it was given."""

from __future__ import annotations

import argparse
import signal
import socket
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from dmfs.cli.daemonize import (
    READY,
    _confirm,
    background_argv,
    notify_parent,
    sd_notify,
    was_heard,
)
from dmfs.cli.parser import parsers


def sample_words(action: argparse.Action) -> list[str]:
    """An option with a value that its parser accepts, given twice where that is allowed."""
    if action.nargs == 0:
        return [action.option_strings[-1]]
    value = str(next(iter(action.choices))) if action.choices else "7"
    words = [action.option_strings[-1], value]
    return words * 2 if isinstance(action, argparse._AppendAction) else words


def mount_parsers() -> tuple[argparse.ArgumentParser, argparse.ArgumentParser]:
    """The whole parser and that of mount, with two options that dmfs does not know."""
    top, commands = parsers()
    mount = commands["mount"]
    mount.add_argument("--future-value")
    mount.add_argument("--future-flag", action="store_true")
    return top, mount


def options_of(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    return [
        action
        for action in parser._actions
        if action.option_strings and action.dest not in ("help", "ready_fd")
    ]


@pytest.mark.parametrize("place", ["before", "behind"])
def test_no_option_of_mount_is_lost(place: str) -> None:
    top, mount = mount_parsers()
    options = options_of(mount)
    assert {"profile", "settings", "options", "future_flag"} <= {each.dest for each in options}
    for action in options:
        words = sample_words(action)
        paths = ["/Hub", "a relative/point"]
        argv = ["mount", *(words + paths if place == "before" else paths + words)]
        given = vars(top.parse_args(argv))
        received = vars(top.parse_args(background_argv(argv, 5)))
        assert given[action.dest] != mount.get_default(action.dest), action.dest
        assert received == given | {"ready_fd": 5}, action.dest


def test_all_options_at_once_and_a_source_that_looks_like_one() -> None:
    top, mount = mount_parsers()
    words = [word for action in options_of(mount) for word in sample_words(action)]
    argv = ["mount", *words, "--", "-Hub", "point"]
    received = vars(top.parse_args(background_argv(argv, 9)))
    assert received == vars(top.parse_args(argv)) | {"ready_fd": 9}
    assert received["source"] == "-Hub"


def test_the_parent_gets_one_line_and_confirms_it() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert notify_parent(theirs.fileno(), READY)
        with ours.makefile("rb") as report:
            assert report.read() == READY.encode()
        assert not was_heard(theirs.fileno())
        ours.sendall(b".")
        assert was_heard(theirs.fileno())
    assert notify_parent(None, READY)


@pytest.fixture
def masked() -> Iterator[None]:
    """Signals that the test leaves blocked are not so for the next one."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    yield
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


@pytest.mark.parametrize("ignored", [True, False])
@pytest.mark.usefixtures("masked")
def test_a_signal_right_before_the_word_counts_unless_it_is_ignored(
    ignored: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """(An ignored one is pending all the same. Taken for one that counts, it ended no start: both
    sides waited for each other.)"""
    ours, theirs = socket.socketpair()
    blocked = signal.pthread_sigmask

    def just_then(how: int, signals: Iterable[int]) -> object:
        result = blocked(how, signals)
        if how == signal.SIG_BLOCK:
            signal.pthread_kill(threading.get_ident(), signal.SIGINT)
        return result

    handler = signal.signal(signal.SIGINT, signal.SIG_IGN if ignored else interrupt)
    try:
        with ours, theirs, monkeypatch.context() as patch:
            patch.setattr(signal, "pthread_sigmask", just_then)
            if ignored:
                assert _confirm(ours)
            else:
                with pytest.raises(SystemExit):
                    _confirm(ours)
            theirs.setblocking(False)
            assert was_heard(theirs.fileno()) is ignored
            assert (signal.SIGINT in blocked(signal.SIG_BLOCK, [])) is ignored
    finally:
        signal.sigtimedwait(
            [signal.SIGINT], 0
        )  # what is pending still is not for the tests' runner
        signal.signal(signal.SIGINT, handler)


def interrupt(number: int, _: object) -> NoReturn:
    raise SystemExit(128 + number)


@pytest.mark.parametrize("before", [True, False])
def test_a_parent_that_is_gone_has_heard_nothing(*, before: bool) -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        if before:
            ours.close()
        assert notify_parent(theirs.fileno(), READY) is not before
        ours.close()  # killed before it read, or before it confirmed
        assert not was_heard(theirs.fileno())


def test_a_service_manager_that_is_absent_or_gone_is_no_error(tmp_path: Path) -> None:
    sd_notify("", "READY=1")
    sd_notify(str(tmp_path / "nobody"), "READY=1")

"""The replayer itself, on a plain directory: there everything must be as it was recorded."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.write.traces.replay import Trace, expected, lay_out, load, made_up, replay, trace_names


@pytest.mark.parametrize("name", trace_names())
def test_a_replay_leaves_what_the_program_left(name: str, tmp_path: Path) -> None:
    trace = load(name)
    lay_out(trace, tmp_path)
    wanted = replay(trace, tmp_path)
    there = {
        str(path.relative_to(tmp_path)): path.read_bytes()
        for path in tmp_path.rglob("*")
        if path.is_file() and not path.is_symlink()
    }
    assert there == wanted
    assert {each: len(content) for each, content in there.items()} == trace.after


def test_enough_programs() -> None:
    """Each says where it comes from, and most were recorded."""
    traces = [load(name) for name in trace_names()]
    recorded = [each for each in traces if each.source.startswith("recorded with strace")]
    assert len(recorded) >= 20
    for each in traces:
        assert each in recorded or each.source.startswith("written by hand"), each.name
    assert {"soffice", "vim", "emacs", "gio", "rsync", "git", "sqlite3"} <= {
        each.program for each in recorded
    }


def a_trace(*ops: dict) -> Trace:
    return Trace("t", "p", "s", {"f": 10}, [], {}, list(ops))


@pytest.mark.parametrize(
    ("op", "error"),
    [
        ({"op": "open", "path": "f", "flags": ["O_CREAT", "O_EXCL"], "handle": 1}, "EEXIST"),
        ({"op": "open", "path": "g", "flags": ["O_RDONLY"], "handle": 1}, "ENOENT"),
        ({"op": "unlink", "path": "g"}, "ENOENT"),
        (
            {"op": "rename", "old": "f", "new": "f2", "flags": ["RENAME_NOREPLACE"]},
            "EEXIST",
        ),
    ],
)
def test_it_notices_another_outcome(op: dict, error: str, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"x")
    (tmp_path / "f2").write_bytes(b"x")
    replay(a_trace({**op, "error": error}), tmp_path)
    with pytest.raises(AssertionError, match=error):
        replay(a_trace(op), tmp_path)
    with pytest.raises(AssertionError):
        replay(a_trace({**op, "error": "EIO"}), tmp_path)


def test_it_notices_an_error_that_does_not_come(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"x")
    with pytest.raises(AssertionError, match="no error"):
        replay(a_trace({"op": "unlink", "path": "f", "error": "EPERM"}), tmp_path)


def test_bytes_follow_from_the_number_of_the_write() -> None:
    write = {"op": "write", "handle": 1, "offset": 12, "size": 5}
    opened = {"op": "open", "path": "f", "flags": ["O_RDWR"], "handle": 1}
    got = expected(a_trace(opened, write))["f"]
    assert got == made_up("f", 10) + b"\0\0" + made_up(1, 5)
    assert made_up(1, 5) != made_up(2, 5)

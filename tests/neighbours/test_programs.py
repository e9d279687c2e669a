"""What /proc tells of a process, and a count that stays small."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from dmfs.neighbours.programs import (
    arguments_of,
    executable_of,
    has_terminal,
    kinds,
    nobody_is_gated,
)
from dmfs.neighbours.refusals import OTHERS, PROGRAMS_MAX, Refusals
from dmfs.neighbours.table import Kind
from dmfs.telemetry.processes import Processes
from tests.support.helpers import virtual
from tests.support.mounts import wait_until

POLITE = SimpleNamespace(neighbours="polite", neighbour_indexers="", neighbour_thumbnailers="")


def test_a_process_is_what_its_executable_says(tmp_path: Path) -> None:
    program = tmp_path / "baloo_file_extractor"
    shutil.copy("/bin/sleep", program)
    with subprocess.Popen([program, "60"]) as child:
        try:
            wait_until(lambda: arguments_of(child.pid) == [str(program), "60"], 5)
            assert executable_of(child.pid) == program.name
            assert kinds(POLITE)(child.pid, "pool") is Kind.INDEXER
            program.unlink()
            assert executable_of(child.pid) == program.name
        finally:
            child.kill()
    assert executable_of(child.pid) == ""
    assert arguments_of(child.pid) == []
    assert not has_terminal(child.pid)


def test_with_open_nothing_is_looked_at() -> None:
    assert kinds(SimpleNamespace(**vars(POLITE) | {"neighbours": "open"})) is nobody_is_gated


@pytest.mark.parametrize("with_terminal", [True, False])
def test_a_controlling_terminal_is_seen(with_terminal: bool) -> None:
    leader = subprocess.Popen(
        ["script", "-qec", "exec sleep 60", "/dev/null"] if with_terminal else ["sleep", "60"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    children = Path(f"/proc/{leader.pid}/task/{leader.pid}/children")
    try:
        if with_terminal:
            child = wait_until(lambda: children.read_text().split())
            wait_until(lambda: has_terminal(int(child[0])), 5)
        else:
            assert not has_terminal(leader.pid)
    finally:
        leader.kill()  # and the terminal that is closed ends what runs in it
        leader.wait()


@virtual
async def test_a_process_is_classified_once_and_a_launcher_is_not_believed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[str] = []

    def kind_of(_pid: int, name: str) -> Kind | None:
        seen.append(name)
        return Kind.INDEXER if name == "updatedb" else None

    now = "bwrap"
    monkeypatch.setattr("dmfs.telemetry.processes.process_of", lambda thread: (thread, now))
    who = Processes(kind_of)
    assert who.of_thread(7).kind is None
    now = "updatedb"  # it has become another one by exec
    assert who.of_thread(7).kind is Kind.INDEXER
    assert all(who.of_thread(7).kind is Kind.INDEXER for _ in range(10))
    assert seen == ["bwrap", "updatedb"]


def test_refusals_are_counted_by_program_within_bounds() -> None:
    refusals = Refusals()
    assert refusals.count("baloo_file", Kind.INDEXER)
    assert not refusals.count("baloo_file", Kind.INDEXER)
    assert refusals.count("tumblerd", Kind.THUMBNAILER)
    assert [(each.program, each.times) for each in refusals.rows()] == [
        ("baloo_file", 2), ("tumblerd", 1),
    ]  # fmt: skip
    for number in range(1000):
        refusals.count(f"mine-{number}", Kind.INDEXER)
    rows = refusals.rows()
    assert len(rows) <= PROGRAMS_MAX + len(Kind)
    assert sum(each.times for each in rows) == 1003
    assert rows[0].program == OTHERS

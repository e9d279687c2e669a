"""``dmfs uploads`` while processes that write begin and end, and where several have one path."""

from __future__ import annotations

import argparse
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dmfs.cli import login
from dmfs.cli.settings import Invocation
from dmfs.cli.writing import getting, owner, processes, uploads
from dmfs.cli.writing.processes import OfProcess
from dmfs.errors import SetupError, SpoolError, SpoolTakenError
from dmfs.write.care.rows import FILE, Report, Row
from dmfs.write.records import State
from dmfs.write.spool.journal import look_into
from dmfs.write.spool.owner import holder_of, place_of_processes, spools_of_processes

CALL = Invocation(
    argparse.Namespace(json=False, timeout=None, words=[], yes=True, beside=False, name="", to=""),
    [],
    {},
)


def row(path: str, state: State = State.WAITING, since_s: float = 0.0) -> Row:
    return Row(path, FILE, state, since_s=since_s, draft_id=path)


def journal(*rows: Row, others: int = 0) -> Any:
    return SimpleNamespace(report=Report(rows, others=others), drafts={})


def spool(name: str, pid: int, *rows: Row, others: int = 0, damaged: str = "") -> OfProcess:
    made: list[OfProcess] = []
    found = None if damaged else journal(*rows, others=others)
    made.append(OfProcess(Path(name), pid, found, damaged, lambda: made[0]))
    return made[0]


class Jobs:
    """Stands for drives of this process: which jobs ran, on which spools."""

    def __init__(self) -> None:
        self.ran: list[tuple[str, str]] = []
        self.taken = 0

    def own_drive(
        self, _call: Invocation, verb: str, _parameters: dict[str, Any],
        pass_on: Callable[[dict[str, Any]], None], *, spool: Path | None = None,
    ) -> int:  # fmt: skip
        if self.taken:
            self.taken -= 1
            raise SpoolTakenError("another process has it")
        self.ran.append((verb, str(spool)))
        pass_on({"event": "done", "late": False, "left": []})
        return 0


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> Jobs:
    made = Jobs()
    monkeypatch.setattr(owner, "own_drive", made.own_drive)
    monkeypatch.setattr(processes, "LOOK_S", 0.001)
    monkeypatch.setattr(processes, "journal_of", lambda _: None)
    monkeypatch.setattr(owner, "writer", lambda _: None)
    monkeypatch.setattr(uploads, "report_of_profile", lambda *_: {"uploads": [], "others": 0})
    monkeypatch.setattr(uploads, "start", lambda _: None)
    monkeypatch.setattr(uploads, "in_the_drive", lambda call, given: (call, given))
    return made


@pytest.fixture
def spools(monkeypatch: pytest.MonkeyPatch) -> list[OfProcess]:
    found: list[OfProcess] = []
    monkeypatch.setattr(uploads, "of_processes", lambda _: list(found))
    return found


def given(*words: str, **more: Any) -> Invocation:
    options = vars(CALL.options) | {"words": list(words), "wait": False, "output": ""} | more
    return Invocation(argparse.Namespace(**options), [], {})


def test_a_spool_that_is_taken_over_meanwhile_is_waited_for(
    jobs: Jobs, capsys: pytest.CaptureFixture[str]
) -> None:
    looks = [(0, 1), (4711, 1), (4711, 1), (4711, 0)]  # by whom it is held, what waits

    def look() -> OfProcess:
        pid, waiting = looks.pop(0)
        rows = [row("/a")] * waiting
        return OfProcess(Path("0"), pid, journal(*rows), "", look)

    jobs.taken = 1
    events: list[Any] = []
    last = processes.send(CALL, look_first(look), None, events.append)
    assert (last["left"], last["late"], jobs.ran) == ([], False, [])
    assert capsys.readouterr().err == ("dmfs: process 4711 has 1 file to send: waiting for it\n")


def look_first(look: Callable[[], OfProcess]) -> OfProcess:
    """As it was listed: with something to send, of a process that had ended."""
    return OfProcess(Path("0"), 0, journal(row("/a")), "", look)


def test_a_spool_that_is_always_taken_is_given_up_on(jobs: Jobs) -> None:
    jobs.taken = 1000
    with pytest.raises(SpoolTakenError):
        processes.send(CALL, spool("0", 0, row("/a")), None, lambda _: None)
    assert jobs.taken > 990


def test_no_drive_is_opened_when_the_time_is_over(
    jobs: Jobs, spools: list[OfProcess], capsys: pytest.CaptureFixture[str]
) -> None:
    spools += [spool("0", 0, row("/a")), spool("1", 0, row("/b")), spool("2", 77, row("/c"))]
    assert uploads.uploads_command(given(wait=True, timeout=0.0)) == 1
    said = capsys.readouterr()
    assert jobs.ran == []
    assert "3 waiting" in said.out
    assert "the time is over: 3 files wait to go up" in said.out


def test_what_ended_processes_left_does_not_wait_for_a_running_one(
    jobs: Jobs, spools: list[OfProcess], capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[list[tuple[str, str]]] = []

    def running() -> OfProcess:
        seen.append(list(jobs.ran))
        return OfProcess(Path("0"), 77, journal(), "", running)

    spools += [
        OfProcess(Path("0"), 77, journal(row("/a")), "", running),
        spool("1", 0, row("/b")), spool("2", 0, row("/c")),
    ]  # fmt: skip
    assert uploads.uploads_command(given(wait=True)) == 0
    assert seen[0] == [("wait", "1"), ("wait", "2")]
    assert capsys.readouterr().out.count("nothing waits") == 1


def test_waiting_tells_of_other_sign_ins_and_of_damage(
    jobs: Jobs, spools: list[OfProcess], capsys: pytest.CaptureFixture[str]
) -> None:
    spools += [spool("0", 0, others=2), spool("1", 0, damaged="1/journal.db cannot be read")]
    assert uploads.uploads_command(given(wait=True)) == 1, "nobody knows what waits there"
    out = capsys.readouterr().out
    assert "2 files of another sign-in" in out
    assert "damaged: 1/journal.db cannot be read" in out
    assert "all that was saved" not in out
    assert jobs.ran == []


def test_a_damaged_journal_of_the_mount_hides_nothing_of_processes(
    jobs: Jobs, spools: list[OfProcess], monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    def broken(*_: Any) -> Any:
        raise SpoolError("the journal cannot be read")

    monkeypatch.setattr(uploads, "report_of_profile", broken)
    spools.append(spool("0", 0, row("/a")))
    with pytest.raises(SpoolError):
        uploads.uploads_command(given(local=False))
    assert "/a" in capsys.readouterr().out
    with pytest.raises(SpoolError):
        uploads.uploads_command(given(wait=True))
    assert jobs.ran == [("wait", "0")]
    for module in (processes, getting):
        monkeypatch.setattr(module, "journal_of", broken)
    assert uploads.uploads_command(given("discard", "/a")) == 0
    monkeypatch.setattr(getting, "of_processes", lambda _: spools)
    assert getting._journal_with(CALL, "/a")[0] is spools[0].journal
    with pytest.raises(SpoolError):
        getting._journal_with(CALL, "/b")


def test_a_path_of_two_spools_is_discarded_in_both(jobs: Jobs, spools: list[OfProcess]) -> None:
    spools += [spool("0", 0, row("/a")), spool("1", 0, row("/a")), spool("2", 0, row("/b"))]
    assert uploads.uploads_command(given("discard", "/a")) == 0
    assert jobs.ran == [("discard", "0"), ("discard", "1")]


def test_a_running_process_hides_no_ended_one_that_has_the_path(
    jobs: Jobs, spools: list[OfProcess]
) -> None:
    spools += [spool("0", 77, row("/a")), spool("1", 0, row("/a"))]
    with pytest.raises(SetupError, match="process 77 has '/a'"):
        uploads.uploads_command(given("discard", "/a"))
    assert jobs.ran == [("discard", "1")]


def test_a_file_of_an_unknown_folder_is_not_taken_for_that_of_a_path(
    jobs: Jobs, spools: list[OfProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of which the journal has the name alone."""
    spools += [spool("0", 0, row("plan.dwg")), spool("1", 0, row("/a/plan.dwg"))]
    assert uploads.uploads_command(given("discard", "/a/plan.dwg")) == 0
    assert jobs.ran == [("discard", "1")]
    spools[1] = spool("2", 0, row("plan.dwg", since_s=9.0))
    with pytest.raises(SetupError, match="several files are named like"):
        uploads.uploads_command(given("discard", "/a/plan.dwg"))
    assert jobs.ran == [("discard", "1")]
    exact = journal(row("/a/plan.dwg", since_s=1.0))
    monkeypatch.setattr(getting, "journal_of", lambda _: exact)
    monkeypatch.setattr(getting, "of_processes", lambda _: spools)
    assert getting._journal_with(CALL, "/a/plan.dwg")[0] is exact


def test_only_where_something_failed_it_is_tried_again(
    jobs: Jobs, spools: list[OfProcess], capsys: pytest.CaptureFixture[str]
) -> None:
    spools += [spool(str(n), 0, row(f"/{n}")) for n in range(3)]
    spools += [spool("7", 0, row("/f", State.FAILED)), spool("8", 7, row("/g", State.FAILED))]
    assert uploads.uploads_command(given("retry")) == 0
    assert jobs.ran == [("retry", "7")]


def test_what_was_saved_last_is_what_get_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    older, newer = journal(row("/a", since_s=5.0)), journal(row("/a", since_s=9.0))
    found = [OfProcess(Path("0"), 0, newer, "", lambda: found[0])]
    monkeypatch.setattr(getting, "journal_of", lambda _: older)
    monkeypatch.setattr(getting, "of_processes", lambda _: found)
    assert getting._journal_with(CALL, "/a")[0] is newer
    assert getting._journal_with(CALL, "/b") == (None, [])


def test_a_damaged_journal_lets_nobody_sign_out_over_files_of_processes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(_: Invocation) -> None:
        raise SpoolError("the journal cannot be read")

    monkeypatch.setattr(owner, "journal_of", broken)
    monkeypatch.setattr(processes, "of_processes", lambda _: [spool("0", 0, row("/a"))])
    with pytest.raises(SetupError, match="1 file has not gone up yet"):
        login._check_drafts(CALL, keep=False)
    login._check_drafts(CALL, keep=True)


# Looks at spools


def test_who_has_a_spool_in_another_container_is_seen(tmp_path: Path) -> None:
    """The kernel's list of locks does not show it, or under another number."""
    lock = tmp_path / "lock"
    lock.write_text("4194000 fsspec")  # no such process here
    assert holder_of(tmp_path) == 0
    with lock.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert holder_of(tmp_path) == 4194000


@pytest.fixture
def no_right() -> Iterator[Path]:
    """A state directory, and whoever looks at it may not read one of its spools."""
    state = Path(tempfile.mkdtemp())
    place = place_of_processes(state, "default")
    for name, mode in (("0", 0), ("1", 0o755)):
        (place / name).mkdir(parents=True)
        (place / name / "lock").touch()
        (place / name).chmod(mode)
    state.chmod(0o755)
    was = os.geteuid()
    if was == 0:
        os.seteuid(65534)
    yield state
    os.seteuid(was)
    (place / "0").chmod(0o700)
    shutil.rmtree(state)


def test_a_spool_that_may_not_be_read_hides_no_other(no_right: Path) -> None:
    found = spools_of_processes(no_right, "default")
    assert [each.name for each in found] == ["0", "1"]
    assert look_into(found[1]) is None
    with pytest.raises(SpoolError, match=r"journal.db cannot be read: Permission denied"):
        look_into(found[0])

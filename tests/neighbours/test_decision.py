"""Who is gated, and what that means: pure."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmfs.config import DECLARED
from dmfs.neighbours.decision import (
    CLOSED,
    OPEN,
    PICTURES,
    POLICIES,
    POLITE,
    SMALL_BYTES,
    Caller,
    Verdict,
    What,
    decide,
    extension_of,
)
from dmfs.neighbours.table import COMM_BYTES, ROWS, Kind, Table, names_in
from dmfs.setting_types import PROGRAMS

NAMES = {name for row in ROWS for name in row.names}
CUT = {name[:COMM_BYTES] for name in NAMES}
CALLERS = st.builds(Caller, st.sampled_from([None, *Kind]), st.booleans())
FILES = st.builds(
    What, st.none() | st.integers(0, 1 << 34), st.sampled_from(["", "rvt", "dwg", *PICTURES]),
    st.booleans(),
)  # fmt: skip
WORDS = st.text("abcdefghijklmnopqrstuvwxyz-_.0123456789", min_size=1, max_size=24)


@given(st.sampled_from(POLICIES), CALLERS, FILES)
def test_whoever_is_not_gated_opens_freely(policy: str, caller: Caller, what: What) -> None:
    verdict = decide(policy, caller, what)
    free = policy == OPEN or caller.kind is None or caller.has_terminal
    assert (verdict is Verdict.FREELY) == free
    assert not (what.cached and verdict is Verdict.REFUSED)
    assert verdict is not Verdict.ALONE or caller.kind is Kind.THUMBNAILER


@given(FILES)
def test_an_indexer_never_has_anything_fetched(what: What) -> None:
    for policy in (POLITE, CLOSED):
        verdict = decide(policy, Caller(Kind.INDEXER), what)
        assert verdict is (Verdict.CACHED if what.cached else Verdict.REFUSED)


@given(FILES)
def test_a_thumbnailer_gets_small_pictures_unless_closed(what: What) -> None:
    thumbnailer = Caller(Kind.THUMBNAILER)
    small = what.size_bytes is not None and what.size_bytes <= SMALL_BYTES
    polite = decide(POLITE, thumbnailer, what._replace(cached=False))
    assert (polite is Verdict.ALONE) == (small and what.extension in PICTURES)
    closed = decide(CLOSED, thumbnailer, what)
    assert closed is (Verdict.CACHED if what.cached else Verdict.REFUSED)


def test_4_mib_are_small_and_a_byte_more_is_not() -> None:
    thumbnailer = Caller(Kind.THUMBNAILER)
    at, beyond = (What(4 * 2**20 + more, "png", cached=False) for more in (0, 1))
    assert decide(POLITE, thumbnailer, at) is Verdict.ALONE
    assert decide(POLITE, thumbnailer, beyond) is Verdict.REFUSED


@given(WORDS, WORDS)
def test_a_name_that_is_not_in_the_table_is_nobodys(name: str, executable: str) -> None:
    if name in NAMES or executable in NAMES or name[:COMM_BYTES] in CUT:
        return
    assert Table().kind(name[:COMM_BYTES], executable, lambda: ["x/thumbnail.so"]) is None


@given(st.sampled_from(sorted(NAMES)), st.booleans())
def test_each_name_is_known_by_its_first_bytes_and_by_its_executable(
    name: str, by_comm: bool
) -> None:
    row = next(row for row in ROWS if name in row.names)
    comm, executable = (name[:COMM_BYTES], "") if by_comm else ("pool-worker", name)
    arguments = [f"/usr/lib/{row.argument}"]
    assert Table().kind(comm, executable, lambda: arguments) is row.kind
    assert Table().kind(comm, executable) is (None if row.argument else row.kind)


@given(st.sampled_from(sorted(name for name in NAMES if len(name) > COMM_BYTES)), WORDS)
def test_another_program_whose_name_is_cut_to_the_same_is_nobodys(name: str, tail: str) -> None:
    cut = name[:COMM_BYTES]
    other = cut + tail
    if other not in NAMES and cut not in NAMES:
        assert Table().kind(cut, other) is None
        assert Table().kind(cut, "python3.11") is not None, "a script's is its interpreter"


def test_every_row_has_its_evidence() -> None:
    assert all(row.names and len(row.evidence) > 20 for row in ROWS)
    assert len(NAMES) == sum(len(row.names) for row in ROWS), "no name twice"


def test_a_person_adds_programs() -> None:
    mine = names_in("my-scanner, kioworker"), names_in("quite-a-long-thumbnailer")
    table = Table(*mine)
    assert table.kind("my-scanner") is Kind.INDEXER
    assert table.kind("kioworker") is Kind.INDEXER, "one's own list goes first"
    assert table.kind("quite-a-long-th") is Kind.THUMBNAILER
    assert names_in("") == names_in(" , ") == ()


@pytest.mark.parametrize("text", ["/usr/bin/x", "a\nb", "x" * 65, ",".join(["x"] * 65)])
def test_what_is_no_list_of_programs_is_refused(text: str) -> None:
    assert PROGRAMS.parse("my-scanner, thumbs.py") == "my-scanner, thumbs.py"
    with pytest.raises(ValueError, match="a list of program names"):
        PROGRAMS.parse(text)


def test_the_setting_knows_all_policies() -> None:
    assert DECLARED["neighbours"].choices == POLICIES


@pytest.mark.parametrize(
    ("name", "extension"),
    [("Plan.PDF", "pdf"), ("a.b.jpg", "jpg"), (".jpg", ""), ("jpg", ""), ("x.", "")],
)
def test_extensions(name: str, extension: str) -> None:
    assert extension_of(name) == extension

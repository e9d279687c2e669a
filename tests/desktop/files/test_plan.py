"""Installing and removing as decisions: what is somebody's own is never touched."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dmfs.desktop.plan import State, install_plan, remove_plan, state_of

NAMES = st.sampled_from("abc")
TABLES = st.dictionaries(NAMES, st.sampled_from("1234"))


@given(TABLES, TABLES, TABLES)
def test_what_is_somebodys_own_stays(wanted, found, record):
    for plan in (install_plan(wanted, found, record), remove_plan(wanted, found, record)):
        for name in {*plan.write, *plan.remove}:
            assert name not in found or found[name] in {wanted.get(name), record.get(name)}


@given(TABLES, TABLES, TABLES)
def test_install_twice_is_install_once_and_remove_takes_it_all(wanted, found, record):
    plan = install_plan(wanted, found, record)
    after = {name: value for name, value in found.items() if name not in plan.remove}
    after |= {name: wanted[name] for name in plan.write}
    again = install_plan(wanted, after, plan.record)
    assert (again.write, again.remove, again.record) == ([], [], plan.record)
    assert again.foreign == plan.foreign
    for name, value in wanted.items():
        assert (after.get(name) == value) != (name in plan.foreign)
    gone = remove_plan(wanted, after, plan.record)
    assert set(plan.record) == set(gone.remove)
    assert gone.foreign == plan.foreign


@given(TABLES, TABLES, TABLES)
def test_a_version_with_fewer_files_takes_the_others_away(wanted, found, record):
    plan = install_plan(wanted, found, record)
    assert set(plan.remove) == {
        name for name in record if name not in wanted and found.get(name) == record[name]
    }


def test_the_four_states():
    assert state_of("new", None, "old") is State.MISSING
    assert state_of("new", "new", None) is State.CURRENT
    assert state_of("new", "old", "old") is State.OLDER
    assert state_of("new", "old", None) is State.FOREIGN
    assert state_of("new", "edited", "old") is State.FOREIGN

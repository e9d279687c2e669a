"""The clocks that date a moment."""

from __future__ import annotations

import pytest

import dmfs.system.clock
from dmfs.system.clock import Moment


def test_the_boot_clock_dates_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The boot clock decides; without it a moment in the future has no age."""
    moment = Moment.now()
    monkeypatch.setattr(dmfs.system.clock, "wall_time_s", lambda: moment[0] - 3600)
    age_s = moment.age_s()
    assert age_s is not None
    assert 0 <= age_s < 60
    monkeypatch.setattr(dmfs.system.clock, "boot_id", lambda: "another boot")
    assert moment.age_s() is None

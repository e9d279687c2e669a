"""The model of very many workers, and that the document says what it computes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmfs.ratelimit.limits import Priority, Rate, wait_s
from tests.scale.model import Job, Rates, break_even_bytes, calls_s, signed_bytes_per_s, ways
from tests.scale.table import DOCS, written

RATES = Rates(listings=30, signings=100)


def test_the_document_says_what_is_computed() -> None:
    text = DOCS.read_text()
    assert written(text, Job()) == text


def limited_s(calls: int, limit: int) -> float:
    """When the last of so many calls goes, by the limiter's own rule."""
    rate, now, moments = Rate(limit), 0.0, [0.0] * 0
    for _ in range(calls):
        moments = [each for each in moments if each + rate.span_s > now]
        while (wait := wait_s(rate, moments, Priority.READ, now)) > 0:
            now += wait
            moments = [each for each in moments if each + rate.span_s > now]
        moments.append(now)
    return now


@pytest.mark.parametrize("calls", [50, 100, 150, 195, 270, 999])
def test_the_model_is_the_limiters_rule(calls: int) -> None:
    assert calls_s(calls, 100, RATES) == pytest.approx(limited_s(calls, 100), rel=0.1, abs=1.0)


@given(st.integers(0, 10**7), st.integers(1, 1000))
def test_more_calls_take_no_less(calls: int, more: int) -> None:
    assert calls_s(calls, 100, RATES) <= calls_s(calls + more, 100, RATES)


def test_who_lists_decides_the_listings_and_nobody_the_signings() -> None:
    costs = ways(Job(workers=1000))
    alone, pickled = costs["every worker lists for itself"], costs["pickled listings"]
    assert alone.listings == 1000 * pickled.listings
    assert alone.signings == pickled.signings
    assert costs["second pass, caches kept"].signings == 16_000
    assert costs["second pass, caches kept"].fetched_bytes == 0


def test_large_files_are_decided_by_the_line() -> None:
    job = Job()
    large = replace(job, file_bytes=2 * break_even_bytes(job))
    assert signed_bytes_per_s(large) == pytest.approx(2 * job.line_bytes_per_s)
    cost = ways(large)["one gateway"]
    assert cost.bytes_s > 1.9 * cost.signing_s

"""Metrics: what Prometheus gets, whatever the counters hold."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmfs.errors import SetupError
from dmfs.ratelimit.limits import PUBLISHED_PER_MIN
from dmfs.telemetry.durations import BOUNDS_S, Durations, Histogram
from dmfs.telemetry.metric_families import DRAFTS, FAMILIES, QUOTAS, TIMED
from dmfs.telemetry.metrics import render
from tests.support.promtool import complaints, counters, series

SERIES_MAX = 300
SERIES_OF_WRITING = 20
DOCS = Path(__file__).parents[2] / "docs/metrics.md"
STATUS: dict[str, Any] = {
    "state": "online",
    "since": "2026-11-29T10:02:00Z",
    "quotas": [{"name": "contents", "used": 291, "limit": 300, "held_for_s": 0.0}],
    "cache": {"bytes": 5, "limit_bytes": 10, "memory_bytes": 3, "memory_limit_bytes": 4},
    "listings": {"known": 7, "stale": 2, "entries": 70},
    "open_files": 12,
    "requests": {"waiting": 3, "oldest_s": 1.5},
    "pins": {"done": 1, "total": 5, "bytes": 99, "failed": 1},
    "kept_away": [
        {"program": "baloo_file", "kind": "indexer", "refused": 312},
        {"program": "updatedb", "kind": "indexer", "refused": 3},
        {"program": "tumblerd", "kind": "thumbnailer", "refused": 4},
    ],
}
GAUGES = {
    "requests.read.ok": 4, "requests.read.at_hand": 100, "requests.open.EACCES": 2,
    "requests.statfs.ok": 6, "calls.contents.ok": 9, "calls.contents.http_503": 1,
    "calls.schema.ok": 2, "blocks.memory_bytes": 10, "blocks.page_cache_bytes": 20,
    "blocks.disk_bytes": 30, "blocks.network_bytes": 40, "blocks.memory_hits": 1,
    "blocks.page_cache_hits": 2, "blocks.disk_hits": 3, "blocks.misses": 4,
    "store.evicted_bytes": 11,
}  # fmt: skip


def durations() -> Durations:
    counted = Durations()
    for seconds in (0.0005, 0.001, 0.02, 31.0):
        counted.count("read", seconds)
    counted.count("getattr", 0.002)
    return counted


WHOLE = render(STATUS, GAUGES, durations().histograms(), "1.2.3")


def test_each_number_has_its_place() -> None:
    found = {
        name + "".join(f" {key}={word}" for key, word in labels): value
        for (name, labels), value in series(WHOLE).items()
        if value and not name.startswith(("process_", "dmfs_fuse_request_duration"))
    }
    assert found == {
        "dmfs_build_info version=1.2.3": 1, "dmfs_up": 1, "dmfs_online": 1,
        "dmfs_fuse_requests_total errno=ok op=read": 104,
        "dmfs_fuse_requests_total errno=EACCES op=open": 2,
        "dmfs_fuse_requests_total errno=ok op=other": 6,
        "dmfs_fuse_requests_waiting": 3, "dmfs_fuse_oldest_request_seconds": 1.5,
        "dmfs_open_files": 12,
        "dmfs_read_bytes_total tier=memory": 10, "dmfs_read_bytes_total tier=disk": 50,
        "dmfs_read_bytes_total tier=network": 40,
        "dmfs_reads_total tier=memory": 1, "dmfs_reads_total tier=disk": 5,
        "dmfs_reads_total tier=network": 4,
        "dmfs_api_calls_total outcome=ok route=contents": 9,
        "dmfs_api_calls_total outcome=http_5xx route=contents": 1,
        "dmfs_api_calls_total outcome=ok route=other": 2,
        "dmfs_api_quota_calls quota=contents": 291, "dmfs_api_quota_limit quota=contents": 300,
        "dmfs_cache_bytes": 5, "dmfs_cache_limit_bytes": 10, "dmfs_cache_memory_bytes": 3,
        "dmfs_cache_memory_limit_bytes": 4, "dmfs_evicted_bytes_total": 11,
        "dmfs_listings state=fresh": 5, "dmfs_listings state=stale": 2,
        "dmfs_listing_entries": 70,
        "dmfs_pins state=done": 1, "dmfs_pins state=failed": 1, "dmfs_pins state=waiting": 3,
        "dmfs_pinned_bytes": 99,
        "dmfs_neighbour_refusals_total kind=indexer": 315,
        "dmfs_neighbour_refusals_total kind=thumbnailer": 4,
    }  # fmt: skip


def test_a_histogram_has_each_duration_once_and_reads_at_hand_in_its_smallest_bucket() -> None:
    name = "dmfs_fuse_request_duration_seconds"
    found = series(WHOLE)
    buckets = {
        dict(labels)["le"]: value
        for (key, labels), value in found.items()
        if key == f"{name}_bucket" and ("op", "read") in labels
    }
    assert buckets == {
        "0.001": 102, "0.01": 102, "0.03": 103, "0.1": 103, "0.3": 103, "1.0": 103, "10.0": 103,
        "30.0": 103, "+Inf": 104,
    }  # fmt: skip
    of_read = (("op", "read"),)
    assert found[f"{name}_count", of_read] == found["dmfs_fuse_requests_total", (
        ("errno", "ok"), ("op", "read"),
    )] == 104  # fmt: skip
    assert found[f"{name}_sum", of_read] == pytest.approx(31.0215)
    assert found[f"{name}_count", (("op", "other"),)] == 1


def test_prometheus_itself_finds_no_fault_in_it() -> None:
    assert complaints(WHOLE) == ""
    assert complaints(render({}, {}, {}, "0")) == ""
    assert "no help text" in complaints(b"# TYPE x gauge\nx 1\n"), "it would see one"


def test_what_a_status_does_not_know_is_left_out_and_never_shown_as_nothing() -> None:
    names = {name for name, _ in series(render({"cache": {"bytes": None}}, {}, {}, "0"))}
    assert "dmfs_cache_bytes" not in names
    assert "dmfs_fuse_requests_waiting" not in names
    assert {"dmfs_up", "dmfs_online", "dmfs_evicted_bytes_total"} <= names


@pytest.mark.parametrize("state", ["offline", "offline_forced", "signed_out"])
def test_a_mount_that_serves_what_it_has_is_up_and_not_online(state: str) -> None:
    found = series(render({"state": state}, {}, {}, "0"))
    assert (found["dmfs_up", ()], found["dmfs_online", ()]) == (1, 0)


def test_the_first_error_of_each_kind_shows_as_a_rise() -> None:
    found = series(render({}, {}, {}, "0"))
    for operation in ("lookup", "opendir", "open", "read"):
        for errno in ("EIO", "EACCES", "EBUSY", "ETIMEDOUT"):
            assert found["dmfs_fuse_requests_total", (("errno", errno), ("op", operation))] == 0
    for route in ("contents", "sign", "token"):
        for outcome in ("http_429", "http_5xx", "connect", "timeout"):
            assert found["dmfs_api_calls_total", (("outcome", outcome), ("route", route))] == 0


def test_without_the_library_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(SetupError) as caught:
        render({}, {}, {}, "0")
    assert caught.value.hint == 'pip install "dmfs[metrics]"'


def test_quotas_that_are_not_known_here_are_one_and_the_worst_of_them() -> None:
    rows = [{"name": name, "used": used, "limit": 9} for name, used in (("new", 8), ("newer", 3))]
    found = series(render({"quotas": rows}, {}, {}, "0"))
    assert found["dmfs_api_quota_calls", (("quota", "other"),)] == 8
    rows = [{"name": "new_item", "used": 40, "limit": 50}, {"name": "storage", "used": 90,
            "limit": 300}]  # fmt: skip
    found = series(render({"quotas": rows}, {}, {}, "0"))
    assert found["dmfs_api_quota_calls", (("quota", "other"),)] == 40
    assert found["dmfs_api_quota_limit", (("quota", "other"),)] == 50


def test_a_mount_that_writes_tells_what_waits_and_one_that_reads_tells_nothing() -> None:
    writing = {"waiting": 3, "failed": 1, "used_bytes": 70, "limit_bytes": 100}
    gauges = {"writing.upload": 5, "writing.uploaded_bytes": 1000, "writing.found": 9}
    found = series(render({**STATUS, "writing": writing}, gauges, {}, "1"))
    ours = {
        (name, *(word for _, word in labels)): value
        for (name, labels), value in found.items()
        if name.startswith(("dmfs_drafts", "dmfs_uploa", "dmfs_spool"))
    }
    assert ours == {
        ("dmfs_drafts", "waiting"): 3, ("dmfs_drafts", "failed"): 1,
        ("dmfs_uploads_total", "upload"): 5, ("dmfs_uploads_total", "conflict"): 0,
        ("dmfs_uploads_total", "failed"): 0, ("dmfs_uploaded_bytes_total",): 1000,
        ("dmfs_spool_bytes",): 70, ("dmfs_spool_limit_bytes",): 100,
    }  # fmt: skip
    alone = {name for name, _ in series(render({**STATUS, "writing": None}, GAUGES, {}, "1"))}
    writes = re.compile("dmfs_(drafts|uploa|spool)")
    assert [name for name in alone if writes.match(name)] == []


def test_each_published_quota_has_a_label_of_its_own() -> None:
    others = {"storage", "new_item", "new_version", "new_folder", "change", "commands"}
    others |= {"version", "versions", "search", "new_download", "job", "download", "formats"}
    others |= {"thumbnail"}
    assert set(QUOTAS) | others == set(PUBLISHED_PER_MIN)
    assert not set(QUOTAS) & others


WORDS = st.one_of(
    st.sampled_from(
        "read lookup open statfs ok EIO EACCES contents sign http_429 http_503".split()
    ),
    st.text(max_size=20),
)
NUMBERS: st.SearchStrategy[Any] = st.one_of(
    st.integers(), st.floats(), st.none(), st.text(max_size=3), st.booleans()
)
HOSTILE_GAUGES = st.dictionaries(
    st.one_of(
        st.builds("requests.{}.{}".format, WORDS, WORDS),
        st.builds("calls.{}.{}".format, WORDS, WORDS),
        st.sampled_from(sorted(GAUGES)),
        st.text(max_size=30),
    ),
    NUMBERS,
    max_size=60,
)
JSON: st.SearchStrategy[Any] = st.recursive(
    NUMBERS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3)
)
QUOTA_ROWS = st.fixed_dictionaries(
    {}, optional={"name": WORDS, "used": NUMBERS, "limit": NUMBERS, "held_for_s": NUMBERS}
)
HOSTILE_STATUS = st.fixed_dictionaries(
    {},
    optional={key: JSON for key in STATUS if key != "quotas"}
    | {"quotas": st.one_of(JSON, st.lists(QUOTA_ROWS, max_size=60))}
    | {"pins": st.fixed_dictionaries(dict.fromkeys(STATUS["pins"], NUMBERS))},
)


@given(HOSTILE_STATUS, HOSTILE_GAUGES)
def test_whatever_is_counted_it_is_less_than_300_series_and_no_word_of_it_is_a_label(
    status: Any, gauges: Any
) -> None:
    found = series(render(status, gauges, durations().histograms(), "v"))
    assert len(found) < SERIES_MAX
    for (name, labels), value in found.items():
        assert value >= 0, name
        for key, word in labels:
            assert key in ("op", "errno", "le", "tier", "route", "outcome", "quota", "state",
                           "kind", "version")  # fmt: skip
            assert re.fullmatch(r"[A-Za-z0-9_.+]{1,12}", word), word


def test_every_label_at_once_is_less_than_300_series() -> None:
    import errno as errnos

    codes = ["ok", *errnos.errorcode.values()]
    operations = [*TIMED, "getattr", "getxattr", "listxattr", "statfs"]
    routes = [*PUBLISHED_PER_MIN, "sign", "schema", "probe", "revoke", "userinfo", "search"]
    kinds = ["ok", "connect", "certificate", "timeout", "broken", "machine", "request",
             "cancelled", "nested_encoding"]  # fmt: skip
    outcomes = kinds + [f"http_{status}" for status in range(300, 600)]
    gauges = dict.fromkeys(GAUGES, 1)
    gauges |= {f"requests.{op}.{code}": 1 for op in operations for code in codes}
    gauges |= {f"calls.{route}.{outcome}": 1 for route in routes for outcome in outcomes}
    row = {"used": 1, "limit": 2, "held_for_s": 3}
    status = STATUS | {"quotas": [row | {"name": name} for name in (*QUOTAS, "new", "newer")]}
    counted = Durations()
    for operation in (*operations, *map(str, range(50))):
        counted.count(operation, 1.0)
    text = render(status, gauges, counted.histograms(), "1")
    assert len(series(text)) < SERIES_MAX
    status["writing"] = dict.fromkeys((*DRAFTS, "used_bytes", "limit_bytes", "more"), 1)
    text = render(status, gauges, counted.histograms(), "1")
    assert len(series(text)) < SERIES_MAX + SERIES_OF_WRITING
    assert complaints(text) == ""


@given(st.lists(st.tuples(st.sampled_from(sorted(GAUGES)), st.integers(0, 5)), max_size=20))
def test_counters_only_rise(steps: list[tuple[str, int]]) -> None:
    gauges, counted = dict(GAUGES), durations()
    before = counters(render(STATUS, gauges, counted.histograms(), "1"))
    assert len(before) > 100
    for name, more in steps:
        gauges[name] += more
        counted.count(name.split(".")[1], more / 3)
    after = counters(render(STATUS, gauges, counted.histograms(), "1"))
    assert not [key for key, value in before.items() if after[key] < value]


@given(st.lists(st.floats(0, 100), max_size=30))
def test_a_duration_is_counted_in_the_first_bucket_that_it_fits(seconds: list[float]) -> None:
    counted = Durations()
    for each in seconds:
        counted.count("read", each)
    empty = Histogram((0,) * (len(BOUNDS_S) + 1), 0.0)
    histogram = counted.histograms().get("read", empty)
    for index, bound in enumerate(BOUNDS_S):
        assert sum(histogram.counts[: index + 1]) == sum(each <= bound for each in seconds)
    assert sum(histogram.counts) == len(seconds)
    assert histogram.sum_s == pytest.approx(sum(seconds))


def test_the_list_of_metrics_in_the_docs_is_whole() -> None:
    row = re.compile(r"^\| `(\w+)(?:\{([\w, ]*)\})?` \| (\w+) \| (.+) \|$", re.MULTILINE)
    listed = {match[1]: match.groups()[1:] for match in row.finditer(DOCS.read_text("utf-8"))}
    there = {
        family.name: (", ".join(family.labels) or None, family.kind, family.help)
        for family in FAMILIES
    }
    assert listed == there

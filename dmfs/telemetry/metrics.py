"""``render``: the text that Prometheus scrapes. Counters are read when it is asked for, never
before; see ``metric_families`` for what there is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dmfs.errors import SetupError
from dmfs.telemetry.durations import BOUNDS_S, Histogram
from dmfs.telemetry.metric_families import FAMILIES, Family, Seen

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def check_available() -> None:
    """SetupError if the library is not installed: it is an extra."""
    try:
        import prometheus_client  # noqa: F401, PLC0415 - most mounts have no use for it
    except ImportError:
        raise SetupError(
            "metrics need a library that is not installed",
            hint='pip install "dmfs[metrics]"',
        ) from None


def render(
    status: Mapping[str, Any],
    gauges: Mapping[str, int],
    histograms: Mapping[str, Histogram],
    version: str,
) -> bytes:
    """Everything in Prometheus' text format, to be sent as CONTENT_TYPE.

    ``status`` is that of ``dmfs status``; what it does not know is left out. SetupError without the
    library.
    """
    check_available()
    from prometheus_client import CollectorRegistry, generate_latest  # noqa: PLC0415 - as above
    from prometheus_client.process_collector import ProcessCollector  # noqa: PLC0415

    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    registry.register(_Collector(Seen(status, gauges, histograms, version)))
    return bytes(generate_latest(registry))


class _Collector:
    """Turns the families into the library's."""

    def __init__(self, seen: Seen) -> None:
        self._seen = seen

    def describe(self) -> list[Any]:
        """Nothing is collected when it is registered."""
        return []

    def collect(self) -> Iterator[Any]:
        """One after the other."""
        return (_of_library(family, self._seen) for family in FAMILIES)


def _of_library(family: Family, seen: Seen) -> Any:
    from prometheus_client import core  # noqa: PLC0415 - as above

    kinds: dict[str, Any] = {
        "counter": core.CounterMetricFamily,
        "gauge": core.GaugeMetricFamily,
        "histogram": core.HistogramMetricFamily,
    }
    made = kinds[family.kind](family.name, family.help, labels=family.labels)
    for labels, value in family.samples(seen):
        if isinstance(value, Histogram):
            made.add_metric(labels, _cumulative(value), value.sum_s)
        else:
            made.add_metric(labels, value)
    return made


def _cumulative(histogram: Histogram) -> list[tuple[str, int]]:
    so_far, buckets = 0, []
    for bound, count in zip([*map(str, BOUNDS_S), "+Inf"], histogram.counts, strict=True):
        so_far += count
        buckets.append((bound, so_far))
    return buckets

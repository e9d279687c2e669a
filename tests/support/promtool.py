"""Prometheus' own judgement of our text, and the text as numbers."""

from __future__ import annotations

import os
import shutil
import subprocess
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families

Series = dict[tuple[str, tuple[tuple[str, str], ...]], float]
"""Name and sorted labels → value."""


def promtool() -> str:
    """The program. ``scripts/test`` installs it wherever it may: there its absence is a failure."""
    found = shutil.which("promtool")
    if found is None:
        words = "promtool is not installed (scripts/test installs it: package prometheus)"
        if os.geteuid() == 0 and shutil.which("apt-get"):
            pytest.fail(words)
        pytest.skip(words)
    return found


def complaints(text: bytes) -> str:
    """What ``promtool check metrics`` has to say against it; '' for nothing."""
    done = subprocess.run(
        [promtool(), "check", "metrics"], input=text, capture_output=True, timeout=60, check=False
    )
    words = (done.stdout + done.stderr).decode()
    return words if words or done.returncode == 0 else f"status {done.returncode}"


def series(text: bytes) -> Series:
    """Each sample once."""
    found: Series = {}
    for family in text_string_to_metric_families(text.decode()):
        for sample in family.samples:
            key = sample.name, tuple(sorted(sample.labels.items()))
            assert key not in found, key
            found[key] = sample.value
    return found


def counters(text: bytes) -> Series:
    """Those that must only rise: counters, and all of histograms."""
    kinds = {family.name: family.type for family in text_string_to_metric_families(text.decode())}

    def rises(name: str) -> bool:
        stems = (name, *(name.removesuffix(end) for end in ("_total", "_bucket", "_count", "_sum")))
        return any(kinds.get(stem) in ("counter", "histogram") for stem in stems)

    return {key: value for key, value in series(text).items() if rises(key[0])}


def scraped(address: str, path: str = "/metrics") -> bytes:
    """What a mount answers at ``HOST:PORT``."""
    with urllib.request.urlopen(f"http://{address}{path}", timeout=20) as answer:
        body: bytes = answer.read()
    return body

"""One emulator with the sample world for all tests that leave it as it is, and one to change."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dmfs_emulator.process import EmulatorProcess

from .client import Api, Facts

DEFAULTS = {
    "api_latency_ms": 0, "route_latency_ms": {}, "cdn_latency_ms": 0, "cdn_bytes_per_s": 0,
    "rate_limits": "off", "rate_window_s": 60, "token_ttl_s": 3599, "url_ttl_cap_s": None,
    "signing": None, "url_form": None, "page_limit": None,
}  # fmt: skip


@pytest.fixture(scope="session")
def running() -> Iterator[EmulatorProcess]:
    with EmulatorProcess() as emulator:
        yield emulator
        assert "Traceback" not in emulator.stderr()


@pytest.fixture
def emulator(running: EmulatorProcess) -> Iterator[EmulatorProcess]:
    """Settings, faults and counts as at the start; the world is shared: do not change it."""
    running.clear_faults()
    running.settings(**DEFAULTS)
    running.reset()
    yield running
    running.clear_faults()


@pytest.fixture(scope="session")
def facts(running: EmulatorProcess) -> Facts:
    return Facts(running)


@pytest.fixture
def api(emulator: EmulatorProcess) -> Api:
    return Api(emulator)


@pytest.fixture
def changing() -> Iterator[EmulatorProcess]:
    """A sample world of one's own."""
    with EmulatorProcess() as emulator:
        yield emulator
        assert "Traceback" not in emulator.stderr()

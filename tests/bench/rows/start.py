"""start: how long short commands take, beside a Python that does nothing."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.bench.context import Bench
from tests.bench.processes import CommandFailed, run
from tests.bench.python import environment_of_dmfs, python
from tests.bench.registry import row
from tests.bench.results import Result
from tests.bench.service import LOCAL, SOURCE, Service

_RUNS = 5
"""A figure is the mean of so many: one start takes some ten milliseconds."""
_TIMEOUT_S = 60
TAB = "Tab: paths of a folder"
_VERSION_FACTOR, _LIST_FACTOR, _TAB_FACTOR = 4, 12, 9
_TAB_MS = 150
"""What a person who presses Tab takes for at once."""


@row("start", "dmfs --version, dmfs ls of a folder listed before, Tab; python3 -c pass")
def start(bench: Bench, result: Result) -> None:
    with bench.service("small:files=50", LOCAL, shelf=False) as service:
        env = environment_of(bench, service)
        dmfs = command_of_dmfs()
        listing = [*dmfs, "ls", f"{SOURCE}/small"]
        run(listing, _TIMEOUT_S, env)  # from here on the listing is on disk
        service.emulator.reset()
        series = bench.alternate(
            result,
            "ms",
            {
                "python3 -c pass": timed([sys.executable, "-c", "pass"], env),
                "dmfs --version": timed([*dmfs, "--version"], env),
                "dmfs --help": timed([*dmfs, "--help"], env),
                "dmfs ls": timed(listing, env),
                TAB: timed([*dmfs, "_complete", "zsh", "ls", f"{SOURCE}/small/"], env),
            },
        )
        if any(service.emulator.counts().values()):
            raise CommandFailed("dmfs ls of a known folder or Tab called the service")
    nothing = series["python3 -c pass"].median
    for name, factor in (("dmfs --version", _VERSION_FACTOR), ("dmfs ls", _LIST_FACTOR)):
        goal = f"{name} ≤ {factor} × python3 -c pass"
        result.limit(goal, series[name].median / nothing, factor, "×")
    result.limit(f"{TAB} ≤ {_TAB_FACTOR} × python3 -c pass", series[TAB].median / nothing,
                 _TAB_FACTOR, "×")  # fmt: skip
    result.limit(f"{TAB} ≤ {_TAB_MS} ms", series[TAB].median, _TAB_MS, "ms")


def command_of_dmfs() -> list[str]:
    """The installed command, which people start; else the module, which costs runpy as well."""
    script = Path(sys.executable).with_name("dmfs")
    return [str(script)] if script.exists() else python("dmfs")


def environment_of(bench: Bench, service: Service) -> dict[str, str]:
    """Of a user whose listings stay fresh for an hour."""
    own = bench.places.fresh("start")
    (own / "config.toml").write_text('rates = "off"\nttl = "1h"\nhub_ttl = "1h"\n')
    return environment_of_dmfs(
        DMFS_API_URL=service.emulator.api_url,
        DMFS_CLIENT_ID=service.emulator.client_id,
        DMFS_CLIENT_SECRET=service.emulator.client_secret,
        DMFS_CONFIG=str(own / "config.toml"),
        DMFS_CACHE_DIR=str(own / "cache"),
        DMFS_STATE_DIR=str(own / "state"),
    )


def timed(command: Sequence[str], env: Mapping[str, str]) -> Callable[[], float]:
    """Measures milliseconds of a start."""

    def measure() -> float:
        began = time.perf_counter()
        for _ in range(_RUNS):
            run(command, _TIMEOUT_S, env)
        return (time.perf_counter() - began) / _RUNS * 1000

    return measure

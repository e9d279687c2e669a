"""Programs that read by fsspec. Run by scripts/engines, with what scripts/requirements/engines.lock
has; elsewhere nothing here is collected."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from dmfs.emulator.process import EmulatorProcess

ROWS = pytest.StashKey[list[str]]()
HEAD = "| program | work | listings | signings | GETs | bytes |\n|---|---|---|---|---|---|"

collect_ignore_glob = [] if find_spec("ray") and find_spec("zarr") else ["*.py"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What the programs warn of is not ours."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("ignore"))


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    rows = terminalreporter.config.stash.get(ROWS, [])
    if rows:
        terminalreporter.write_line("\n".join(["", HEAD, *rows]))


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.engines import data

    top = tmp_path_factory.mktemp("files")
    data.make(top)
    return top


@pytest.fixture(scope="session")
def filled(files: Path) -> Iterator[EmulatorProcess]:
    from tests.support.fixtures import running_emulator

    with running_emulator(world=f"sample+directory:{files}") as started:
        yield started


@pytest.fixture
def place(
    filled: EmulatorProcess, files: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator:
    from tests.engines.place import Place, signed_in
    from tests.support.fixtures import calmed

    with calmed(filled), signed_in(filled, tmp_path):
        made = Place(filled, files, tmp_path)
        yield made
        request.config.stash.setdefault(ROWS, []).extend(made.rows)

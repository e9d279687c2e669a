"""The rules of the house that a reviewer would otherwise have to remember: who may import whom,
who may touch the clock, the environment and the network, and how long a file may grow."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parent.parent / "src"
FILES = {path.stem: path for path in sorted((SOURCE / "dmfs").glob("*.py"))}
TREES = {name: ast.parse(path.read_text("utf-8")) for name, path in FILES.items()}

FLOORS = {
    "ground": "__init__ errors clock values heap shorthand model kinds names plan series rates"
    " walk watch writeway delivery arena config findings",
    "service": "deadline flight progress pace slots httperrors urgency ledger budget"
    " breaker suspend tls curlmulti questions wire tokens oauth servicekey auth authcode"
    " tokenfile vault tokenstore session signin answers pages aps codec transfer curlloop"
    " ranges rangewire rangeworker rangeprocess etags holds origins source",
    "kept": "diskthreads diskhealth index eviction cachedir datafile shelf store buffers runs"
    " groupcommit disk memory objects blocks sizes kept knowledge listings",
    "drive": "tree reader warmer scout poller metadata drive xattrs access",
    "doors": "knobs mountpoint logs trouble background notify fuse show callback login whoami"
    " checkup doctor accounts demo cli __main__",
}
"""A file imports only from files that stand before it."""
ORDER = [name for floor in FLOORS.values() for name in floor.split()]

ONLY_IN = {
    "pyfuse3": {"fuse"},
    # (login and doctor name the type of wire's client only)
    "httpx": {"wire", "login", "doctor"},
    "pycurl": {"curlmulti", "curlloop", "questions"},
    "dmfs.emulator": {"demo"},
}
"""Top-level package → the files that may import it."""

WALL_CLOCK = {"time.time", "time.time_ns", "datetime.now", "datetime.utcnow", "datetime.today"}
WALL_CLOCK_IN = {"clock"}
PROCESS_CLOCK = {"time.monotonic", "time.monotonic_ns", "time.perf_counter", "time.sleep"}
PROCESS_CLOCK_IN = {
    "demo": "waits for a child process, outside of trio",
    "curlmulti": "the curl thread has libcurl's timers to keep, and no trio",
}
ENVIRONMENT = {"os.environ", "os.getenv", "os.environb", "sys.argv"}
ENVIRONMENT_IN = {"cli"}
PRINT_IN = {"cli", "demo"}

FILE_LINES = 400
FUNCTION_LINES = 60
LONG_FILES: dict[str, str] = {}
LONG_FUNCTIONS: dict[str, str] = {}
"""Exceptions with their reasons; three at most."""


def imports(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Package and the name within it: ``("dmfs", "plan")``, ``("httpx", "")``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top, _, rest = alias.name.partition(".")
                yield top, rest
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: relative import"
            top, _, rest = (node.module or "").partition(".")
            if rest:
                yield top, rest
            else:
                for alias in node.names:
                    yield top, alias.name


def dotted(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """``a.b`` for each attribute of a plain name, and for each ``from a import b``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            yield f"{node.value.id}.{node.attr}", node.lineno
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield f"{node.module}.{alias.name}", node.lineno


def users_of(words: set[str]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for name, tree in TREES.items():
        lines = [line for word, line in dotted(tree) if word in words]
        if lines:
            found[name] = lines
    return found


def test_every_file_has_its_place() -> None:
    assert sorted(ORDER) == sorted(FILES)
    assert len(set(ORDER)) == len(ORDER)


@pytest.mark.parametrize("name", FILES)
def test_imports_go_one_way(name: str) -> None:
    # what is new and has no place yet fails above, once
    before = set(ORDER[: ORDER.index(name)]) if name in ORDER else set(ORDER)
    used = {rest.split(".")[0] for top, rest in imports(TREES[name]) if top == "dmfs"}
    used = {each if each in FILES else "__init__" for each in used}
    assert used <= before | {"__init__"}, f"{name} reaches up to {sorted(used - before)}"


@pytest.mark.parametrize("package", ONLY_IN)
def test_a_package_is_touched_only_where_it_belongs(package: str) -> None:
    users = {name for name, tree in TREES.items() if package in {top for top, _ in imports(tree)}}
    assert users <= ONLY_IN[package]
    assert users, f"nobody uses {package} any more: take it off the list"


@pytest.mark.parametrize("name", sorted(ONLY_IN["httpx"] - {"wire"}))
def test_httpx_is_only_named_outside_of_wire(name: str) -> None:
    used = {word for word, _ in dotted(TREES[name]) if word.startswith("httpx.")}
    assert used == {"httpx.AsyncClient"}


def test_the_emulator_imports_nothing_from_the_drive() -> None:
    for path in (SOURCE / "dmfs.emulator").rglob("*.py"):
        tops = {top for top, _ in imports(ast.parse(path.read_text("utf-8")))}
        assert "dmfs" not in tops, path


def test_the_wall_clock_is_read_in_one_place() -> None:
    assert set(users_of(WALL_CLOCK)) <= WALL_CLOCK_IN


def test_the_process_clock_is_read_where_there_is_a_reason() -> None:
    assert set(users_of(PROCESS_CLOCK)) == set(PROCESS_CLOCK_IN)


def test_only_the_cli_reads_the_environment_and_the_arguments() -> None:
    assert set(users_of(ENVIRONMENT)) <= ENVIRONMENT_IN


def test_only_doors_print() -> None:
    printing = {
        name
        for name, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
    }
    assert printing <= PRINT_IN


def test_no_file_is_too_long() -> None:
    long = {
        name: lines
        for name, path in FILES.items()
        if (lines := len(path.read_text("utf-8").splitlines())) > FILE_LINES
    }
    assert set(long) == set(LONG_FILES), long


def _functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))


def test_no_function_is_too_long() -> None:
    long = {
        f"{name}.{function.name}": length
        for name, tree in TREES.items()
        for function in _functions(tree)
        if (length := (function.end_lineno or 0) - function.lineno + 1) > FUNCTION_LINES
    }
    assert set(long) == set(LONG_FUNCTIONS), long


def test_exceptions_are_few() -> None:
    assert len(LONG_FILES) + len(LONG_FUNCTIONS) <= 3


TRIVIAL_STATEMENTS = 4
"""Up to so many statements a public function's name may say it all."""


def _undocumented(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            if not node.name.startswith("_") and ast.get_docstring(node) is None:
                yield node.name
            for member in node.body:
                yield from (f"{node.name}.{name}" for name in _bare(member, node))
        else:
            yield from _bare(node, None)


def _bare(node: ast.stmt, owner: ast.ClassDef | None) -> Iterator[str]:
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or node.name.startswith("_"):
        return
    if owner is not None:
        bases = {ast.unparse(base).rpartition(".")[2] for base in owner.bases}
        # the protocol says what its methods do; so does pyfuse3 of its own
        if owner.name.startswith("_") or bases & {"Protocol", "Operations", "Progress"}:
            return
    decorators = {ast.unparse(each) for each in node.decorator_list}
    statements = sum(isinstance(each, ast.stmt) for each in ast.walk(node)) - 1
    trivial = statements <= TRIVIAL_STATEMENTS or "property" in decorators
    if not trivial and ast.get_docstring(node) is None:
        yield node.name


@pytest.mark.parametrize("name", FILES)
def test_what_is_public_says_what_it_is(name: str) -> None:
    assert ast.get_docstring(TREES[name]), "the file itself"
    assert list(_undocumented(TREES[name])) == []

"""The rules of the house that a reviewer would otherwise have to remember: who may import whom,
who may touch the clock, the environment and the network, and how long a file may grow."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house_plan import (
    APART,
    ENVIRONMENT,
    ENVIRONMENT_IN,
    INSIDE,
    ONLY_IN,
    ORDER,
    PRINT_IN,
    PROCESS_CLOCK,
    PROCESS_CLOCK_IN,
    WALL_CLOCK,
    WALL_CLOCK_IN,
    WITHOUT_TRIO,
)
from tests.support import schedule

ROOT = Path(__file__).resolve().parent.parent


def _module(path: Path) -> str:
    """``blocks.cache`` of ``dmfs/blocks/cache.py``; a package's ``__init__`` is the package."""
    parts = path.relative_to(ROOT / "dmfs").with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__") or "__init__"


SOURCES = sorted((ROOT / "dmfs").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
FILES = {_module(path): path for path in SOURCES}


class _Trees(dict[str, ast.Module]):
    """Parsed when somebody asks: every worker imports this file, one of them runs it."""

    def __missing__(self, name: str) -> ast.Module:
        tree = self[name] = ast.parse(FILES[name].read_text("utf-8"))
        return tree


TREES = _Trees()
HOUSE = [name for name in FILES if name.partition(".")[0] != "emulator"]
EMULATOR = [name for name in FILES if name.partition(".")[0] == "emulator"]

FILE_LINES = 400
FUNCTION_LINES = 60
FOLDER_FILES = 12
COLLOQUIAL = {"told", "asked", "kept", "holds", "whoever"}
"""One word for one thing, and that of the field: none of these is part of an identifier."""
WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


def imports(tree: ast.AST) -> Iterator[str]:
    """Modules by their whole names: ``dmfs.blocks.cache``, ``httpx``. Of ``from a import b`` both
    ``a`` and ``a.b``, for ``b`` may be a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: relative import"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def house_imports(name: str) -> set[str]:
    """Files of the house that a file imports."""
    found = set()
    for each in imports(TREES[name]):
        inner = each.removeprefix("dmfs.") if each.startswith("dmfs.") else ""
        if each == "dmfs":
            inner = "__init__"
        if inner in FILES and inner != name:
            found.add(inner)
    return found


def packages(name: str) -> str:
    return name.rpartition(".")[0]


def dotted(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """``a.b`` for each attribute of a plain name, and for each ``from a import b``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            yield f"{node.value.id}.{node.attr}", node.lineno
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield f"{node.module}.{alias.name}", node.lineno


def users_of(words: set[str]) -> set[str]:
    """Files of the house that use one of these names."""
    return {name for name in HOUSE if any(word in words for word, _ in dotted(TREES[name]))}


def test_every_package_and_every_file_has_its_place() -> None:
    tops = {name.partition(".")[0] for name in HOUSE}
    assert sorted(ORDER) == sorted(tops)
    for package, inside in INSIDE.items():
        there = {
            name.removeprefix(package + ".").partition(".")[0]
            for name in FILES
            if name.startswith(package + ".")
        }
        assert sorted(inside.split()) == sorted(there), package


def wrong_imports(name: str) -> Iterator[str]:
    parts = name.split(".")
    for used in house_imports(name):
        other = used.split(".")
        if other[0] == "emulator" != parts[0]:
            if name not in ("cli.demo", "cli.documents.pages", "cli.completion.wanted"):
                yield f"{name} imports the emulator"
            continue
        shared = 0
        while shared < min(len(parts), len(other)) and parts[shared] == other[shared]:
            shared += 1
        if shared == len(other) or shared == len(parts):
            continue  # a package's own __init__
        order = INSIDE[".".join(parts[:shared])].split() if shared else ORDER
        if order.index(other[shared]) >= order.index(parts[shared]):
            yield f"{name} → {used}"


def test_the_page_for_engineers_has_every_floor_in_its_order() -> None:
    """Of the drawing of the house; the emulator stands beside it."""
    drawn = (ROOT / "CONTRIBUTING.md").read_text("utf-8").split("```")[3]
    heads = [line.split("  ")[0] for line in drawn.splitlines() if line[:1].isalpha()]
    words = [word for head in heads for word in head.split()]
    words += re.findall(r" {2}(assembly|jobs|spec) ", drawn)
    named = [each for each in ORDER if each not in {"__init__", "__main__"}]
    assert [each for each in named if each not in words] == []


def test_imports_go_one_way() -> None:
    assert [each for name in FILES for each in wrong_imports(name)] == []


@pytest.mark.parametrize("package", APART)
def test_the_two_planes_meet_in_the_drive_alone(package: str) -> None:
    for name in HOUSE:
        if name.partition(".")[0] == package:
            used = {each.partition(".")[0] for each in house_imports(name)}
            assert not used & APART[package], name


@pytest.mark.parametrize("package", ONLY_IN)
def test_a_library_is_touched_only_where_it_belongs(package: str) -> None:
    users = {
        name
        for name in HOUSE
        if package in {each.partition(".")[0] for each in imports(TREES[name])}
    }
    assert users == ONLY_IN[package]


@pytest.mark.parametrize("place", WITHOUT_TRIO)
def test_what_decides_or_blocks_knows_no_event_loop(place: str) -> None:
    names = [name for name in HOUSE if name == place or name.startswith(place.rstrip(".") + ".")]
    assert names
    for name in names:
        assert "trio" not in {each.partition(".")[0] for each in imports(TREES[name])}, name


def test_the_emulator_imports_nothing_from_the_drive() -> None:
    for name in EMULATOR:
        for used in imports(TREES[name]):
            assert not used.startswith("dmfs") or used.startswith("dmfs.emulator"), name


def test_only_aps_spells_the_words_of_the_data_api() -> None:
    words = ("/data/v1", "/project/v1", "/oss/v2", '"urn:adsk')
    for name in HOUSE:
        if not name.startswith(("aps.", "web_links.")):  # these read what people paste
            text = FILES[name].read_text("utf-8")
            code = "\n".join(line for line in text.splitlines() if "``" not in line)
            assert not [word for word in words if word in code], name


def test_every_drive_error_is_defined_in_one_file() -> None:
    known = {"DriveError"}
    known |= {node.name for node in TREES["errors"].body if isinstance(node, ast.ClassDef)}
    for name in HOUSE:
        for node in ast.walk(TREES[name]):
            if isinstance(node, ast.ClassDef) and name != "errors":
                assert not {ast.unparse(base) for base in node.bases} & known, f"{name}.{node.name}"


DOORS = {"fuse", "cli", "spec"}
DOOR_LINES = {"fuse.operations": 270, "fuse.write_operations": 270}
"""A door translates: where it grows, something that belongs behind ``Drive`` has come into it."""


def test_doors_call_the_verbs_of_the_drive_alone() -> None:
    """``drive.list(…)``, never ``drive.parts`` and never ``drive.<part>.<verb>(…)``."""
    for name in HOUSE:
        if name.partition(".")[0] not in DOORS:
            continue
        for node in ast.walk(TREES[name]):
            if isinstance(node, ast.Attribute):
                inner = node.value
                assert not (node.attr == "parts" and ast.unparse(inner).endswith("drive")), name
                if isinstance(inner, ast.Attribute) and inner.attr != "settings":
                    of_drive = ast.unparse(inner.value) in ("drive", "self._drive")
                    assert not of_drive, f"{name}: {ast.unparse(node)}"


@pytest.mark.parametrize("name", DOOR_LINES)
def test_a_door_only_translates(name: str) -> None:
    assert len(FILES[name].read_text("utf-8").splitlines()) < DOOR_LINES[name]


def test_the_wall_clock_is_read_in_one_place() -> None:
    assert users_of(WALL_CLOCK) <= WALL_CLOCK_IN


def test_the_process_clock_is_read_where_there_is_a_reason() -> None:
    assert users_of(PROCESS_CLOCK) == set(PROCESS_CLOCK_IN)


def test_only_the_cli_reads_the_environment_and_the_arguments() -> None:
    assert users_of(ENVIRONMENT) == ENVIRONMENT_IN


def test_no_python_of_ours_imports_from_the_working_directory() -> None:
    """Whose files lie there is not known: words that have Python run a module hold ``-P``."""
    ours = [
        words
        for tree in TREES.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.List)
        and "-m" in (words := [each.value for each in node.elts if isinstance(each, ast.Constant)])
    ]
    assert len(ours) >= 7
    assert [words for words in ours if "-P" not in words[: words.index("-m")]] == []


def test_only_doors_print() -> None:
    printing = {
        name
        for name in HOUSE
        for node in ast.walk(TREES[name])
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
    }
    assert printing <= PRINT_IN


def _where(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _too_long(path: Path) -> Iterator[str]:
    text = path.read_text("utf-8")
    if len(text.splitlines()) > FILE_LINES:
        yield _where(path)
    for node in ast.walk(ast.parse(text)):
        if (
            isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            and (node.end_lineno or 0) - node.lineno + 1 > FUNCTION_LINES
        ):
            yield f"{_where(path)}: {node.name}"


def test_no_file_and_no_function_is_too_long() -> None:
    assert [each for path in (*SOURCES, *TESTS) for each in _too_long(path)] == []


def test_files_that_are_scheduled_are_there() -> None:
    assert [path for path in schedule.LONG if not (ROOT / "tests" / path).is_file()] == []
    assert len(set(schedule.LONG)) == len(schedule.LONG)


def test_no_folder_has_too_many_files() -> None:
    for folder in {path.parent for path in SOURCES}:
        files = [path for path in folder.glob("*.py") if path.name != "__init__.py"]
        assert len(files) <= FOLDER_FILES, folder


def _identifiers(tree: ast.AST) -> Iterator[str]:
    """Names that a file gives: of functions, classes, arguments, variables and attributes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr


def test_no_word_of_daily_speech_names_a_thing() -> None:
    found = {
        f"{name}: {identifier}"
        for name in FILES
        for identifier in {*_identifiers(TREES[name]), *name.split(".")}
        for word in WORD.findall(identifier.replace("_", " "))
        if word.lower() in COLLOQUIAL
    }
    assert found == set()


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
        # the protocol says what its methods do; so do pyfuse3, fsspec and io of theirs
        if owner.name.startswith("_") or bases & {
            "Protocol",
            "Operations",
            "Progress",
            "AbstractFileSystem",
            "RawIOBase",
        }:
            return
    decorators = {ast.unparse(each) for each in node.decorator_list}
    statements = sum(isinstance(each, ast.stmt) for each in ast.walk(node)) - 1
    trivial = statements <= TRIVIAL_STATEMENTS or "property" in decorators
    if not trivial and ast.get_docstring(node) is None:
        yield node.name


def test_what_is_public_says_what_it_is() -> None:
    assert [name for name in FILES if not ast.get_docstring(TREES[name])] == []
    assert [f"{name}: {each}" for name in FILES for each in _undocumented(TREES[name])] == []

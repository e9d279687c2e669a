"""Programs of other people that tests run: a machine with nothing prepared gets them from
``scripts/test``, or it skips those tests for good and nobody learns of it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.hostile.nightly import PARTS
from tests.write.saves.test_programs import WAYS

ROOT = Path(__file__).resolve().parents[2]
EVERYWHERE = frozenset("bash cp git perl python3 script sed tac tar unshare".split())
"""In each Debian, or needed to have a checkout with a ``.venv`` at all."""
LARGE = frozenset(program for part in PARTS for program in part.packages)
"""Hundreds of megabytes, that only the nightly run installs."""


def installed() -> dict[str, str]:
    """By program: the package that ``scripts/test`` takes it from."""
    text = (ROOT / "scripts/test").read_text()
    listed = text.partition("\ntools=(\n")[2].partition("\n)\n")[0].split()
    return {program: package or program for program, _, package in
            (each.partition("=") for each in listed)}  # fmt: skip


def marked(tree: ast.AST) -> Iterator[ast.expr]:
    """The arguments of ``pytest.mark.tool(…)``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.tool":
            yield from node.args


def sources() -> Iterator[tuple[str, str]]:
    for path in (ROOT / "tests").rglob("*.py"):
        yield path.relative_to(ROOT).as_posix(), path.read_text("utf-8")


def test_each_program_that_a_marker_names_is_installed_or_known_to_be_large() -> None:
    named, others = set(WAYS), []
    for name, text in sources():
        if "mark.tool(" in text and name != Path(__file__).relative_to(ROOT).as_posix():
            for argument in marked(ast.parse(text)):
                if isinstance(argument, ast.Constant):
                    named.add(str(argument.value))
                else:
                    others.append((name, ast.unparse(argument)))
    assert others == [("tests/write/saves/test_programs.py", "way")], "whose names are WAYS"
    assert {"gio", "rsync", "systemd-analyze"} < named
    assert named - installed().keys() - EVERYWHERE - LARGE == set(), "enter it in scripts/test"
    assert LARGE - named == LARGE & installed().keys() == set(), "no longer true of it"


def test_no_test_looks_for_its_program_beside_the_marker() -> None:
    beside = re.compile(r"skipif\([^\n]*\bwhich\(")
    assert [name for name, text in sources() if beside.search(text)] == []

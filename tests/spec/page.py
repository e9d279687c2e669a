"""The blocks of Python in docs/fsspec.md."""

from __future__ import annotations

import ast
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[2] / "docs" / "fsspec.md"


def blocks() -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def missing(block: str) -> list[str]:
    """Libraries of a block that are not installed here."""
    tree = ast.walk(ast.parse(block))
    names = [
        name.partition(".")[0]
        for node in tree
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (
            [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else [each.name for each in node.names]
        )
    ]
    return [name for name in names if find_spec(name) is None]


def run(blocks: list[str]) -> dict[str, Any]:
    """One after the other, as in one notebook; the names that they made."""
    names: dict[str, Any] = {}
    for number, block in enumerate(blocks):
        exec(compile(block, f"block {number} of {PAGE.name}", "exec"), names)
    return names

"""docs/notebook.ipynb runs from its first cell to its last, and shows what it shows in the docs.

With ``DMFS_NOTEBOOK=write`` its outputs are written instead.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

from tests.engines.place import Place

NOTEBOOK = Path(__file__).parents[2] / "docs" / "notebook.ipynb"


def shown(notebook: Any) -> list[list[str]]:
    """What each cell says in plain text, and which kinds of pictures it shows."""
    return [
        [
            str(output.get("data", {}).get("text/plain", output.get("text", output)))
            if "image/png" not in output.get("data", {})
            else "a picture"
            for output in cell.outputs
        ]
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]


def test_notebook(place: Place):
    stored = nbformat.read(NOTEBOOK, as_version=4)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    for cell in notebook.cells:
        cell.metadata = {}
    if os.environ.get("DMFS_NOTEBOOK") == "write":
        notebook.metadata = stored.metadata
        NOTEBOOK.write_text(nbformat.writes(notebook, indent=1) + "\n", "utf-8")
        stored = notebook
    assert shown(notebook) == shown(stored)
    assert "a picture" in str(shown(notebook))
    place.told("Jupyter", "docs/notebook.ipynb", 10, 3, 3, 5_900)


def test_nothing_of_this_machine_is_in_it(place: Place):
    text = NOTEBOOK.read_text("utf-8")
    assert len(text) < 200_000
    home = str(Path.home())
    for word in ("127.0.0.1", place.emulator.client_secret, "DMFS_CLIENT_SECRET", "Bearer", home):
        assert word not in text

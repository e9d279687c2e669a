"""What docs/fsspec.md tells to type works, with all the programs in it."""

from __future__ import annotations

from typing import Any

from tests.engines.place import Place
from tests.spec import page


def test_the_blocks_of_the_page(place: Place):
    made: dict[str, Any] = page.run(page.blocks())
    assert (len(made["doors"]), made["table"].num_rows) == (24, 24)
    assert made["wide"] == [(int((made["doors"].width_mm > 900).sum()),)]
    assert made["before"] == b"First meeting.\n"

"""Which certificates are trusted, and what is said of a file that is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from dmfs.errors import SetupError
from dmfs.http.tls import ca_bundle


@pytest.mark.parametrize("name", ["absent", "x" * 300, "y/" * 3000, "nul\0", ""])
def test_a_certificate_file_that_cannot_be_is_told_as_absent(tmp_path: Path, name: str) -> None:
    with pytest.raises(SetupError, match="does not exist"):
        ca_bundle(f"{tmp_path}/{name}")

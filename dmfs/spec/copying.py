"""Which file goes where when many are copied: fsspec's rules, and all copies at once."""

from __future__ import annotations

from typing import Any


class Pairs:
    """Stands in for a filesystem while fsspec decides: it goes by the real one's names, and each
    copy that fsspec orders is noted instead of made, so that all can be made at once."""

    def __init__(self, fs: Any) -> None:
        self._fs = fs
        self.found: list[tuple[str, str]] = []
        """From where to where."""

    def get_file(self, source: str, target: str, **_: Any) -> None:
        """A copy that was ordered."""
        self.found.append((source, target))

    put_file = get_file

    def __getattr__(self, name: str) -> Any:
        return getattr(self._fs, name)

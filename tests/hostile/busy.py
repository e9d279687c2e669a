"""The world of the busy drives: small files, big ones and a tree."""

from __future__ import annotations

FOLDER = "Bench/Bench Project/Project Files"
BIG = 40_000_000
"""Size of a big file in bytes."""
WORLD = f"small:files=60+big:size={BIG},count=3+tree:folders=40,files=200,depth=4"

"""Bugs planted on purpose, in a copy of the tree: the suite must fall for each of them.

``python -m tests.hostile.planted [NAME…] [-- PYTEST ARGUMENTS]`` prints which tests caught which.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUGS: dict[str, tuple[str, str, str]] = {
    "planner: a block too many": (
        "spans.py",
        "-(-span.stop // BLOCK_BYTES))",
        "span.stop // BLOCK_BYTES + 1)",
    ),
    "planner: the last block is taken for a whole one": (
        "spans.py",
        "return Span(start, min(blocks.stop * BLOCK_BYTES, size_bytes))",
        "return Span(start, blocks.stop * BLOCK_BYTES)",
    ),
    "cache index: blocks are believed unread": (
        "blocks/store/attached.py",
        "stored.states[number] = PRESENT",
        "stored.states[number] = VERIFIED",
    ),
    "paging: a short page is the last": (
        "aps/jsonapi.py",
        "    if not href:\n",
        '    if not href or len(answer.get("data", [])) < 200:\n',
    ),
    "token refresh: a refused token is used again": (
        "auth/token_sources.py",
        "self._fetch_if(lambda: self._token == refused)",
        "self._fetch_if(lambda: not self._token)",
    ),
    "errno mapping: gone is absent": (
        "errors.py",
        "errno = errno.ESTALE",
        "errno = errno.ENOENT",
    ),
    "buffers: used again while somebody looks": (
        "system/shared_memory.py",
        "ref(array, lambda _: self._dead.append((piece, stop)))",
        "self._dead.append((piece, stop))",
    ),
    "disk: a hung call is followed by others": (
        "system/disk_threads.py",
        "            if self.hangs:\n",
        "            if False:\n",
    ),
    "disk: a late result is lost": (
        "system/disk_threads.py",
        "if self.abandoned and self._error is None and self._undo is not None:",
        "if False:",
    ),
    "disk: one failure too many is warned of": (
        "system/disk_health.py",
        "again = bool(self._failing) or not self._warnings.is_over",
        "again = False",
    ),
    "ETag: any will do": (
        "fetch/curl/transfer.py",
        "return not etag or etag == self.etag",
        "return True",
    ),
    "wake-up lost: nobody is told of room": (
        "blocks/cache.py",
        "if extent.landed and not extent.pins:",
        "if extent.landed and extent.pins < 0:",
    ),
    "journal order: rows before the bytes that they name": (
        "write/spool/content.py",
        "        await generation.file.sync()\n",
        "",
    ),
    "lost answer: what was posted is taken for nothing": (
        "write/upload/plan/look.py",
        "    if seen is Seen.OURS:\n        return Decision(Verdict.DONE)\n    since_post_s",
        "    since_post_s",
    ),
    "join of renames: whoever ends up under the name is a new item": (
        "write/settle/claims.py",
        "if before is not None and before.item_id not in claims.owner:",
        "if False:",
    ),
    "conflict check: any tip will do": (
        "write/upload/plan/conflicts.py",
        "return Find.BASE if stands_on(base, tip.file) else Find.THEIRS",
        "return Find.BASE",
    ),
    "part order: ETags as the parts were sent": (
        "write/upload/steps.py",
        "etags = [row.etags[number] for number in range(1, row.plan.count + 1)]",
        "etags = list(row.etags.values())",
    ),
    "holes: what was cut off comes back": (
        "write/spool/content.py",
        "                self._map.cut(size_bytes)\n",
        "                pass\n",
    ),
    "two owners: the lock is asked for, and not needed": (
        "write/spool/owner.py",
        "fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)",
        "fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)",
    ),
    "local names: a lock file is a file": (
        "write/settle/locality.py",
        "if match is not None and match.row.kind is Kind.ALWAYS and self._is_beside(match):",
        "if False:",
    ),
    "adoption: a version is another inode": (
        "write/overlay/adopted.py",
        "return under_key(file, adopted.key, adopted.mtime_ns)",
        "return file",
    ),
    "deletes: somebody's newer version goes with them": (
        "write/calls/name_calls.py",
        "if step.item.version_id and tip.file.version_id != step.item.version_id:",
        "if False:",
    ),
}
UNITS = "aps auth blocks fetch fuse http namespace prefetch ratelimit system telemetry words write"
DEFAULT = [
    "tests/hostile",
    *(f"tests/{each}" for each in UNITS.split()),
    "--deselect",
    "tests/hostile/test_kills.py",
    "--deselect",
    "tests/hostile/test_load.py",
    "--deselect",
    "tests/hostile/test_mounted.py",
    "--deselect",
    "tests/hostile/test_memory.py",
    "--deselect",
    "tests/hostile/test_cache_disk",
    "--maxfail=4",
]
PLACES = ["--deselect", "tests/hostile/test_mended.py::test_there_is_a_place_to_plant_each_bug"]
"""It falls for each bug that is planted, and proves nothing."""


def plant(name: str, arguments: list[str]) -> list[str]:
    """The tests that fell, '' for none."""
    file, old, new = BUGS[name]
    with tempfile.TemporaryDirectory(prefix="dmfs-planted-") as directory:
        copy = Path(directory) / "tree"
        skip = shutil.ignore_patterns(".git", ".venv", "__pycache__", ".*_cache", ".hypothesis")
        shutil.copytree(ROOT, copy, ignore=skip, symlinks=True)
        source = copy / "dmfs" / file
        text = source.read_text("utf-8")
        assert text.count(old) == 1, f"{name}: the place to plant it is gone from {file}"
        source.write_text(text.replace(old, new), "utf-8")
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments, *PLACES],
            cwd=copy, env={**os.environ, "PYTHONPATH": str(copy)},
            capture_output=True, text=True, timeout=1200, check=False,
        )  # fmt: skip
    found = re.findall(r"^(?:FAILED|ERROR) (\S+(?: \S+)*?)(?: - .*)?$", done.stdout, re.MULTILINE)
    return [*dict.fromkeys(found)]


def main() -> int:
    words = sys.argv[1:]
    split = words.index("--") if "--" in words else len(words)
    names, arguments = words[:split], words[split + 1 :] or DEFAULT
    survived = 0
    print("| planted bug | caught by |\n|---|---|")
    for name in BUGS:
        if names and not any(word in name for word in names):
            continue
        fallen = plant(name, arguments)
        survived += not fallen
        shown = ", ".join(f"`{each.rpartition('::')[2]}`" for each in fallen[:3])
        print(f"| {name} | {shown or '**nobody**'} |", flush=True)
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main())

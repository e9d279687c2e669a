"""Constants of the model, measured on this machine: python -m tests.scale.measure."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from dmfs.blocks.store.block_store import BlockStore
from dmfs.emulator.process import EmulatorProcess
from dmfs.model import StorageId
from tests.spec.conftest import BENCH, environment_of

ENTRIES = 2000
OBJECTS = 2000
LIST = """
import sys, tracemalloc
from dmfs.spec.filesystem import DmfsFileSystem
fs = DmfsFileSystem()
fs.ls("/")
tracemalloc.start()
fs.find(sys.argv[1])
print(tracemalloc.get_traced_memory()[0])
"""


def entry_bytes() -> tuple[float, float]:
    """Of one entry of a listing: in memory, and in the listings' database."""
    world = f"wide:items={ENTRIES}"
    with EmulatorProcess(world=world) as emulator, tempfile.TemporaryDirectory() as directory:
        environment = environment_of(emulator, Path(directory))
        words = [sys.executable, "-c", LIST, f"{BENCH}/wide"]
        done = subprocess.run(words, env=environment, capture_output=True, check=True, timeout=120)
        cache = Path(directory) / "cache"
        kept = sum(each.stat().st_size for each in cache.rglob("*") if "listing" in str(each))
        return int(done.stdout) / ENTRIES, kept / ENTRIES


def object_bytes() -> float:
    """Of the index, for an object at rest of one block."""
    with tempfile.TemporaryDirectory() as directory:
        store = BlockStore(Path(directory), limit_bytes=1 << 30, free_percent=0)
        data = memoryview(bytes(1000))
        for number in range(OBJECTS):
            storage_id = StorageId(f"urn:adsk.objects:os.object:wip.dm.prod/{number:036}.ifc")
            stored = store.attach(storage_id, len(data))
            store.write_small([(stored, 0, data)])
            store.release(stored)
        store.close()
        index = Path(directory).glob("blocks-*/index.db*")
        return sum(each.stat().st_size for each in index) / OBJECTS


def main() -> None:
    memory, disk = entry_bytes()
    print(f"an entry: {memory:.0f} bytes in memory, {disk:.0f} on disk")
    print(f"an object at rest: {object_bytes():.0f} bytes of index")


if __name__ == "__main__":
    main()

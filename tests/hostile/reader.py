"""One of many processes on a drive: reads, walks and stats at random and checks every byte.

``python reader.py DIRECTORY TILES SECONDS SEED`` prints one line of JSON. A file's bytes are its
tile repeated (as the emulator makes them), so any slice can be checked. Stdlib only.
"""

# ruff: noqa: PTH110, PTH116, PTH118, PTH119, PTH120, PTH123, PTH208

from __future__ import annotations

import json
import mmap
import os
import random
import sys
import time
from pathlib import Path

TILE = 1_048_573


def truth(tile: bytes, start: int, stop: int) -> bytes:
    pieces = []
    while start < stop:
        at = start % TILE
        piece = tile[at : at + stop - start]
        pieces.append(piece)
        start += len(piece)
    return b"".join(pieces)


def main() -> None:
    directory, tiles, seconds, seed = sys.argv[1], Path(sys.argv[2]), sys.argv[3], sys.argv[4]
    dice = random.Random(int(seed))
    sizes: dict[str, int] = json.loads((tiles / "sizes.json").read_text("ascii"))
    known = {name: (tiles / name.replace("/", "_")).read_bytes() for name in sizes}
    told = {"operations": 0, "bytes": 0, "wrong": 0, "slowest": 0.0}
    errors: list[str] = []
    give_up = time.monotonic() + float(seconds)
    while time.monotonic() < give_up:
        started = time.monotonic()
        name = dice.choice(list(sizes))
        path, size = os.path.join(directory, name), sizes[name]
        try:
            what = dice.randrange(10)
            if what == 0:
                for _ in os.walk(directory):
                    pass
            elif what == 1:
                assert os.stat(path).st_size == size
                assert not os.path.exists(path + " absent")
            elif what == 2:
                entries = os.listdir(os.path.dirname(path))
                told["wrong"] += os.path.basename(path) not in entries
            elif what == 3 and size:
                with (
                    open(path, "rb") as file,
                    mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as view,
                ):
                    at = dice.randrange(size)
                    stop = min(size, at + 50_000)
                    told["wrong"] += view[at:stop] != truth(known[name], at, stop)
                    told["bytes"] += stop - at
            else:
                with open(path, "rb", buffering=0) as raw:
                    at = 0 if what > 7 else dice.randrange(size + 1)
                    for _ in range(1 if what < 6 else 12):
                        length = dice.choice((1, 4096, 131_072, 1 << 20))
                        data = os.pread(raw.fileno(), length, at)
                        stop = min(size, at + length)
                        told["wrong"] += data != truth(known[name], at, stop)
                        told["bytes"] += len(data)
                        at = stop
        except OSError as error:
            errors.append(f"{error.errno} {error.strerror}: {name}")
            if len(errors) > 20:
                break
        told["operations"] += 1
        told["slowest"] = max(told["slowest"], time.monotonic() - started)
    print(json.dumps({**told, "errors": errors}))


if __name__ == "__main__":
    main()

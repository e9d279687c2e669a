"""Many files open and read at once by one process: ``python streams.py SECONDS FILE…``.

Each file has a thread that reads it from its start, a MiB at a time, over and over until the time
is up; one line of JSON says what came. Stdlib only.
"""

# ruff: noqa: PTH123

from __future__ import annotations

import json
import os
import sys
import threading
import time


def main() -> None:
    seconds, names = float(sys.argv[1]), sys.argv[2:]
    told = {"bytes": 0, "errors": 0}
    lock = threading.Lock()
    files = [open(name, "rb", buffering=0) for name in names]  # noqa: SIM115 - all at once
    give_up = time.monotonic() + seconds

    def stream(number: int) -> None:
        fd, at = files[number].fileno(), 0
        while time.monotonic() < give_up:
            try:
                got = len(os.pread(fd, 1 << 20, at))
                os.posix_fadvise(fd, at, got, os.POSIX_FADV_DONTNEED)  # the drive is asked again
            except OSError:
                with lock:
                    told["errors"] += 1
                return
            at = at + got if got else 0
            with lock:
                told["bytes"] += got

    threads = [threading.Thread(target=stream, args=(number,)) for number in range(len(files))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for file in files:
        file.close()
    print(json.dumps(told))


if __name__ == "__main__":
    main()

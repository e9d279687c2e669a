"""Eight processes in four network namespaces under 60 calls a minute: the nightly part ``quota``.

The clock of one machine is 3 s off. The coordinator is killed in the middle, and comes back empty.
What counts is the emulator's log.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

from dmfs.emulator.process import EmulatorProcess
from tests.ratelimit.cluster.namespaces import BRIDGE, HOST, namespaces
from tests.ratelimit.cluster.worker import PLACE
from tests.support.coordinators import SERVER

IMPOSSIBLE = 77
LIMIT, LEAST, WINDOW_S = 60, 57, 61.0
PORT, PROCESSES, MACHINES = 6399, 8, 4
SHARED_S = float(os.environ.get("DMFS_QUOTA_SHARED_S", "200"))
AWAY_S, AFTER_S = 20.0, float(os.environ.get("DMFS_QUOTA_AFTER_S", "70"))
FOLDERS = [f"{PLACE}/{name}" for name in ("exactly 200", "201 entries", "450 entries")]


def _server() -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [SERVER, "--bind", HOST, "--port", str(PORT), "--save", "", "--appendonly", "no",
         "--requirepass", "hush"], stdout=subprocess.DEVNULL,
    )  # fmt: skip


def _most(moments: list[float]) -> int:
    """Most calls in any window."""
    most = first = 0
    for number, at in enumerate(moments):
        while moments[first] <= at - WINDOW_S:
            first += 1
        most = max(most, number - first + 1)
    return most


def _run(stack: ExitStack, directory: Path) -> int:
    names = stack.enter_context(namespaces(MACHINES))
    emulator = stack.enter_context(EmulatorProcess())
    ports = [str(urlsplit(url).port) for url in (emulator.api_url, emulator.cdn_url)]
    relays = [[HOST, "127.0.0.1"], *(["127.0.0.1", HOST] for _ in names)]
    for name, words in zip(["", *names], relays, strict=True):
        inside = ["ip", "netns", "exec", name] if name else []
        command = [*inside, sys.executable, "-m", "tests.ratelimit.cluster.namespaces"]
        relay_process = subprocess.Popen([*command, *words, *ports])
        stack.callback(relay_process.kill)
    server = _server()
    stack.callback(server.kill)
    time.sleep(2)
    environment = os.environ | {
        "DMFS_API_URL": emulator.api_url, "DMFS_CLIENT_ID": emulator.client_id,
        "DMFS_CLIENT_SECRET": emulator.client_secret, "QUOTA_FOLDERS": json.dumps(FOLDERS),
        "DMFS_QUOTA": f"redis://:hush@{HOST}:{PORT}/0", "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }  # fmt: skip
    workers = []
    for number in range(PROCESSES):
        machine = number % MACHINES
        off = ["faketime", "-f", "-3s"] if machine == 3 and shutil.which("faketime") else []
        workers.append(subprocess.Popen(
            ["ip", "netns", "exec", names[machine], *off, sys.executable, "-m",
             "tests.ratelimit.cluster.worker", str(number), str(PROCESSES),
             str(SHARED_S + AWAY_S + AFTER_S), str(directory / names[machine])],
            env=environment, stdout=subprocess.PIPE, text=True,
        ))  # fmt: skip
        stack.callback(workers[-1].kill)
    time.sleep(SHARED_S)
    server.kill()
    server.wait()
    killed_at = time.time()
    print("the coordinator was killed", flush=True)
    time.sleep(AWAY_S)
    server = _server()
    stack.callback(server.kill)
    said = [json.loads(worker.communicate(timeout=AFTER_S + 120)[0]) for worker in workers]
    for each in said:
        print(json.dumps(each), flush=True)
    log = emulator.calls()["log"]
    moments = sorted(each["t"] for each in log if each["route"] == "sign")
    minutes = [
        sum(0 <= at - moments[0] - 60 * k < 60 for at in moments)
        for k in range(int((killed_at - moments[0]) // 60))
    ]
    most, lost = _most(moments), sum(len(each["lost"]) for each in said)
    read = sum(each["read"] for each in said)
    print(f"{read} reads, {lost} lost; {len(moments)} calls, most in any 61 s: {most}; "
          f"each minute with the coordinator: {minutes}")  # fmt: skip
    return int(most > LIMIT or lost > 0 or min(minutes[1:], default=LIMIT) < LEAST)


def main() -> int:
    if os.geteuid() != 0 or not SERVER or shutil.which("ip") is None:
        print("needs root, redis-server and ip")
        return IMPOSSIBLE
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        try:
            return _run(stack, directory)
        except subprocess.CalledProcessError as error:
            print(f"the kernel makes no network namespaces joined by {BRIDGE} here: {error}")
            return IMPOSSIBLE


if __name__ == "__main__":
    sys.exit(main())

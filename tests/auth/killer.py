"""Refreshes in children that are killed at their n-th step; ``killer.py API_URL STATE_DIR FILES``.

A step is a line of FILES, in whatever thread. For each line ``n`` on stdin: fork, refresh, SIGKILL
before step n (0: never); then one line of JSON. ``-n``: n children at once, none of them killed.
"""

from __future__ import annotations

import functools
import itertools
import json
import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any

# So that no child spends its time on these: each would import them anew.
import httpcore  # noqa: F401
import keyring  # noqa: F401
import trio

from dmfs.auth.token_store import TokenStore
from dmfs.auth.user_session import UserSession
from dmfs.errors import DriveError
from dmfs.http.httpx_client import open_httpx_client
from dmfs.http.json_client import JsonClient
from dmfs.http.tls import ca_bundle, client_context
from dmfs.ratelimit.limiter import RateLimiter

FILES = tuple(sys.argv[3].split(","))


@functools.cache
def _is_stepped(file: str) -> bool:
    return file.endswith(FILES) and "/dmfs/" in file


def trace_and_die(at_step: int, report: int) -> None:
    steps = itertools.count(1)

    def on_call(frame: FrameType, event: str, argument: Any) -> Any:
        return on_event(frame, event, argument) if _is_stepped(frame.f_code.co_filename) else None

    def on_event(frame: FrameType, event: str, _: Any) -> Any:
        code = frame.f_code
        if event == "line" and next(steps) == at_step:
            os.write(
                report, f"{Path(code.co_filename).name}:{code.co_name}:{frame.f_lineno}".encode()
            )
            os.kill(os.getpid(), signal.SIGKILL)
        return on_event

    threading.settrace(on_call)
    sys.settrace(on_call)


async def refresh(api_url: str, state: Path, context: Any) -> None:
    async with open_httpx_client(context) as client, trio.open_nursery() as nursery:
        json_client = JsonClient(api_url, client, RateLimiter())
        session = UserSession(json_client, TokenStore(state, "default"), nursery, api_url=api_url)
        await session.token()
        nursery.cancel_scope.cancel()


def child(at_step: int, report: int, api_url: str, state: Path, context: Any) -> None:
    status = 1
    try:
        if at_step:
            trace_and_die(at_step, report)
        trio.run(refresh, api_url, state, context)
        status = 0
    except BaseExceptionGroup as group:
        os.write(report, repr(group.exceptions).encode())
    except DriveError as error:
        os.write(report, error.message.encode())
    finally:
        os._exit(status)


def race(count: int, api_url: str, state: Path, context: Any) -> None:
    """That many children, held at a line until all are there."""
    go_read, go_write = os.pipe()
    pids = []
    for _ in range(count):
        pid = os.fork()
        if pid == 0:
            os.close(go_write)
            os.read(go_read, 1)
            child(0, 2, api_url, state, context)
        pids.append(pid)
    os.close(go_write)
    os.close(go_read)
    statuses = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
    print(json.dumps({"status": max(statuses), "said": str(statuses)}), flush=True)


def main() -> None:
    api_url, state = sys.argv[1], Path(sys.argv[2])
    context = client_context(ca_bundle(""))
    for line in sys.stdin:
        if int(line) < 0:
            race(-int(line), api_url, state, context)
            continue
        read_end, write_end = os.pipe()
        pid = os.fork()
        if pid == 0:
            child(int(line), write_end, api_url, state, context)
        os.close(write_end)
        with os.fdopen(read_end, "rb") as pipe:
            said = pipe.read().decode()
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        print(json.dumps({"status": status, "said": said}), flush=True)


if __name__ == "__main__":
    main()

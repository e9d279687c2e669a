"""Network namespaces joined by a bridge, and relays of TCP into them: a drive takes plain http from
its own machine alone, so each namespace has the emulator's ports on its loopback."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial

import trio

BRIDGE, HOST = "dmfsq0", "10.231.77.1"


def _ip(words: str) -> None:
    subprocess.run(["ip", *words.split()], check=True, capture_output=True)


def _remove(names: list[str]) -> None:
    for words in (*(f"netns del {name}" for name in names), f"link del {BRIDGE}"):
        with suppress(subprocess.CalledProcessError):
            _ip(words)


@contextmanager
def namespaces(count: int) -> Iterator[list[str]]:
    """Their names. CalledProcessError where the kernel does not let us."""
    names = [f"dmfsq{number}" for number in range(1, count + 1)]
    _remove(names)
    try:
        _ip(f"link add {BRIDGE} type bridge")
        _ip(f"addr add {HOST}/24 dev {BRIDGE}")
        _ip(f"link set {BRIDGE} up")
        for number, name in enumerate(names, 2):
            _ip(f"netns add {name}")
            _ip(f"link add v{name} type veth peer name eth0 netns {name}")
            _ip(f"link set v{name} master {BRIDGE} up")
            _ip(f"-n {name} addr add 10.231.77.{number}/24 dev eth0")
            _ip(f"-n {name} link set eth0 up")
            _ip(f"-n {name} link set lo up")
        yield names
    finally:
        _remove(names)


async def _copy(source: trio.SocketStream, sink: trio.SocketStream) -> None:
    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        async for data in source:
            await sink.send_all(data)
        await sink.send_eof()


async def _serve(host: str, port: int, stream: trio.SocketStream) -> None:
    with suppress(OSError):
        other = await trio.open_tcp_stream(host, port)
        async with other, trio.open_nursery() as nursery:
            nursery.start_soon(_copy, stream, other)
            nursery.start_soon(_copy, other, stream)


async def relay(at: str, to: str, ports: list[int]) -> None:
    """For ever: each port of ``at`` is that of ``to``."""
    async with trio.open_nursery() as nursery:
        for port in ports:
            nursery.start_soon(partial(trio.serve_tcp, partial(_serve, to, port), port, host=at))


if __name__ == "__main__":
    trio.run(relay, sys.argv[1], sys.argv[2], [int(port) for port in sys.argv[3:]])

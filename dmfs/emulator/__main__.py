"""The command line: ``python -m dmfs.emulator``."""

from __future__ import annotations

import argparse
import gc
import json
import logging
import os
import signal
import ssl
import sys

import trio

from dmfs.emulator.command_line import command_line
from dmfs.emulator.server.emulator import Emulator
from dmfs.emulator.server.listeners import serve
from dmfs.emulator.settings import Settings
from dmfs.emulator.sign_in.apps import APPS
from dmfs.emulator.world.catalog import make_world


def _tls(parser: argparse.ArgumentParser, options: argparse.Namespace) -> ssl.SSLContext | None:
    if (options.tls_cert is None) != (options.tls_key is None):
        parser.error("--tls-cert and --tls-key belong together")
    if options.tls_cert is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(options.tls_cert, options.tls_key)
    except (OSError, ssl.SSLError) as error:
        parser.error(f"cannot use the certificate: {error}")
    return context


async def _until_eof() -> None:
    """Returns when stdin is at its end."""
    while await trio.to_thread.run_sync(os.read, 0, 4096, abandon_on_cancel=True):
        pass


async def _until_signal() -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for _ in signals:
            return


async def _run(emulator: Emulator, options: argparse.Namespace, tls: ssl.SSLContext | None) -> None:
    async def ready() -> None:
        app = next(iter(APPS.values()))
        line = {
            "api_url": emulator.origins.api_url,
            "cdn_url": emulator.origins.cdn_url,
            "pid": os.getpid(),
            "client_id": app.client_id,
            "client_secret": app.secret,
        }
        print(json.dumps(line), flush=True)

    async with trio.open_nursery() as nursery:

        async def end_with(wait: object) -> None:
            await wait()  # type: ignore[operator]
            nursery.cancel_scope.cancel()

        nursery.start_soon(end_with, _until_signal)
        if options.until_eof:
            nursery.start_soon(end_with, _until_eof)
        await serve(emulator, (options.port, options.cdn_port), tls, ready)


def main(argv: list[str] | None = None) -> int:
    """Run the emulator until it is stopped; the exit status."""
    parser = command_line()
    options = parser.parse_args(argv)
    if options.host not in ("127.0.0.1", "localhost"):
        parser.error(f"only loopback (127.0.0.1) is served, not {options.host}")
    logging.basicConfig(stream=sys.stderr, level=options.log_level.upper())
    tls = _tls(parser, options)
    settings = Settings(
        api_latency_ms=options.api_latency_ms,
        cdn_latency_ms=options.cdn_latency_ms,
        cdn_bytes_per_s=options.cdn_mb_per_s * 1e6,
        rate_limits=options.rate_limits,
        token_ttl_s=options.token_ttl_s,
        url_ttl_cap_s=options.url_ttl_cap_s,
    )
    try:
        world = make_world(options.world)
    except ValueError as error:
        parser.error(f"--world: {error}")
    try:
        trio.run(_run, Emulator(world, settings), options, tls)
    except BaseExceptionGroup as group:
        taken, rest = group.split(OSError)
        if taken is None or rest is not None:
            raise
        print(f"{parser.prog}: cannot listen: {_first(taken)}", file=sys.stderr)
        return 1
    return 0


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


if __name__ == "__main__":
    status = main()
    gc.freeze()  # tests start hundreds: Python would look for garbage at the end of each, 40 ms
    sys.exit(status)

"""The command line: ``python -m dmfs.emulator``."""

from __future__ import annotations

import argparse
import json
import logging
import os
import re
import signal
import ssl
import sys
from typing import NoReturn

import trio

from dmfs.emulator.server.emulator import Emulator
from dmfs.emulator.server.listeners import HOST, serve
from dmfs.emulator.settings import Settings, parse_rate_limits
from dmfs.emulator.sign_in.apps import APPS
from dmfs.emulator.world.catalog import make_world


class _Parser(argparse.ArgumentParser):
    """One clear line in plain words instead of the usage text."""

    def error(self, message: str) -> NoReturn:
        for pattern, words in (
            (r"unrecognized arguments: (-\S+).*", r"there is no option \1"),
            (r"unrecognized arguments: (.+)", r"\1 is too much: it takes options only"),
            (r"argument (\S+): expected one argument", r"\1 needs a value"),
            (r"argument (\S+): invalid choice: (\S+) \(choose from (.+)\)",
             r"\1 cannot be \2, only \3"),
            (r"argument (\S+): (.+)", r"\1: \2"),
        ):  # fmt: skip
            message, changed = re.subn(f"^{pattern}$", words, message, flags=re.DOTALL)
            if changed:
                break
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def _not_negative(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of 0 or more")
    return value


def _port(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port (0 to 65535)")
    return int(text)


def _rates(text: str) -> str | float:
    try:
        return parse_rate_limits(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="dmfs emulator", allow_abbrev=False, usage="dmfs emulator [options]",
        description="A stand-in for Autodesk's Data Management service, on loopback.",
    )  # fmt: skip
    add = parser.add_argument
    add("--host", default=HOST, help="refused unless it is loopback (default %(default)s)")
    add("--port", type=_port, default=0, metavar="N", help="of the API; 0 is any free one")
    add("--cdn-port", type=_port, default=0, metavar="N", help="of the CDN; 0 is any free one")
    add("--world", default="sample", metavar="SPEC",
        help="sample, empty, or tree:… wide:… small:… big:… joined by +")  # fmt: skip
    add("--rate-limits", type=_rates, default="off", metavar="RATES",
        help="off, published, or a scale of the published ones (default %(default)s)")  # fmt: skip
    add("--api-latency-ms", type=_not_negative, default=0.0, metavar="N", help="of each API call")
    add("--cdn-latency-ms", type=_not_negative, default=0.0, metavar="N", help="to first byte")
    add("--cdn-mb-per-s", type=_not_negative, default=0.0, metavar="N",
        help="per connection, in 10^6 bytes; 0 is unlimited")  # fmt: skip
    add("--token-ttl-s", type=_not_negative, default=3599.0, metavar="N",
        help="life of an access token (default %(default).0f)")  # fmt: skip
    add("--url-ttl-cap-s", type=_not_negative, default=None, metavar="N",
        help="signed URLs live no longer")  # fmt: skip
    add("--tls-cert", metavar="FILE", help="with --tls-key: both origins speak TLS")
    add("--tls-key", metavar="FILE", help="with --tls-cert")
    add("--until-eof", action="store_true", help="end when stdin ends")
    add("--log-level", default="warning", choices=("debug", "info", "warning", "error"),
        metavar="LEVEL", help="debug, info, warning, error (default %(default)s)")  # fmt: skip
    return parser


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
    parser = _parser()
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
    sys.exit(main())

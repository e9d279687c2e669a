"""The options of the emulator. Light to import."""

from __future__ import annotations

import argparse
import re
from typing import NoReturn

from dmfs.emulator.settings import HOST, parse_rate_limits


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


def command_line() -> argparse.ArgumentParser:
    """Its parser, for the command and for its man page."""
    parser = _Parser(
        prog="dmfs emulator", allow_abbrev=False, usage="dmfs emulator [options]",
        description="A stand-in for Autodesk's Data Management service, on loopback.",
    )  # fmt: skip
    add = parser.add_argument
    add("--host", default=HOST, help="refused unless it is loopback (default %(default)s)")
    add("--port", type=_port, default=0, metavar="N", help="of the API; 0 is any free one")
    add("--cdn-port", type=_port, default=0, metavar="N", help="of the CDN; 0 is any free one")
    add("--world", default="sample", metavar="SPEC",
        help="sample, empty, history, tree, levels, wide, models, small, big, relations, designs, "
        "directory; all but empty may be joined by +, and have parameters: "
        "tree:folders=9,files=99, and last of all directory:PATH",
        )  # fmt: skip
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

"""All that decodes what others wrote, each with true inputs to spoil and the rule that it keeps:
something that the drive can use, or the one error that says no.

``python -m tests.hostile.fuzz [--inputs N] [--seed N] [NAME…]`` prints a line of JSON a decoder
(the nightly's long form); the same seed makes the same inputs.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import sys
import time
import traceback
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from dmfs.aps.contents import decode_contents, decode_item
from dmfs.aps.hubs import decode_hubs, decode_projects
from dmfs.aps.json_values import parse_time_ns
from dmfs.aps.jsonapi import decode_warnings, next_page
from dmfs.aps.signed_urls import decode_signed
from dmfs.auth.jwt_assertion import read_key
from dmfs.auth.token_endpoint import _decode as decode_grant
from dmfs.auth.tokens import SignIn, StoredSignIn
from dmfs.auth.tokens import decode as decode_sign_in
from dmfs.auth.tokens import encode as encode_sign_in
from dmfs.config import load_settings
from dmfs.errors import BadResponseError, SetupError, SignedOutError
from dmfs.fetch.curl.progress import Progress
from dmfs.fetch.curl.transfer import ETagGuard, RangeRequest, Transfer
from dmfs.http.client import Response
from dmfs.http.errormap import explain, from_status, retry_after_s
from dmfs.http.json_body import DamagedBodyError, decode_body
from dmfs.model import File, HubId, Shortcut
from dmfs.names import NAME_MAX_BYTES, entry_names
from dmfs.namespace.listing_codec import BadRecordError, Record, encode
from dmfs.namespace.listing_codec import decode as decode_record
from dmfs.namespace.xattrs import attributes_of, xattr_value
from dmfs.ratelimit import shared_log
from dmfs.system.clock import Moment, iso_time
from dmfs.urls import acceptable_url, check_api_url
from tests.hostile.corpus import (
    CONFIGS,
    ERRORS,
    GRANT,
    HEADERS,
    HUBS,
    ITEM,
    KEYS,
    PAGE,
    PROJECT,
    PROJECTS,
    SIGNED,
    TIMES,
    URLS,
    WAITS,
)  # fmt: skip
from tests.hostile.mutations import spoil_bytes, spoil_tree, trees


@dataclass(frozen=True)
class Decoder:
    """``check`` takes an input (a JSON tree, or bytes) and raises if the rule is broken."""

    check: Callable[[Any], object]
    corpus: tuple[Any, ...]
    binary: bool = False

    def inputs(self, dice: random.Random) -> Any:
        """One spoilt input."""
        seed = dice.choice(self.corpus)
        if self.binary:
            return spoil_bytes(seed, self.corpus, dice)
        return spoil_tree(seed, GRAFTS, dice)


# Rules


def assert_legal(name: str) -> None:
    """A name that cannot leave its directory."""
    assert name not in ("", ".", "..")
    assert "/" not in name
    assert "\0" not in name
    assert len(name.encode()) <= NAME_MAX_BYTES


def use(child: Any) -> None:
    """What the drive does with an entry."""
    ((name, node),) = entry_names([child]).items()
    assert_legal(name)
    for key, value in attributes_of(node).items():
        assert xattr_value(key, attributes_of(node)) == value.encode("utf-8", "surrogatepass")
    if isinstance(node, File | Shortcut):
        assert abs(node.mtime_ns) < 1 << 80
        assert iso_time(node.mtime_ns)
        assert node.size_bytes is None or 0 <= node.size_bytes < 1 << 63
    if isinstance(node, Shortcut):
        assert node.body.count(b"\r\n") == 2
        assert b"\0" not in node.body


def refused(error: Exception) -> None:
    """No is said in words that a terminal can show."""
    assert str(error).isprintable()
    assert str(error)


def answer(decode: Callable[[Any], Any]) -> Callable[[Any], None]:
    """The rule of answers of the service: entries that can be used, or BadResponseError."""

    def check(tree: Any) -> None:
        if not isinstance(tree, dict):
            return  # refused by the wire
        try:
            found = decode(tree)
        except BadResponseError as error:
            refused(error)
            return
        for child in found or ():
            if child is not None:
                use(child)

    return check


def check_signed(tree: Any) -> None:
    if isinstance(tree, dict):
        try:
            signed = decode_signed(tree, "open", 0.0)
        except BadResponseError as error:
            refused(error)
            return
        edges = [0, *(part.stop for part in signed.parts)]
        assert [part.start for part in signed.parts] == edges[:-1]
        assert edges[-1] == signed.size_bytes >= 0
        assert "https" not in repr(signed)


def check_plain(tree: Any) -> None:
    """Warnings, the next page."""
    if isinstance(tree, dict):
        assert all(line.isprintable() for line in decode_warnings(tree))
        try:
            query = next_page(tree, "list", "/x")
        except BadResponseError as error:
            refused(error)
            return
        assert query is None or all(isinstance(each, str) for each in chain(*query.items()))


def check_grant(tree: Any) -> None:
    if isinstance(tree, dict):
        try:
            grant = decode_grant(tree, "sign in")
        except BadResponseError as error:
            refused(error)
            return
        assert grant.access_token.isascii()
        assert 0 <= grant.lifetime_s <= 10 * 86400
        assert grant.access_token not in repr(grant) or len(grant.access_token) < 10


def at_once(work: Coroutine[Any, Any, Any]) -> Any:
    """What a coroutine that waits for nothing returns."""
    try:
        work.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("it waits")


def check_body(raw: bytes) -> None:
    try:
        found = at_once(decode_body("list", Response(200, {}, raw), lambda answer: answer))
    except DamagedBodyError as damaged:
        refused(damaged.error)
        return
    assert isinstance(found, dict)


def check_error_body(raw: bytes) -> None:
    assert explain(raw).isprintable()
    for status in (400, 401, 403, 404, 429, 503):
        error = from_status("open 'x'", status, raw, {"x-request-id": raw.decode("latin-1")})
        refused(error)
        assert error.request_id.isprintable()


def check_headers(raw: bytes) -> None:
    """No byte of another range is let in."""
    sink = bytearray(10)
    get = RangeRequest("read 'x'", "https://x/", 0, memoryview(sink), 100, ETagGuard(), Progress())
    transfer = Transfer(get, lambda _: None, lambda _: None)
    try:
        for line in raw.splitlines(keepends=True):
            if transfer.on_header(line) is not None:
                return
    except ValueError:
        return  # libcurl aborts the transfer
    for chunk in (raw[:7], raw[7:12]):
        if transfer.on_body(chunk) is not None:
            break
    transfer.finish(0, "")
    if transfer.filled:
        assert transfer.status == 206
        assert re.fullmatch(r"bytes 0+-0*9/(0*100|\*)", transfer.headers["content-range"])
    assert transfer.filled <= 10


def check_config(raw: bytes) -> None:
    try:
        load_settings(raw.decode("utf-8", "replace"), {"HOME": "/nowhere"}, {})
    except SetupError as error:
        assert error.message  # noqa: PT017


def check_sign_in(raw: bytes) -> None:
    try:
        decode_sign_in(raw.decode("utf-8", "surrogateescape"), "the file")
    except SignedOutError as error:
        assert error.message.startswith("the file")  # noqa: PT017


def check_record(raw: bytes) -> None:
    try:
        found = decode_record(raw)
    except BadRecordError:
        return
    for name, child in found.entries.items():
        assert isinstance(name, str)
        assert isinstance(child.name, str)
        attributes_of(child)
    found.moment.age_s()


def check_time(raw: bytes) -> None:
    seen = parse_time_ns(raw.decode("utf-8", "replace"))
    assert seen is None or iso_time(seen)


def check_url(raw: bytes) -> None:
    text = raw.decode("utf-8", "surrogateescape")
    loopback = ("https://", "http://127.0.0.1", "http://localhost", "http://[::1]")
    assert not acceptable_url(text) or text.lower().startswith(loopback)
    try:
        accepted = check_api_url(text)
    except SetupError:
        return
    assert accepted.lower().startswith(loopback)


def check_wait(raw: bytes) -> None:
    waited = retry_after_s({"retry-after": raw.decode("latin-1")})
    assert waited is None or 0 <= waited <= 3600


def check_account(raw: bytes) -> None:
    account = shared_log._decode(raw)
    assert 0 <= account.blocked_until < 1e12
    assert account.calls == sorted(account.calls)


def check_key(raw: bytes) -> None:
    os.ftruncate(_KEY_FD, 0)
    os.pwrite(_KEY_FD, raw, 0)
    try:
        assert read_key(Path(f"/proc/self/fd/{_KEY_FD}"), "kid", os.geteuid()).pem.startswith(
            "-----BEGIN"
        )
    except SetupError as error:
        assert error.message  # noqa: PT017


def a_record() -> bytes:
    children = [each for each in decode_contents(PAGE, "list", PROJECT).children if each]
    return encode(
        Record(moment=Moment((1.0, "boot", 2.0)), directory=PROJECT, parent="hub b.h",
               rollup_ns=7, entries=entry_names(children))
    )  # fmt: skip


def texts(*values: Any) -> tuple[bytes, ...]:
    return tuple(json.dumps(value).encode() for value in values)


_KEY_FD = os.memfd_create("key")  # a file on a disk takes 1.6 ms to write anew
os.fchmod(_KEY_FD, 0o600)
GRAFTS = [
    part
    for tree in (PAGE, ITEM, HUBS, PROJECTS, *SIGNED, GRANT)
    for part in trees(tree)
]  # fmt: skip
SIGN_IN = encode_sign_in(
    StoredSignIn(
        SignIn(api_url="https://x", client_id="id", access_token="a", refresh_token="r"), "file"
    ),
    with_secrets=True,
).encode()
DECODERS: dict[str, Decoder] = {
    "hubs": Decoder(answer(lambda tree: decode_hubs(tree, "list")), (HUBS,)),
    "projects": Decoder(
        answer(lambda tree: decode_projects(tree, "list", HubId("b.h"))), (PROJECTS,)
    ),
    "folder": Decoder(
        answer(lambda tree: decode_contents(tree, "list", PROJECT).children), (PAGE,)
    ),
    "item": Decoder(answer(lambda tree: [decode_item(tree, "list", PROJECT)]), (ITEM,)),
    "signed": Decoder(check_signed, tuple(SIGNED)),
    "warnings, next page": Decoder(check_plain, (PAGE, HUBS)),
    "grant": Decoder(check_grant, (GRANT,)),
    "body": Decoder(check_body, texts(ITEM, HUBS, *SIGNED), binary=True),
    "error body": Decoder(check_error_body, ERRORS, binary=True),
    "headers of a range": Decoder(check_headers, HEADERS, binary=True),
    "configuration": Decoder(check_config, CONFIGS, binary=True),
    "sign-in file": Decoder(check_sign_in, (SIGN_IN,), binary=True),
    "listing on disk": Decoder(check_record, (a_record(),), binary=True),
    "time": Decoder(check_time, TIMES, binary=True),
    "URL": Decoder(check_url, URLS, binary=True),
    "Retry-After": Decoder(check_wait, WAITS, binary=True),
    "ledger": Decoder(
        check_account, (shared_log._encode(shared_log.Window(5.0, [1.0, 2.0, 3.0])),), binary=True
    ),
    "key file": Decoder(check_key, KEYS, binary=True),
}


@dataclass
class Found:
    """What a run found."""

    inputs: int
    seconds: float
    failures: dict[str, str]
    """The last line of a traceback and where it comes from → the input that did it."""


def run(decoder: Decoder, inputs: int, seed: str) -> Found:
    """So many inputs; one failure of each kind is kept."""
    dice = random.Random(seed)
    failures: dict[str, str] = {}
    began = time.monotonic()
    for _ in range(inputs):
        given = decoder.inputs(dice)
        try:
            decoder.check(given)
        except Exception as error:  # noqa: BLE001 - that is what is looked for
            frame = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{type(error).__name__} in {Path(frame.filename).name}:{frame.lineno}"
            failures.setdefault(where, f"{error!r:.200} {given!r:.2000}")
    return Found(inputs, time.monotonic() - began, failures)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.hostile.fuzz")
    parser.add_argument("names", nargs="*", metavar="NAME")
    default = int(os.environ.get("DMFS_FUZZ_INPUTS", "1000000"))
    parser.add_argument("--inputs", type=int, default=default, help="for each decoder")
    parser.add_argument("--seed", default="night")
    args = parser.parse_args()
    bad = 0
    for name, decoder in DECODERS.items():
        if args.names and name not in args.names:
            continue
        found = run(decoder, args.inputs, f"{args.seed} {name}")
        bad += len(found.failures)
        told = {"decoder": name, "inputs": found.inputs, "seconds": round(found.seconds, 1)}
        print(json.dumps(told | {"failures": found.failures}), flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())

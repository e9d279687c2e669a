"""Bugs that were known for a while and are mended now, each by the name of what it did to users."""

from __future__ import annotations

import dataclasses
import errno
import os
import shutil
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from dmfs.assembly import open_drive
from dmfs.auth.token_file import TokenFile
from dmfs.auth.token_store import TokenStore
from dmfs.auth.tokens import SignIn, StoredSignIn, encode, login_hint
from dmfs.blocks.store.block_store import DIRECTORY, BlockStore
from dmfs.emulator.process import EmulatorProcess
from dmfs.errors import (
    AccessError,
    BadResponseError,
    DriveError,
    SignedOutError,
)
from dmfs.http.httpx_client import HttpxClient
from dmfs.http.json_body import BODY_MAX_BYTES, VALUES_MAX
from dmfs.http.json_client import Call, JsonClient
from dmfs.model import File
from dmfs.names import legal_name
from dmfs.namespace.xattrs import attributes_of
from dmfs.ratelimit.limiter import RateLimiter
from dmfs.spans import BLOCK_BYTES, MIB, Span
from tests.hostile.matrix import settings_for, short_waits
from tests.hostile.nodes import (
    FIRST,
    SIZE,
    WORLD,
    Nodes,
    cache_over,
)
from tests.hostile.planted import BUGS, ROOT
from tests.support.caches import settled
from tests.support.helpers import a_file, real, truth

# The cache directory


@pytest.mark.parametrize("how", ["deleted", "deleted whole", "made anew by another drive"])
@real
async def test_a_cache_that_was_replaced_is_used_again_without_a_remount(
    tmp_path: Path, how: str
) -> None:
    # It was noticed, and then the drive went without a cache until it was mounted anew.
    file, other = a_file("f", SIZE), a_file("g", SIZE)
    store = BlockStore(tmp_path / "cache", limit_bytes=1 << 30, free_percent=0)
    newcomer = None
    nodes = Nodes()
    try:
        async with cache_over(nodes, store) as cache:
            cache._disk._health.set_pause(1e9)  # a disk that fails is one failure too many here
            opened = await cache.open(file, SIZE)
            whole = Span(0, 16 * MIB)
            assert bytes(await cache.get(opened, whole)) == truth(*whole)
            await settled(cache)
            old = opened.stored.data if opened.stored else None

            shutil.rmtree(tmp_path / ("cache" if how == "deleted whole" else f"cache/{DIRECTORY}"))
            if how == "made anew by another drive":
                newcomer = BlockStore(tmp_path / "cache", limit_bytes=1 << 30, free_percent=0)
                stored = newcomer.attach(other.storage_id, SIZE)  # its number is that of our file
                newcomer.write(stored, 0, memoryview(bytes(4 * BLOCK_BYTES)))

            if how != "deleted":  # else it is for who writes to find out
                second = await cache.open(a_file("h", SIZE), SIZE)
                assert bytes(await cache.get(second, FIRST)) == truth(*FIRST)
            last = Span(16 * MIB, SIZE)
            assert bytes(await cache.get(opened, last)) == truth(*last)
            await settled(cache)
            gets = nodes.gets
            cache.drop_memory()  # from now on the disk alone
            assert cache.ready(opened, FIRST) is None, "what was verified in files that are gone"
            for span in (last, Span(16 * MIB, 16 * MIB + 10), FIRST):
                assert bytes(await cache.get(opened, span)) == truth(*span)
            assert nodes.gets == gets + 1, "what came after is at rest, what was before is not"
            assert opened.stored is not None
            assert old is not None
            assert opened.stored.data not in (None, old)
            assert os.fstat(old.fd).st_nlink == 0, "a thread may have been reading it"
            await settled(cache)
    finally:
        store.close()
        if newcomer is not None:
            newcomer.close()
    with closing(BlockStore(tmp_path / "cache", limit_bytes=1 << 30, free_percent=0)) as again:
        stored = again.attach(file.storage_id, SIZE)
        buffer = bytearray(last.length)
        assert again.read(stored, Span(128, 160), memoryview(buffer)) == last.length
        assert bytes(buffer) == truth(*last)


@pytest.fixture(scope="module")
def world_spec() -> str:
    return WORLD


def test_the_remedy_names_the_profile(calm: EmulatorProcess, tmp_path: Path) -> None:
    # "run dmfs login" signs in the default profile: the drive of another one stayed signed out.
    sign_in = SignIn(
        api_url=calm.api_url, client_id="emulator-desktop", access_token="old", refresh_token="used"
    )
    settings = settings_for(
        calm, tmp_path, sign_in="user", client_id="emulator-desktop", client_secret="",
        profile="work",
    )  # fmt: skip
    file = TokenFile(settings.state_dir, "work")
    file.commit(file.prepare(), encode(StoredSignIn(sign_in, "file"), with_secrets=True))

    async def main() -> None:
        async with open_drive(settings) as drive:
            root: Any = await drive.resolve("/")
            for _ in range(2):  # refused by the service, then remembered
                with pytest.raises(SignedOutError) as told:
                    await drive.parts.listings.get(root)
                assert told.value.hint == "run dmfs login --profile work"

    trio.run(main)
    file.path.write_text("{}")
    file.path.chmod(0o600)
    with pytest.raises(SignedOutError) as told:
        trio.run(TokenStore(settings.state_dir, "work").read)
    assert told.value.hint == "run dmfs login --profile work again"
    assert login_hint("default") == "run dmfs login"


# Answers of many values


# httpx leaves its inner generators to the collector when a body is not read to its end
@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning", "ignore:Async generator:ResourceWarning"
)
@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"data": [' + b"[[]]," * 700_000 + b"0]}", "too many values"),
        (b'{"data": ["' + b"x" * BODY_MAX_BYTES + b'"]}', "larger than 8 MiB"),
    ],
)
def test_an_answer_costs_no_more_memory_than_it_is_worth(body: bytes, words: str) -> None:
    # 32 MiB of `[[]],` took 1.2 GiB once parsed.
    @real
    async def main() -> None:
        async def answer(_request: httpx.Request) -> httpx.Response:
            return httpx.Response(200, stream=httpx.ByteStream(body))

        async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
            wire = JsonClient("https://api.example", HttpxClient(client), RateLimiter())
            with pytest.raises(BadResponseError, match=words):
                await wire.request(Call(action="list hubs", route="hubs", method="GET", path="/x"))

    main()


def test_the_limits_of_an_answer_are_far_from_honest_ones() -> None:
    """A page of 200 entries, each as large as the largest of the real answers that we have."""
    entry_bytes, entry_values = 7_422, 119  # indented; measured on anonymised captures
    assert 5 * 200 * entry_bytes < BODY_MAX_BYTES
    assert 20 * 200 * entry_values < VALUES_MAX


# Names


def test_a_lone_surrogate_shows_as_one_replacement_character() -> None:
    # It showed as three, one for each byte that no encoding has.
    assert legal_name("a\ud800b") == "a\ufffdb"
    assert legal_name("\udfff\ud800") == "\ufffd\ufffd"
    assert legal_name("\U0001f600") == "\U0001f600"


# An item that is listed and refused

HALF = "/Emulated Builders ／ Headquarters/Quirks/Project Files/Folders/half of the tips missing"


@pytest.fixture(scope="module")
def sample() -> Any:
    with EmulatorProcess() as started:
        yield started
        assert "Traceback" not in started.stderr()


@pytest.mark.parametrize("status", [403, 404])
def test_a_refused_item_does_not_take_its_folder_along(
    sample: EmulatorProcess, tmp_path: Path, status: int
) -> None:
    # One item whose details the service refused, and the whole folder was EACCES or ESTALE.
    sample.clear_faults()

    async def main() -> None:
        settings = settings_for(sample, tmp_path, ttl=0.0, patience=10.0, cache_size=1 << 30)
        async with open_drive(settings) as drive:
            folder: Any = await drive.resolve(HALF)
            true = (await drive.parts.listings.get(folder)).entries
            sample.fault("status", route="item", status=status, times=2)
            seen = (await drive.parts.listings.get(folder)).entries
            assert set(seen) == set(true), "not gone: rsync --delete is listening"
            odd = [name for name, node in seen.items() if node != true[name]]
            assert len({seen[name].identity for name in odd}) == 2
            node, meant = seen[odd[0]], true[odd[0]]
            assert isinstance(node, File)
            assert isinstance(meant, File)
            assert drive.size_of(node) == 0
            assert node.identity != meant.identity, "another inode: its attributes are kept"
            assert not {"user.dmfs.version_id", "user.dmfs.storage_id"} & set(attributes_of(node))
            signed = sample.counts()["sign"]
            with pytest.raises(AccessError) as told:
                await drive.open(node)
            assert told.value.errno == errno.EACCES
            assert sample.counts()["sign"] == signed
        sample.reset()
        for ttl, expected in ((600.0, seen), (0.0, true)):  # as kept on disk; asked again
            async with open_drive(dataclasses.replace(settings, ttl=ttl)) as drive:
                assert (await drive.parts.listings.get(folder)).entries == expected
            assert sample.counts()["contents"] == (0 if ttl else 1)

    trio.run(main)


def test_what_says_nothing_about_an_item_still_fails_the_listing(
    sample: EmulatorProcess, tmp_path: Path
) -> None:
    sample.clear_faults()

    async def main() -> None:
        async with open_drive(settings_for(sample, tmp_path)) as drive:
            folder: Any = await drive.resolve(HALF)
            sample.fault("status", route="item", status=401, times=None)
            with pytest.raises(DriveError) as told:
                await drive.parts.listings.get(folder)
            assert told.value.errno == errno.EACCES
            sample.clear_faults()

    with short_waits():
        trio.run(main)


# The bugs that are planted on purpose


@pytest.mark.parametrize("name", BUGS)
def test_there_is_a_place_to_plant_each_bug(name: str) -> None:
    # The night found out that one of them had no place any more, and told nobody by day.
    file, old, new = BUGS[name]
    text = (ROOT / "dmfs" / file).read_text("utf-8")
    assert text.count(old) == 1
    compile(text.replace(old, new), file, "exec")

"""Bugs that were known for a while and are mended now, each by the name of what it did to users."""

from __future__ import annotations

import dataclasses
import errno
import os
import shutil
import time
from contextlib import AbstractAsyncContextManager, closing
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from dmfs.assembly import open_drive
from dmfs.auth.token_file import TokenFile
from dmfs.auth.token_store import TokenStore
from dmfs.auth.tokens import SignIn, StoredSignIn, encode, login_hint
from dmfs.blocks.cache import BlockCache
from dmfs.blocks.extents import CachedObject
from dmfs.blocks.open_objects import IDLE_OBJECTS
from dmfs.blocks.reader import Reader
from dmfs.blocks.store.block_store import BlockStore
from dmfs.blocks.store.eviction import Evictor
from dmfs.emulator.process import EmulatorProcess
from dmfs.errors import (
    AccessError,
    BadResponseError,
    BusyError,
    DeadlineError,
    DriveError,
    ETagDiffersError,
    ObjectChangedError,
    SignedOutError,
    UnreachableError,
)
from dmfs.fetch.curl.transfer import RangeRequest
from dmfs.fetch.hosts import BACKOFF_MAX_S, HostBackoff
from dmfs.http.json_client import BODY_MAX_BYTES, VALUES_MAX, Call, JsonClient
from dmfs.model import File, SignedObject, SignedRange
from dmfs.names import legal_name
from dmfs.namespace.xattrs import attributes_of
from dmfs.ratelimit.limiter import RateLimiter
from dmfs.spans import BLOCK_BYTES, EMPTY, MIB, Span
from tests.hostile.matrix import settings_for, short_waits
from tests.hostile.planted import BUGS, ROOT
from tests.support.caches import cache_of, settled, store_in
from tests.support.helpers import a_file, real, truth, virtual

SIZE = 20 * MIB
BIG = "/Bench/Bench Project/Project Files/big/big-00.bin"
WORLD = f"big:size={SIZE},count=2"


# An odd ETag on the first answer


class Nodes:
    """A CDN some of whose nodes are odd: another ETag, and bytes of something else."""

    def __init__(self) -> None:
        self.odd: list[bool] = []
        """Whether each of the next GETs meets an odd node; healthy ones after that."""
        self.gets = self.signed = 0

    async def sign(self, file: File) -> SignedObject:
        self.signed += 1
        await trio.sleep(0.01)
        return SignedObject(
            SIZE, "", (SignedRange(0, SIZE, "https://cdn/x"),), trio.current_time() + 3600
        )

    async def fetch(self, get: RangeRequest) -> None:
        start, sink = get.start, get.buffer
        self.gets += 1
        odd = self.odd.pop(0) if self.odd else False
        await trio.sleep(0.01)
        if not get.guard.admits("odd" if odd else "right"):
            raise ETagDiffersError(f"cannot {get.action}: another ETag")
        sink[:] = bytes(len(sink)) if odd else truth(start, start + len(sink))
        get.progress.put(len(sink))
        get.progress.wake()


def cache_over(
    nodes: Nodes, store: BlockStore | None = None
) -> AbstractAsyncContextManager[BlockCache]:
    return cache_of(nodes, nodes, store, timeout_s=57)


FIRST, SECOND = Span(0, BLOCK_BYTES), Span(8 * MIB, 8 * MIB + BLOCK_BYTES)


async def ahead_of_anybody(cache: BlockCache, opened: CachedObject) -> None:
    """The first block is in the cache, and nobody has seen it."""
    cache.start(opened, EMPTY, FIRST)
    await settled(cache)


@virtual
async def test_an_odd_first_etag_does_not_stay() -> None:
    # All right answers after it were refused with EIO, until the drive was mounted anew.
    nodes = Nodes()
    file = a_file("f", SIZE)
    async with cache_over(nodes) as cache:
        opened = await cache.open(file, SIZE)
        nodes.odd = [True]
        await ahead_of_anybody(cache, opened)
        assert nodes.signed == 1
        with pytest.raises(ObjectChangedError):
            await cache.get(opened, SECOND)
        cache.close(opened)
        opened = await cache.open(file, SIZE)
        assert bytes(await cache.get(opened, SECOND)) == truth(*SECOND)
        # the odd one, the first right one, two witnesses by a fresh URL, and the right one again
        assert (nodes.gets, nodes.signed) == (5, 2)
        assert cache.ready(opened, FIRST) is None, "fetched from the odd node"
        assert bytes(await cache.get(opened, FIRST)) == truth(*FIRST)
        await settled(cache)
        assert cache.gauges()["users"] == 1


@virtual
async def test_a_reader_without_a_byte_goes_on_with_the_new_content() -> None:
    nodes = Nodes()
    file = a_file("f", SIZE)
    async with cache_over(nodes) as cache:
        opened = await cache.open(file, SIZE)
        reader = Reader(file, opened, cache, 64 * MIB)
        nodes.odd = [True]
        await ahead_of_anybody(cache, opened)

        async def read(span: Span) -> None:
            data, _ = await reader.read(span.start, span.length)
            assert bytes(data) == truth(*span)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read, SECOND)
            nursery.start_soon(read, SECOND)
        await read(FIRST)
        reader.close()
        await settled(cache)
        assert cache.gauges()["users"] == 0


@virtual
async def test_a_reader_under_the_odd_etag_gets_estale_and_no_mix() -> None:
    nodes = Nodes()
    async with cache_over(nodes) as cache:
        file = a_file("f", SIZE)
        first = await cache.open(file, SIZE)
        nodes.odd = [True]
        await cache.get(first, FIRST)  # nothing shows that these are of something else
        for _ in range(2):
            with pytest.raises(ObjectChangedError) as caught:
                await cache.get(first, SECOND)
            assert caught.value.errno == errno.ESTALE
            assert cache.ready(first, FIRST) is None
        again = await cache.open(file, SIZE)
        for span in (FIRST, SECOND):
            assert bytes(await cache.get(again, span)) == truth(*span)
        reader = Reader(file, again, cache, 64 * MIB)
        assert not reader.keep_cache, "the kernel's pages of it are to be thrown away"
        cache.close(first)
        cache.close(again)
        await settled(cache)
        cache.close(await cache.open(a_file("g", SIZE), SIZE))
        await trio.sleep(1)
        assert cache.gauges()["objects"] == 2, "the detached one was released"


@virtual
async def test_an_odd_etag_among_right_ones_costs_nothing_but_calls() -> None:
    nodes = Nodes()
    async with cache_over(nodes) as cache:
        opened = await cache.open(a_file("f", SIZE), SIZE)
        await cache.get(opened, FIRST)
        nodes.odd = [True]
        assert bytes(await cache.get(opened, SECOND)) == truth(*SECOND)
        assert cache.ready(opened, FIRST) == truth(*FIRST)
        assert opened.generation.number == 0


@virtual
async def test_witnesses_that_do_not_agree_are_not_believed() -> None:
    nodes = Nodes()
    async with cache_over(nodes) as cache:
        opened = await cache.open(a_file("f", SIZE), SIZE)
        await cache.get(opened, FIRST)
        nodes.odd = [True, True, False]
        with pytest.raises(ObjectChangedError, match="keeps changing"):
            await cache.get(opened, SECOND)
        assert cache.ready(opened, FIRST) == truth(*FIRST)
        assert bytes(await cache.get(opened, SECOND)) == truth(*SECOND)


@virtual
async def test_a_cdn_that_keeps_changing_its_mind_does_not_empty_the_cache_each_time() -> None:
    nodes = Nodes()
    async with cache_over(nodes) as cache:
        file = a_file("f", SIZE)
        await cache.get(await cache.open(file, SIZE), FIRST)
        nodes.odd = [True] * 3
        with pytest.raises(ObjectChangedError):
            await cache.get(await cache.open(file, SIZE), SECOND)  # adopted: three odd ones
        opened = await cache.open(file, SIZE)
        with pytest.raises(ObjectChangedError, match="keeps changing"):
            await cache.get(opened, SECOND)  # and now all are right
        await trio.sleep(61)
        with pytest.raises(ObjectChangedError, match="than what was read before"):
            await cache.get(opened, SECOND)
        opened = await cache.open(file, SIZE)
        assert bytes(await cache.get(opened, SECOND)) == truth(*SECOND)


@real
async def test_blocks_of_an_odd_node_do_not_stay_on_disk(tmp_path: Path) -> None:
    file = a_file("f", SIZE)
    for odd in (True, False):
        store = BlockStore(tmp_path, limit_bytes=1 << 30, free_percent=0)
        nodes = Nodes()
        try:
            async with cache_over(nodes, store) as cache:
                opened = await cache.open(file, SIZE)
                nodes.odd = [odd]
                if odd:
                    await ahead_of_anybody(cache, opened)
                    assert store.used_bytes() == BLOCK_BYTES
                    with pytest.raises(ObjectChangedError):
                        await cache.get(opened, SECOND)
                    opened = await cache.open(file, SIZE)
                for span in (SECOND, FIRST):
                    assert bytes(await cache.get(opened, span)) == truth(*span)
                await settled(cache)
                assert store.used_bytes() == 2 * BLOCK_BYTES
                assert nodes.gets == (6 if odd else 0)
        finally:
            store.close()


@real
async def test_blocks_of_an_odd_node_are_not_used_while_the_disk_does_not_let_them_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove = Evictor.remove
    failures = [OSError("read-only")] * 2

    def stubborn(evictor: Evictor, row: int) -> None:
        if failures:
            raise failures.pop()
        remove(evictor, row)

    monkeypatch.setattr(Evictor, "remove", stubborn)
    file = a_file("f", SIZE)
    nodes = Nodes()
    with store_in(tmp_path) as store:
        async with cache_over(nodes, store) as cache:
            cache._disk._health.pause_s = 0.0
            first = await cache.open(file, SIZE)
            nodes.odd = [True]
            await ahead_of_anybody(cache, first)
            with pytest.raises(ObjectChangedError):
                await cache.get(first, SECOND)
            for left in (1, 0):  # released and opened again: each look at the disk fails
                opened = await cache.open(file, SIZE)
                assert len(failures) == left
                for span in (SECOND, FIRST):
                    assert bytes(await cache.get(opened, span)) == truth(*span)
                await settled(cache)
                assert store.used_bytes() == BLOCK_BYTES, "the odd node's, still"
                cache.close(opened)
                for number in range(IDLE_OBJECTS + 2):
                    cache.close(await cache.open(a_file(f"g{left}{number}", SIZE), SIZE))
            again = await cache.open(file, SIZE)
            assert bytes(await cache.get(again, FIRST)) == truth(*FIRST)
            await settled(cache)
            assert store.used_bytes() == BLOCK_BYTES, "ours"


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
            cache._disk._health.pause_s = 1e9  # a disk that fails is one failure too many here
            opened = await cache.open(file, SIZE)
            whole = Span(0, 16 * MIB)
            assert bytes(await cache.get(opened, whole)) == truth(*whole)
            await settled(cache)
            old = opened.stored.data if opened.stored else None

            shutil.rmtree(tmp_path / ("cache" if how == "deleted whole" else "cache/blocks"))
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
def emulator() -> Any:
    with EmulatorProcess(world=WORLD) as started:
        yield started
        assert "Traceback" not in started.stderr()


@pytest.fixture
def calm(emulator: EmulatorProcess) -> EmulatorProcess:
    emulator.clear_faults()
    emulator.reset()
    return emulator


def test_a_drive_heals_from_an_odd_first_etag(calm: EmulatorProcess, tmp_path: Path) -> None:
    async def main() -> None:
        async with open_drive(settings_for(calm, tmp_path, cache_size=1 << 30)) as drive:
            node = await drive.resolve(BIG)
            assert isinstance(node, File)
            true = calm.bytes(node.storage_id)
            calm.fault("changed_etag", origin="cdn", times=1)
            first = await drive.open(node)
            assert (await first.read(0, 1000))[0] == true[:1000]
            try:  # what was read ahead may have found out before anything was given
                assert (await first.read(10 * MIB, 1000))[0] == true[10 * MIB : 10 * MIB + 1000]
            except ObjectChangedError as error:
                assert error.errno == errno.ESTALE  # noqa: PT017 - one of two right outcomes
            second = await drive.open(node)
            assert first.keep_cache
            assert not second.keep_cache
            for start in (0, 10 * MIB, SIZE - 1000):
                assert (await second.read(start, 1000))[0] == true[start : start + 1000]

    trio.run(main)


# Who waits for a token


def test_a_stalled_token_request_is_asked_again_within_the_deadline(
    calm: EmulatorProcess, tmp_path: Path
) -> None:
    # Silence was borne for 45 s, of the 30 s that who waits has: ETIMEDOUT, though the next try
    # would have been answered at once. (Here: 0.7 s of 2.5 s.)
    async def main() -> None:
        async with open_drive(settings_for(calm, tmp_path)) as drive:
            calm.fault("stall_before_headers", route="token", times=1, seconds=None)
            with trio.fail_after(20):
                await drive.listings.get(await drive.resolve("/"))  # type: ignore[arg-type]
        assert calm.counts()["token"] == 2

    with short_waits():
        trio.run(main)


def test_who_waits_for_a_stalled_refresh_has_an_answer_in_time_and_the_session_lives(
    calm: EmulatorProcess, tmp_path: Path
) -> None:
    # A refresh token is good once, so its answer is waited for (45 s); who asked is not.
    given = calm.sign_in(scope="data:read")
    now_s = time.time()
    sign_in = SignIn(
        api_url=calm.api_url, client_id="emulator-desktop", scopes="data:read",
        access_token=given["access_token"], access_expires_s=0.0,
        refresh_token=given["refresh_token"], refresh_expires_s=now_s + 86400,
        signed_in_s=now_s, refreshed_s=now_s,
    )  # fmt: skip
    settings = settings_for(
        calm, tmp_path, sign_in="user", client_id="emulator-desktop", client_secret="",
        metadata_timeout=1.0,
    )  # fmt: skip
    file = TokenFile(settings.state_dir, "default")
    file.commit(file.prepare(), encode(StoredSignIn(sign_in, "file"), with_secrets=True))

    async def main() -> None:
        async with open_drive(settings) as drive:
            root: Any = await drive.resolve("/")
            calm.fault("stall_before_headers", route="token", times=1, seconds=4)
            for _ in range(2):
                began = trio.current_time()
                with pytest.raises(DeadlineError):
                    await drive.listings.get(root)
                assert trio.current_time() - began < 3
            with trio.fail_after(30):
                while True:
                    try:
                        await drive.listings.get(root)
                        break
                    except DeadlineError:
                        await trio.sleep(0.2)
        assert calm.counts()["token"] == 1, "one refresh, and its answer was not thrown away"

    with short_waits():
        trio.run(main)


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
                    await drive.listings.get(root)
                assert told.value.hint == "run dmfs login --profile work"

    trio.run(main)
    file.path.write_text("{}")
    file.path.chmod(0o600)
    with pytest.raises(SignedOutError) as told:
        trio.run(TokenStore(settings.state_dir, "work").read)
    assert told.value.hint == "run dmfs login --profile work again"
    assert login_hint("default") == "run dmfs login"


# A storage that asks to wait


@pytest.mark.parametrize("status", [429, 503])
def test_the_range_plane_waits_as_long_as_it_is_asked_to(
    calm: EmulatorProcess, tmp_path: Path, status: int
) -> None:
    # It had a backoff of its own, and used its five tries up before the storage wanted any.
    async def main() -> None:
        async with open_drive(settings_for(calm, tmp_path, data_timeout=30.0)) as drive:
            node = await drive.resolve(BIG)
            assert isinstance(node, File)
            reader = await drive.open(node)
            calm.fault("status", origin="cdn", status=status, retry_after=2, times=1)
            began = trio.current_time()
            data, _ = await reader.read(10 * MIB, 1000)  # one GET: nothing is read ahead
            assert data == calm.bytes(node.storage_id, 10 * MIB, 1000)
            assert calm.counts()["cdn_get"] == 2
            assert trio.current_time() - began >= 2

    with short_waits():
        trio.run(main)


@pytest.mark.parametrize(("status", "kind"), [(429, BusyError), (503, UnreachableError)])
def test_a_wait_beyond_the_deadline_is_an_error_at_once_and_nobody_asks_meanwhile(
    calm: EmulatorProcess, tmp_path: Path, status: int, kind: type[DriveError]
) -> None:
    async def main() -> None:
        async with open_drive(settings_for(calm, tmp_path, data_timeout=30.0)) as drive:
            node = await drive.resolve(BIG)
            assert isinstance(node, File)
            reader = await drive.open(node)
            calm.fault("status", origin="cdn", status=status, retry_after=50, times=1)
            for start in (10 * MIB, 15 * MIB):
                with trio.fail_after(10), pytest.raises(kind):
                    await reader.read(start, 1000)
            assert calm.counts()["cdn_get"] == 1

    with short_waits():
        trio.run(main)


@virtual
async def test_no_host_is_left_alone_for_longer_than_anybody_would_wait() -> None:
    holds = HostBackoff()
    error = BusyError("cannot read: 429")
    error.retry_after_s = 3600.0
    holds.refused("https://cdn/x?Signature=1", error)
    began = trio.current_time()
    with trio.fail_after(5), pytest.raises(BusyError, match="asks to wait 60 s"):
        await holds.wait("read 'x'", "https://cdn/y")
    await holds.wait("read 'x'", "https://elsewhere/y")
    assert trio.current_time() == began
    await holds.wait("read 'x'", "https://cdn/y")
    assert trio.current_time() == began + BACKOFF_MAX_S


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
            wire = JsonClient("https://api.example", client, RateLimiter())
            with pytest.raises(BadResponseError, match=words):
                await wire.ask(Call(what="list hubs", route="hubs", method="GET", path="/x"))

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
            true = (await drive.listings.get(folder)).entries
            sample.fault("status", route="item", status=status, times=2)
            seen = (await drive.listings.get(folder)).entries
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
                assert (await drive.listings.get(folder)).entries == expected
            assert sample.counts()["contents"] == (0 if ttl else 1)

    trio.run(main)


@pytest.mark.parametrize(("status", "code"), [(401, errno.EACCES), (500, errno.EIO)])
def test_what_says_nothing_about_an_item_still_fails_the_listing(
    sample: EmulatorProcess, tmp_path: Path, status: int, code: int
) -> None:
    sample.clear_faults()

    async def main() -> None:
        async with open_drive(settings_for(sample, tmp_path)) as drive:
            folder: Any = await drive.resolve(HALF)
            sample.fault("status", route="item", status=status, times=None)
            with pytest.raises(DriveError) as told:
                await drive.listings.get(folder)
            assert told.value.errno == code
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

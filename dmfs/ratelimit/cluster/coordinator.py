"""The log of calls at a Valkey or Redis server, by the library ``limits``. Blocking, in threads.

The library's moving window decides each call, in its own script; its lists are read as they are.
It would count by the clock of each machine: here it gets the server's time. The one script of ours
enters calls that were made without the server, at their own moments, for which it has no verb.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from dmfs.errors import SetupError, UnreachableError
from dmfs.ratelimit.cluster.address import key_of, library_url, shown
from dmfs.ratelimit.cluster.plan import ServerClock
from dmfs.ratelimit.limits import Rate
from dmfs.system.clock import boot_time_s, wall_time_s

TIMEOUT_S = 1.0
CALLS_MAX = 4096
BACK_S = 60
"""Longer than SETTLE_S."""
_ENTER = """
local calls = redis.call('lrange', KEYS[1], 0, -1)
for i = 2, #ARGV do calls[#calls + 1] = ARGV[i] end
table.sort(calls, function(a, b) return tonumber(a) > tonumber(b) end)
redis.call('del', KEYS[1])
for i = 1, math.min(#calls, 4096) do redis.call('rpush', KEYS[1], calls[i]) end
redis.call('expire', KEYS[1], ARGV[1])
return #calls
"""
_OPEN = """
local known = redis.call('get', KEYS[1])
if not known or string.sub(known, 1, #ARGV[1] + 1) ~= ARGV[1] .. ' ' then
    local now = redis.call('time')
    known = ARGV[1] .. ' ' .. string.format('%d.%06d', now[1], now[2])
    redis.call('set', KEYS[1], known)
end
return known
"""


class Seen(NamedTuple):
    """What the server knew at a moment, in times of this machine's boot clock."""

    at: float
    memory: str
    """Another one: the server has forgotten what it was told before."""
    memory_age_s: float
    """Since it began, or since a machine came back to it."""
    calls: Mapping[str, list[float]]
    """By quota, oldest first."""
    pauses: Mapping[str, float]
    """By quota, until when no call goes."""


def check_library() -> None:
    """SetupError if it is not installed: it is an extra."""
    try:
        import limits.storage  # noqa: F401, PLC0415 - 0.1 s, and few mounts use it
        import valkey  # noqa: F401, PLC0415
    except ImportError:
        raise SetupError(
            "a shared quota needs a library that is not installed",
            hint="pip install 'dmfs[cluster]'",
        ) from None


class Coordinator:
    """One server and one client id. Every method may raise UnreachableError after TIMEOUT_S."""

    def __init__(
        self, url: str, client_id: str, clock: Callable[[], float] = boot_time_s,
        wall: Callable[[], float] = wall_time_s,
    ) -> None:  # fmt: skip
        check_library()
        self._url, self._client_id = library_url(url), client_id
        self.where = shown(url)
        self._clock, self._wall = clock, wall
        self._server_clock = ServerClock()
        self.skew_s = 0.0
        """The machine's clock less the server's, as last seen."""
        self._storage: Any = None

    def _connected(self) -> Any:
        if self._storage is None:
            from limits.storage.redis import RedisStorage  # noqa: PLC0415 - as above
            from valkey.backoff import NoBackoff  # noqa: PLC0415
            from valkey.retry import Retry  # noqa: PLC0415

            options: dict[str, Any] = {"socket_timeout": TIMEOUT_S, "retry": Retry(NoBackoff(), 0)}
            if "+unix" not in self._url:
                options["socket_connect_timeout"] = TIMEOUT_S
            self._storage = RedisStorage(self._url, **options)
            self._enter = self._storage.get_connection().register_script(_ENTER)
            self._open = self._storage.get_connection().register_script(_OPEN)
        return self._storage

    def _key(self, *words: str) -> str:
        return key_of(self._client_id, *words)

    def _ask(self, work: Callable[[Any], Any]) -> Any:
        """``work`` with the storage. What the library raises is text of the server's: told by its
        kind alone, for it may hold what was sent."""
        try:
            return work(self._connected())
        except SetupError:
            raise
        except Exception as error:  # noqa: BLE001 - of the library, its client, sockets, parsers
            raise UnreachableError(
                f"the coordinator of the quota at {self.where} does not answer "
                f"({type(error).__name__})",
                hint="see whether it runs and takes this user: dmfs doctor",
            ) from None

    def look(self, quotas: Sequence[str], memory: str) -> Seen:
        """What it knows; ``memory`` is that of the last look."""
        return self._ask(lambda storage: self._look(storage, quotas, memory))  # type: ignore[no-any-return]

    def _look(self, storage: Any, quotas: Sequence[str], memory: str) -> Seen:
        pipe = storage.get_connection().pipeline(transaction=False)
        before = self._clock()
        pipe.info("server")
        pipe.get(self._key("memory"))
        pipe.get(self._key("back"))
        pipe.time()  # last: only of a clock that was set back a memory's age is negative
        for quota in quotas:
            pipe.pttl(self._key(quota, "hold"))
            pipe.lrange(self._key(quota), 0, CALLS_MAX)
        facts, known, back, (seconds, micros), *rest = pipe.execute()
        after = self._clock()
        # Restarted with a snapshot of its disk it has the word of its memory, and lacks the calls
        # since; the library connects again without a word.
        identity = str(facts.get("run_id", ""))
        if known and not known.decode().startswith(f"{identity} "):
            known = None
        server = int(seconds) + int(micros) / 1e6
        if self._server_clock.add(before, server, after) and known and known.decode() == memory:
            storage.get_connection().delete(self._key("memory"))  # the first to see it, for all
            known = None
        self.skew_s = self._wall() - server - (self._clock() - after)
        if known is None or known.decode() != memory:
            known = self._open([self._key("memory")], [identity])
            server = max(server, float(known.rpartition(b" ")[2]))  # perhaps it began just now
        word = known.decode()
        offset = self._server_clock.offset_s
        calls = {
            quota: sorted(float(each) - offset for each in rest[2 * n + 1])
            for n, quota in enumerate(quotas)
        }
        pauses = {
            quota: after + rest[2 * n] / 1000 for n, quota in enumerate(quotas) if rest[2 * n] > 0
        }
        complete_from = max(float(word.rpartition(" ")[2]), float(back or 0.0))
        return Seen(after, word, server - complete_from, calls, pauses)

    def take(self, quota: str, rate: Rate, allowed: int) -> float | None:
        """Log a call if fewer than ``allowed`` count and none is held; the moment (boot clock) at
        which it counts, None if refused."""
        return self._ask(lambda storage: self._take(storage, quota, rate, allowed))  # type: ignore[no-any-return]

    def _take(self, storage: Any, quota: str, rate: Rate, allowed: int) -> float | None:
        at = self._clock()
        pipe = storage.get_connection().pipeline(transaction=False)
        pipe.pttl(self._key(quota, "hold"))
        storage.lua_acquire_moving_window(
            [self._key(quota)],
            [at + self._server_clock.offset_s, allowed, round(rate.span_s), 1],
            client=pipe,
        )
        held_ms, taken = pipe.execute()
        return at if taken and held_ms <= 0 else None

    def hold(self, quota: str, seconds: float) -> None:
        """Let no machine call for so long; a longer hold stays."""

        def work(storage: Any) -> None:
            connection, key = storage.get_connection(), self._key(quota, "hold")
            if connection.pttl(key) < seconds * 1000:
                connection.set(key, 1, px=max(1, round(seconds * 1000)))

        self._ask(work)

    def came_back(self) -> None:
        """It was away from this machine, and so perhaps from others, which have calls to tell."""

        def work(storage: Any) -> None:
            connection = storage.get_connection()
            seconds, micros = connection.time()
            connection.set(self._key("back"), f"{int(seconds)}.{int(micros):06d}", ex=BACK_S)

        self._ask(work)

    def enter(self, quota: str, rate: Rate, calls: Sequence[float]) -> None:
        """Log calls that were made without it, at moments of the boot clock."""
        offset = self._server_clock.offset_s
        moments = [each + offset for each in calls[-CALLS_MAX:]]
        span_s = round(rate.span_s)
        if moments:
            self._ask(lambda _: self._enter([self._key(quota)], [span_s, *moments]))

    def version(self) -> str:
        """``valkey 8.1.1`` or ``redis 7.0.15``; '' where it may not be asked."""

        def work(storage: Any) -> str:
            info = storage.get_connection().info("server")
            name = info.get("server_name", "redis")
            return f"{name} {info.get(f'{name}_version', info.get('redis_version', ''))}"

        return str(self._ask(work))

    def close(self) -> None:
        """End its connections."""
        if self._storage is not None:
            self._storage.get_connection().close()

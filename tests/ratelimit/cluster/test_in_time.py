"""Four machines of two processes in virtual time: their calls together keep the limit, whatever
becomes of the coordinator."""

from __future__ import annotations

import pytest
import trio

from dmfs.ratelimit.cluster.ledger import SHARED
from dmfs.ratelimit.limits import MARGIN_S, Rate
from tests.ratelimit.cluster.stand_in import Cluster
from tests.support.helpers import virtual

RATE = Rate(60, 60.0)
SPAN_S = RATE.window_s + MARGIN_S
LOST_AT_S = 150.0


def always(number: int) -> bool:
    return True


@virtual
async def test_all_machines_together_use_the_limit_and_no_more(tmp_path):
    cluster, began = Cluster(tmp_path, 4, RATE), trio.current_time()

    async def story(server):
        await trio.sleep(310)

    await cluster.run(story, always)
    assert cluster.most_in(SPAN_S) == 60
    for minute in range(5):
        calls = sum(60 * minute <= at - began < 60 * minute + 60 for at, _ in cluster.calls)
        assert calls >= 57


@pytest.mark.parametrize("keeps_memory", [True, False])
@pytest.mark.parametrize("away_s", [3.0, 40.0, 130.0])
@virtual
async def test_calls_made_while_it_was_away_are_granted_to_nobody_again(
    tmp_path, away_s, keeps_memory
):
    cluster, began = Cluster(tmp_path, 4, RATE), trio.current_time()

    async def story(server):
        await trio.sleep(LOST_AT_S)
        server.up = False  # it is killed, or the network to it fails
        if not keeps_memory:
            server.empty()
        await trio.sleep(away_s)
        server.up = True
        await trio.sleep(140)

    await cluster.run(story, always)
    assert cluster.most_in(SPAN_S) == 60
    assert {log.sharing()["state"] for log in cluster.logs} == {SHARED}
    last = sum(at - began >= LOST_AT_S + away_s + 16 for at, _ in cluster.calls)
    assert last >= 110, "the whole limit again"
    assert {number for _, number in cluster.calls} == set(range(8))


@virtual
async def test_a_server_whose_clock_is_set_forward_forgets_no_call(tmp_path):
    cluster, began = Cluster(tmp_path, 4, RATE), trio.current_time()

    async def story(server):
        await trio.sleep(150.3)
        server.clock_ahead_s = 30.0
        await trio.sleep(200)

    await cluster.run(story, always)
    assert cluster.most_in(SPAN_S) == 60
    assert sum(at - began >= 226 for at, _ in cluster.calls) >= 110, "the whole limit again"

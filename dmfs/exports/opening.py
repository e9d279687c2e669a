"""Joins the exports of a drive."""

from __future__ import annotations

from functools import partial

import trio

from dmfs.aps.questions.exports import ExportCalls
from dmfs.auth.token_sources import TokenSource
from dmfs.blocks.cache import BlockCache
from dmfs.blocks.object_sizes import ObjectSizes
from dmfs.config import Settings
from dmfs.exports.export_store import ExportStore
from dmfs.exports.exports import Exports, Tools
from dmfs.exports.maker import Maker
from dmfs.exports.rights import require_orders
from dmfs.http.json_client import JsonClient
from dmfs.namespace.listings import Listings


async def open_exports(
    settings: Settings, scope: str, client: JsonClient, tokens: TokenSource, listings: Listings,
    blocks: BlockCache, sizes: ObjectSizes, nursery: trio.Nursery | None,
) -> Exports:  # fmt: skip
    """Those of the sign-in ``scope``, read before the first name is shown. ``nursery``: of a drive
    that sees to what is kept."""
    calls = ExportCalls(client, tokens, x_user_id=settings.x_user_id)
    maker = Maker(
        ExportStore(settings.state_dir), scope, calls, timeout_s=settings.metadata_timeout,
        minute_s=settings.rate_window,
    )  # fmt: skip
    tools = Tools(
        listings, blocks, sizes, partial(require_orders, settings), settings.metadata_timeout,
        settings.export_timeout, settings.cache_size > 0,
    )  # fmt: skip
    exports = Exports(maker, tools)
    await exports.load()
    if nursery is not None:
        exports.start(nursery)
    return exports

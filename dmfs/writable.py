"""A drive that can be changed: its ``writing``, for as long as it lives."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from dmfs.aps.uploads import Uploads
from dmfs.auth.factory import sign_in_may_write, user_id_of
from dmfs.auth.token_sources import TokenSource
from dmfs.auth.tokens import login_hint
from dmfs.drive import Drive
from dmfs.errors import SetupError
from dmfs.write.opening import Around, Writes, open_writing
from dmfs.write.parts.thread_sender import ThreadSender

UPLOAD_CONNECTIONS = 16


@asynccontextmanager
async def writable(
    drive: Drive, tokens: TokenSource, scope: str, bundle: str, writes: Writes | None,
) -> AsyncIterator[None]:  # fmt: skip
    """The drive's ``writing`` during the body, if it is to have any."""
    settings, parts = drive.settings, drive.parts
    if writes is None:
        yield
        return
    if not await sign_in_may_write(settings):
        raise SetupError(
            "this sign-in may only read",
            hint=f"run {login_hint(settings.profile).removeprefix('run ')} --write",
        )
    sender = ThreadSender(ca_bundle=bundle, connections=UPLOAD_CONNECTIONS)
    sender.start()
    around = Around(
        listings=parts.listings,
        open_reader=drive.open,
        real_size=drive.real_size,
        uploads=Uploads(parts.client, tokens, x_user_id=settings.x_user_id),
        sender=sender,
        on_event=lambda kind, fields: parts.activity.publish(kind, **fields),
        somebody_reads=lambda: parts.blocks.gauges()["slots"] > 0,
        user_id=await user_id_of(settings),
        person=parts.sign_in.person,
        owner=scope,
    )
    try:
        async with open_writing(settings, writes, around) as drive.writing:
            parts.client.breaker.subscribe(on_close=drive.writing.nudge)
            yield
    finally:
        sender.close()

"""The control calls about pictures: see ``docs/emulator.md``."""

from __future__ import annotations

from typing import Any

from dmfs.emulator.http.messages import Answer, Request, json_answer
from dmfs.emulator.server.emulator import Emulator

Body = dict[str, Any]


async def thumbnails(emulator: Emulator, request: Request, body: Body) -> Answer:
    """``GET thumbnails``, and ``PATCH`` of some settings: all of them, and who was asked for."""
    emulator.service.thumbnails.settings.update(body)
    return json_answer(emulator.service.thumbnails.as_dict())


async def reset(emulator: Emulator, request: Request, body: Body) -> Answer:
    """``DELETE thumbnails``: settings as at the start, nothing was asked for."""
    emulator.service.thumbnails.reset()
    return json_answer({})


HANDLERS = {
    ("GET", "thumbnails"): thumbnails,
    ("PATCH", "thumbnails"): thumbnails,
    ("DELETE", "thumbnails"): reset,
}

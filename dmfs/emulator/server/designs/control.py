"""The control calls about exports: see ``docs/emulator.md``."""

from __future__ import annotations

from typing import Any

from dmfs.emulator.http.messages import Answer, Request, json_answer
from dmfs.emulator.server.emulator import Emulator

Body = dict[str, Any]


async def exports(emulator: Emulator, request: Request, body: Body) -> Answer:
    """``GET exports``: settings, rules, all jobs, and how often each was posted."""
    return json_answer(emulator.service.exports.as_dict())


async def settings(emulator: Emulator, request: Request, body: Body) -> Answer:
    """``PATCH exports``: some settings; all of them as they are now."""
    emulator.service.exports.settings.update(body)
    return json_answer(emulator.service.exports.settings.as_dict())


async def reset(emulator: Emulator, request: Request, body: Body) -> Answer:
    """``DELETE exports``: jobs, counts, rules and settings as at the start."""
    emulator.service.exports.reset()
    return json_answer({})


async def add_rule(emulator: Emulator, request: Request, body: Body) -> Answer:
    """``POST exports/rules``: another course for some of the jobs to come."""
    emulator.service.exports.add_rule(body)
    return json_answer({"rules": len(emulator.service.exports.rules)})


async def clear_rules(emulator: Emulator, request: Request, body: Body) -> Answer:
    """``DELETE exports/rules``."""
    emulator.service.exports.rules.clear()
    return json_answer({})


async def expire(emulator: Emulator, request: Request, body: Body) -> Answer:
    """``POST exports/expire``: downloads reach their end, all or the one of ``id``."""
    emulator.service.exports.expire(body.get("id"))
    return json_answer({})


HANDLERS = {
    ("GET", "exports"): exports,
    ("PATCH", "exports"): settings,
    ("DELETE", "exports"): reset,
    ("POST", "exports/rules"): add_rule,
    ("DELETE", "exports/rules"): clear_rules,
    ("POST", "exports/expire"): expire,
}

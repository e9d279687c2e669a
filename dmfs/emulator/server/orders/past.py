"""Control calls about time: many changes at once, and the tree at a moment."""

from __future__ import annotations

from typing import Any

from dmfs.emulator.http.messages import Answer, Request, json_answer
from dmfs.emulator.server.emulator import Emulator
from dmfs.emulator.world import times
from dmfs.emulator.world.changing import finding
from dmfs.emulator.world.model import Json
from dmfs.emulator.world.past import tree
from dmfs.emulator.writing import views

Body = dict[str, Any]
_VIEWS = {"served": tree.served_tree, "true": tree.true_tree}


async def changes(emulator: Emulator, request: Request, body: Body) -> Answer:
    """``POST changes`` ``{"changes": [order…]}`` → ``{"ids": […]}``: what each changed or made.

    ``"as": word`` in an order names its result, ``"on": word`` in a later one stands for its id.
    The first that makes no sense ends it; those before it are done.
    """
    orders = body.get("changes")
    if not isinstance(orders, list) or not all(isinstance(order, dict) for order in orders):
        raise ValueError("changes is a list of orders")
    named: dict[str, str] = {}
    found: list[str] = []
    for number, order in enumerate(orders):
        try:
            found.append(_carried_out(emulator, order, named))
        except (LookupError, ValueError, TypeError) as error:
            raise ValueError(
                f"change {number}: {error.args[0] if error.args else error}"
            ) from error
    return json_answer({"ids": found})


def _carried_out(emulator: Emulator, order: Json, named: dict[str, str]) -> str:
    """The id of what an order is about; '' if that has none."""
    rest = {key: value for key, value in order.items() if key not in ("as", "on")}
    if "on" in order:
        if order["on"] not in named:
            raise LookupError(f"no change before is called {order['on']!r}")
        rest["id"] = named[order["on"]]
    result = emulator.changed(rest)
    id_ = "" if result is None else result.id
    if "as" in order:
        named[str(order["as"])] = id_
    return id_


async def at_moment(emulator: Emulator, request: Request, body: Body) -> Answer:
    """``GET tree?at=&path=&view=&sha256=``: what was below a path (or ``id``) at a moment, from a
    record that is no part of what the service answers.

    ``view=true``: as it was, by the places and names of that moment. ``view=served`` (the default):
    as far as the service still tells: by today's places and today's names of folders, for it tells
    neither moves nor former names of folders; files have the names of their versions of that
    moment. ``sha256=true`` adds the digests of bytes of up to 4 GiB.
    """
    query = request.query
    view = _VIEWS.get(query.get("view", "served"))
    if view is None:
        raise ValueError(f"view is served or true, not {query['view']!r}")
    moment: object = query.get("at")
    try:
        moment = float(query.get("at", ""))
    except ValueError:
        pass  # ISO 8601, or what makes no sense
    at_s = times.exact(times.parsed(moment))
    where: Json = {key: query[key] for key in ("id", "path") if key in query}
    start = finding.find(emulator.world, where, "id", "path")
    found = view(emulator.world, start, at_s)
    if request.flag("sha256"):
        for entry in found.entries:
            storage = emulator.world.storages.get(entry.get("storage") or "")
            entry["sha256"] = await views.sha256(storage) if storage is not None else None
    summary = {"at": at_s, "listed": found.listed, "changed": found.changed}
    return json_answer(summary | {"entries": found.entries})


HANDLERS = {("POST", "changes"): changes, ("GET", "tree"): at_moment}

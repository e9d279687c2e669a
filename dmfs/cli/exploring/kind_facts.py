"""What ``dmfs stat`` tells of an entry beside its attributes: what it is, and whether a model is
published."""

from __future__ import annotations

from typing import Any

from dmfs.cli.exploring.type_words import model_words, words_of
from dmfs.drive import Drive
from dmfs.model import Node
from dmfs.system.clock import iso_time


async def kind_facts(drive: Drive, node: Node) -> dict[str, Any]:
    """``kind_words``; of a Revit cloud model also ``publish_state``, ``published`` and ``changed``
    (ISO 8601). Whoever cannot ask for them gets the rest."""
    published = await drive.publication(node)
    if published is None:
        return {"kind_words": words_of(node)}
    state, published_ns, changed_ns = published.state.value, *published[1:]
    found = {
        "kind_words": model_words(state, published_ns, changed_ns),
        "publish_state": state,
    }
    for key, moment_ns in (("published", published_ns), ("changed", changed_ns)):
        if moment_ns is not None:
            found[key] = iso_time(moment_ns)
    return found

"""From a path to what it means."""

from __future__ import annotations

from dmfs.errors import NotADirectory, NotFoundError
from dmfs.grammar.moments import past_words
from dmfs.model import (
    SNAPSHOTS,
    Child,
    Directory,
    File,
    Hub,
    Listing,
    Node,
    Project,
    Root,
    Shortcut,
    Snapshots,
)
from dmfs.names import check_name, printable
from dmfs.namespace.listings import Listings


async def child_of(listings: Listings, node: Directory, name: str) -> Child | None:
    """What a part of a path means; the drive's top has the past, too."""
    if isinstance(node, Root) and name == SNAPSHOTS:
        return Snapshots(node)
    return await listings.child(node, name)


async def resolve(listings: Listings, path: str) -> Node:
    """The node at a path in the whole drive (``/Hub/Project/folder/file``).

    NotFoundError says which part is missing and what there is instead. NameTooLongError.
    """
    node: Node = Root()
    seen = ""
    for part in [piece for piece in path.split("/") if piece and piece != "."]:
        if isinstance(node, File | Shortcut):
            raise NotADirectory(f"{past_words(seen)} is a file, so there is no {part!r} in it")
        check_name(part)
        child = await child_of(listings, node, part)
        if child is None:
            raise NotFoundError(
                f"there is no {printable(part)!r} in {past_words(seen)}",
                hint=_alternatives(part, await listings.get(node)),
            )
        node = child
        seen += f"/{part}"
    return node


def _alternatives(part: str, listing: Listing) -> str:
    """A hint: the names that are close to ``part``, else the first ones."""
    kind = {Root: "hubs", Hub: "projects", Project: "folders"}.get(
        type(listing.directory), "entries"
    )
    names = list(listing.names)
    if not names:
        return f"it is empty: no {kind}"
    import difflib  # noqa: PLC0415 - 4 ms of each start, for a name that is not there

    close = difflib.get_close_matches(part, names, n=3, cutoff=0.5)
    shown = close or names[:5]
    text = ", ".join(repr(printable(name)) for name in shown)
    more = len(names) - len(shown)
    return (
        f"did you mean {text}?"
        if close
        else f"there is: {text}" + (f" and {more} more" if more > 0 else "")
    )

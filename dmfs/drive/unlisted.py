"""Extended attributes that are answered and never listed: tools that copy attributes would copy
them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dmfs.aps.questions.publish_state import PublishStates
from dmfs.drive.parts import Parts
from dmfs.exports.records import ExportedFile
from dmfs.model import File, Node, OldVersion
from dmfs.namespace.xattrs import (
    CACHED,
    EXPORT_OF,
    PINNED,
    PUBLISH_STATE,
    RESERVED_BY,
    STATE,
    THUMBNAIL,
    VERSION_MARKS,
    version_mark,
)

if TYPE_CHECKING:  # a read-only drive starts without it
    from dmfs.write.writing import Writing


class UnlistedXattrs:
    """Their values, each asked of the part that knows it."""

    def __init__(self, parts: Parts, publish_states: PublishStates) -> None:
        self._parts = parts
        self._publish_states = publish_states

    async def value(
        self, node: Node, name: str, writing: Writing | None, at_ns: int | None
    ) -> bytes | None:
        """None if it is another name, or does not apply. ``at_ns``: the moment that is shown."""
        if name == THUMBNAIL:
            return await self._thumbnail(node, writing)
        text = await self._text(node, name, writing, at_ns)
        return None if text is None else text.encode()

    async def _thumbnail(self, node: Node, writing: Writing | None) -> bytes | None:
        """Of the service's version; what is only here has none."""
        if self._parts.thumbnails is None:
            return None
        if writing is not None and isinstance(node, File) and not isinstance(node, OldVersion):
            if not writing.is_clean(node):
                return None
            node = writing.now(node)
        return await self._parts.thumbnails.of(node)

    async def _text(
        self, node: Node, name: str, writing: Writing | None, at_ns: int | None
    ) -> str | None:
        pins = self._parts.pins
        if name in VERSION_MARKS:
            return version_mark(node, name, at_ns)
        if name == STATE and isinstance(node, File) and writing is not None:
            return writing.state(node).value
        if name == CACHED and isinstance(node, File) and pins is not None:
            return str(await pins.percent_at_rest(node))
        if name == EXPORT_OF and isinstance(node, ExportedFile):
            return node.version_id
        if name == RESERVED_BY and isinstance(node, File):
            return node.reserved_by.partition(" ")[2] or None
        if name == PUBLISH_STATE and (state := await self._publish_states.of(node)):
            return state.value
        if name == PINNED and pins is not None:
            await pins.refresh()
            return pins.pinned(node) or None
        return None

"""JSON:API documents: the rows of an answer, its included versions, warnings, and next page. Pure.

``jsonapi``, ``hubs`` and ``contents`` contain every assumption about the shape of the Project and
Data answers. They accept what is merely odd (seen in real answers: ``included`` missing, tips
missing from it, duplicate ids, times with 0 to 7 digits). Whatever would make an entry silently
disappear raises BadResponseError: to ``rsync --delete`` a missing entry is a deleted file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

from dmfs.aps.json_values import Json, dig, number, text
from dmfs.errors import BadResponseError
from dmfs.http.errormap import clean

T = TypeVar("T")


def each_row(
    answer: Json, action: str, decode: Callable[[Json], T | None], lost: list[str] | None
) -> list[T]:
    """What ``decode`` makes of each row of ``data``; rows of which it makes None are left out.

    One rotten row does not take the others away: ``lost`` gets its id ('' without one), and the
    caller must tell that the list is not whole. BadResponseError for a row if ``lost`` is None, for
    most of the rows, and for an answer without any.
    """
    if lost is None:
        return [each for row in rows_of(answer, action) if (each := decode(row)) is not None]
    rows = answer.get("data")
    if not isinstance(rows, list):
        raise BadResponseError(f"cannot {action}: the answer holds no list of entries")
    found, bad = [], 0
    last: BadResponseError | None = None
    for row in rows:
        try:
            each = decode(rows_of({"data": [row]}, action)[0])
        except BadResponseError as error:
            lost.append(text(row, "id"))
            bad, last = bad + 1, error
        else:
            found += [] if each is None else [each]
    if last is not None and bad * 2 > len(rows):
        raise last  # of another shape altogether
    return found


def rows_of(answer: Json, action: str) -> list[Json]:
    """``data`` of an answer. BadResponseError unless it is a list of objects with ids."""
    rows = answer.get("data")
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise BadResponseError(f"cannot {action}: the answer holds no list of entries")
    for row in rows:
        if not text(row, "id"):
            raise BadResponseError(f"cannot {action}: the answer holds an entry without an id")
    return rows


def decode_warnings(answer: Json, leave_out: frozenset[str] = frozenset()) -> tuple[str, ...]:
    """``meta.warnings`` of the hubs answer (keys in PascalCase), one line each; without those of a
    status (a text, as the service sends it) to leave out."""
    warnings = dig(answer, "meta", "warnings")
    lines = []
    for warning in warnings if isinstance(warnings, list) else []:
        parts = [text(warning, key) for key in ("Title", "Detail")]
        parts = [clean(part) for part in parts if part]
        status = dig(warning, "HttpStatusCode")
        code = str(status) if isinstance(status, int | str) else ""
        if code in leave_out:
            continue
        lines.append(" ".join(parts) + (f" (HTTP {clean(code)})" if code else ""))
    return tuple(lines)


NORMAL_STATUSES = frozenset({"403"})
"""A sound account of one region gets a refusal from each other region: nobody needs to know."""


def failed_parts(answer: Json) -> tuple[str, ...]:
    """The warnings of parts of the service (regions) that could not answer, as one that answers
    5xx: what they hold is missing from the answer, and is not absent."""
    return decode_warnings(answer, NORMAL_STATUSES)


def next_page(answer: Json, action: str, path: str) -> dict[str, str] | None:
    """The query of ``links.next``, None on the last page.

    The caller combines only the query with its own host and path, so that no answer can send a
    token elsewhere. BadResponseError for a next link to another path.
    """
    links = answer.get("links")
    link = dig(links, "next")
    href = link.get("href") if isinstance(link, Mapping) else link
    if not isinstance(links, Mapping | None) or not isinstance(href, str | None):
        # as the end of the pages it would cut the listing short
        raise BadResponseError(f"cannot {action}: the answer's link to the next page is none")
    if not href:
        return None
    try:
        split = urlsplit(href)
        query = dict(parse_qsl(split.query, keep_blank_values=True))
    except ValueError:
        query, split = {}, urlsplit("")
    if not query or unquote(split.path).rstrip("/") != unquote(path).rstrip("/"):
        raise BadResponseError(
            f"cannot {action}: the answer's link to the next page leads elsewhere"
        )
    return query


class Tips:
    """The versions in ``included``: by id, and the newest of each item if the ids do not match."""

    def __init__(self, included: Any) -> None:
        self._by_id: dict[str, Json] = {}
        self._by_item: dict[str, Json] = {}
        for version in included if isinstance(included, list) else []:
            if text(version, "type") != "versions" or not text(version, "id"):
                continue
            self._by_id[version["id"]] = version
            item = text(version, "relationships", "item", "data", "id")
            rival = self._by_item.get(item)
            if item and (rival is None or _version_number(rival) < _version_number(version)):
                self._by_item[item] = version

    def of(self, item: Json) -> Json | None:
        """The tip version of an item's row; None if the answer does not include it."""
        tip_id = text(item, "relationships", "tip", "data", "id")
        return self._by_id.get(tip_id) or self._by_item.get(text(item, "id"))


def _version_number(version: Json) -> int:
    return number(version, "attributes", "versionNumber") or 0

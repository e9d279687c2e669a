"""Answers to what changes something, and to the looks before and after it. Pure.

A BadResponseError from here is an unknown outcome where something was posted (``Call.once``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from dmfs.aps.contents import decode_item, decode_version
from dmfs.aps.json_values import Json, dig, number, parse_time_ns, text
from dmfs.aps.jsonapi import Tips
from dmfs.aps.signed_urls import SIZE_MAX_BYTES, is_storage_id
from dmfs.errors import BadResponseError, InUseError, NotPermittedError, PartsRefusedError
from dmfs.http.errormap import parts_refused
from dmfs.model import File, ItemId, Project, StorageId

UPLOAD_LIFE_S = 24 * 3600.0
"""Of an upload whose answer does not say how long it lives."""
KEY_MAX_CHARS = 8192
"""It has some 600."""


@dataclass(frozen=True, slots=True, repr=False)
class PartUrls:
    """Where the parts of an upload go. No repr: its texts are secrets."""

    upload_key: str
    urls: tuple[str, ...]
    """Of the parts from the first that was asked for, in their order."""
    expires_at: float
    """trio's clock, seconds: a PUT has to begin before."""
    upload_ends_s: float
    """Wall clock: what is not complete then is lost."""


class Details(NamedTuple):
    """Of a stored object. ``sha1``: 40 hex digits, '' while the service does not know it."""

    size_bytes: int
    sha1: str


@dataclass(frozen=True, slots=True)
class Tip:
    """An item at this moment."""

    file: File | None
    """Its newest version; None where it is hidden or deleted."""
    reserved_by: str
    """Name (or id) of who has it reserved; '' if nobody has."""
    name: str
    """The service's own."""
    exists: bool
    """False: the service knows no such item."""
    created_by: str = ""
    """Id of the user who made the newest version."""
    reserved_by_id: str = ""
    process_state: str = ""
    """``PROCESSING_COMPLETE`` and others, as the service spells it."""


NO_ITEM = Tip(None, "", "", exists=False)


@dataclass(frozen=True, slots=True)
class Posted:
    """A version that is on the service now."""

    file: File
    """With its number. Its ``folder_id`` is '' where the answer does not tell."""
    item_id: ItemId
    conforming: bool
    """False: its name is against the folder's naming standard, and it lies in the holding area."""
    created_by: str = field(default="")
    """Id of the user who made it."""


def decode_storage(answer: Json, action: str) -> StorageId:
    """The id of a new place for bytes."""
    storage_id = text(answer, "data", "id")
    if not is_storage_id(storage_id):
        raise BadResponseError(f"cannot {action}: the answer holds no storage id")
    return StorageId(storage_id)


def decode_part_urls(
    answer: Json, action: str, count: int, expires_at: float, now_s: float
) -> PartUrls:
    """``expires_at``: as in ``PartUrls``; ``now_s``: wall clock."""
    key, urls = text(answer, "uploadKey"), answer.get("urls")
    if not key.isprintable() or not 0 < len(key) <= KEY_MAX_CHARS:
        raise BadResponseError(f"cannot {action}: the answer holds no upload key")
    if not isinstance(urls, list) or not all(isinstance(url, str) and url for url in urls):
        raise BadResponseError(f"cannot {action}: the answer holds no URLs")
    if len(urls) != count:
        raise BadResponseError(
            f"cannot {action}: the answer holds {len(urls)} URLs instead of {count}"
        )
    ends_ns = parse_time_ns(text(answer, "uploadExpiration"))
    ends_s = now_s + UPLOAD_LIFE_S if ends_ns is None else ends_ns / 1e9
    return PartUrls(key, tuple(urls), expires_at, ends_s)


def decode_completion(answer: Json, action: str, size_bytes: int) -> int:
    """The size of a completed object. PartsRefusedError for a failure (which may be a success of
    HTTP's), and for an object of another size than was sent."""
    refused = parts_refused(action, answer)
    if refused is not None:
        raise refused
    stored = number(answer, "size")
    if stored is None:
        raise BadResponseError(f"cannot {action}: the answer tells no size")
    if stored != size_bytes:
        raise PartsRefusedError(
            f"cannot {action}: the storage has {stored} bytes of {size_bytes}",
            hint="it is uploaded once more",
        )
    return stored


def decode_details(answer: Json, action: str) -> Details:
    """Size and sha1 of a stored object."""
    size = number(answer, "size")
    if size is None or size > SIZE_MAX_BYTES:
        raise BadResponseError(f"cannot {action}: the answer tells no size")
    sha1 = text(answer, "sha1").lower()
    return Details(size, sha1 if len(sha1) == 40 and sha1.isalnum() else "")


def decode_tip(answer: Json, action: str, project: Project) -> Tip:
    """An item with its newest version. BadResponseError if that is left out, InUseError if it has
    no bytes (yet): neither is an item that is gone."""
    item = decode_item(answer, action, project)
    row = answer["data"]
    tip = Tips(answer.get("included")).of(row)
    if item is not None and tip is None:
        raise BadResponseError(f"cannot {action}: the answer leaves out the newest version")
    if item is not None and not isinstance(item, File):
        raise InUseError(f"cannot {action}: it has no bytes", hint="it may be processed just now")
    user_id, user = (text(row, "attributes", key) for key in ("reservedUserId", "reservedUserName"))
    reserved = dig(row, "attributes", "reserved") is True
    return Tip(
        item if isinstance(item, File) else None,
        (user or user_id or "somebody") if reserved else "",
        text(tip, "attributes", "name") or text(row, "attributes", "displayName"),
        exists=True,
        created_by=text(tip, "attributes", "createUserId"),
        reserved_by_id=user_id if reserved else "",
        process_state=text(tip, "attributes", "extension", "data", "processState"),
    )


def decode_earlier(answer: Json, action: str, project: Project, item_id: ItemId) -> File | None:
    """A version of an item; None for a tombstone."""
    row = _row(answer, action, "versions")
    if text(row, "attributes", "extension", "type").endswith(":Deleted"):
        return None
    return decode_version(row, item_id, action, project)


def decode_new_item(answer: Json, action: str, project: Project) -> Posted:
    """The item that was made, with its first version."""
    file = decode_item(answer, action, project)
    row = answer["data"]
    tip = Tips(answer.get("included")).of(row)
    if not isinstance(file, File) or not file.version_id or file.version_number is None:
        raise BadResponseError(f"cannot {action}: the answer holds no version of the new item")
    return _posted(file, tip)


def decode_new_version(answer: Json, action: str, project: Project, item_id: ItemId) -> Posted:
    """The version that was made. BadResponseError if it is of another item."""
    row = _row(answer, action, "versions")
    if text(row, "relationships", "item", "data", "id") not in ("", item_id):
        raise BadResponseError(f"cannot {action}: the answer is about another item")
    return _posted(decode_version(row, item_id, action, project), row)


def check_tombstone(answer: Json, action: str) -> int:
    """That an item was deleted; the tombstone's number, 0 if the answer does not tell."""
    row = _row(answer, action, "versions")
    if not text(row, "attributes", "extension", "type").endswith(":Deleted"):
        raise BadResponseError(f"cannot {action}: the answer is no tombstone")
    return number(dig(row, "attributes"), "versionNumber") or 0


def check_folder_change(answer: Json, action: str, *, hidden: bool | None) -> None:
    """That a folder is hidden, or not, as it was to be: some hubs answer 200 and do nothing. An
    answer without a body says nothing against it. NotPermittedError."""
    shown = dig(answer, "data", "attributes", "hidden")
    if hidden is not None and isinstance(shown, bool) and shown is not hidden:
        raise NotPermittedError(
            f"cannot {action}: the service answers, and does nothing",
            hint="folders of this hub cannot be deleted through its interface",
        )


def decode_permissions(answer: Json, actions: Iterable[str]) -> dict[str, frozenset[str]]:
    """By id what may be done with it, of ``actions``; ids that the answer leaves out are left
    out."""
    wanted = frozenset(actions)
    rows = dig(answer, "data", "attributes", "extension", "data", "permissions")
    if not isinstance(rows, list):
        rows = dig(answer, "data", "relationships", "resources", "data")
    found: dict[str, frozenset[str]] = {}
    for row in rows if isinstance(rows, list) else []:
        if not text(row, "id"):
            continue
        facts = row if "permission" in row else dig(row, "meta")
        details = dig(facts, "details")
        if isinstance(details, Mapping):
            found[row["id"]] = wanted & {key for key, value in details.items() if value is True}
        else:
            found[row["id"]] = wanted if dig(facts, "permission") is True else frozenset()
    return found


def _row(answer: Json, action: str, kind: str) -> Json:
    row = answer.get("data")
    if not isinstance(row, Mapping) or not text(row, "id") or row.get("type") != kind:
        raise BadResponseError(f"cannot {action}: the answer holds none of the {kind}")
    return row


def _posted(file: File, version: Json | None) -> Posted:
    status = text(version, "attributes", "extension", "data", "conformingStatus")
    return Posted(
        file,
        file.item_id,
        conforming=status != "NON_CONFORMING",
        created_by=text(version, "attributes", "createUserId"),
    )

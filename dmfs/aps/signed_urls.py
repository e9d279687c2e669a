"""Answers of ``signeds3download``: the URLs of a storage object's bytes. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from dmfs.aps.json_values import Json, number, text
from dmfs.errors import BadResponseError
from dmfs.http.errormap import clean
from dmfs.model import SignedObject, SignedRange, StorageId

STORAGE_PREFIX = "urn:adsk.objects:os.object:"
SIZE_MAX_BYTES = 1 << 44
"""16 TiB; the service accepts 5. The cache needs a byte for each block of an open file."""


def is_storage_id(storage_id: str) -> bool:
    """Whether the text names an object in a bucket."""
    bucket, slash, key = storage_id.removeprefix(STORAGE_PREFIX).partition("/")
    return storage_id.startswith(STORAGE_PREFIX) and bool(bucket and slash and key)


def bucket_and_key(storage_id: StorageId) -> tuple[str, str]:
    """Bucket and object key; keys may contain slashes themselves."""
    bucket, _, key = storage_id.removeprefix(STORAGE_PREFIX).partition("/")
    return bucket, key


def decode_signed(answer: Json, action: str, expires_at: float) -> SignedObject:
    """Decode ``complete`` and ``fallback`` (one URL) and ``chunked`` (URLs by inclusive ranges).

    ``expires_at``: trio's clock, seconds. BadResponseError unless the URLs cover the whole object.
    """
    size = number(answer, "size")
    if size is None:
        raise BadResponseError(f"cannot {action}: the answer tells no size")
    if size > SIZE_MAX_BYTES:
        raise BadResponseError(f"cannot {action}: the answer tells a size beyond all reason")
    sha1 = text(answer, "sha1").lower()
    sha1 = sha1 if re.fullmatch(r"[0-9a-f]{40}", sha1) else ""
    url = text(answer, "url")
    if url:
        return SignedObject(size, sha1, (SignedRange(0, size, url),), expires_at)
    urls = answer.get("urls")
    if not isinstance(urls, Mapping):
        status = clean(text(answer, "status"))
        raise BadResponseError(
            f"cannot {action}: the answer holds no URL (status {status or 'missing'})"
        )
    found = sorted(_part(key, value, action) for key, value in urls.items())
    parts = tuple(SignedRange(*bounds) for bounds in found)
    edges = [0, *(part.stop for part in parts)]
    if [part.start for part in parts] != edges[:-1] or edges[-1] != size:
        raise BadResponseError(
            f"cannot {action}: the parts of the answer do not make up the whole file"
        )
    return SignedObject(size, sha1, parts, expires_at)


def _part(key: str, url: object, action: str) -> tuple[int, int, str]:
    match = re.fullmatch(r"(\d{1,18})-(\d{1,18})", key)
    if not match or not isinstance(url, str):
        raise BadResponseError(f"cannot {action}: the answer holds a part without a range")
    return int(match[1]), int(match[2]) + 1, url

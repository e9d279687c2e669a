"""Presigned URLs of a real S3 server (Signature Version 4, query form), for ``presign``.

With it the emulator signs as the service does and another server, one that really checks
signatures and expiry, has the bytes. Path style, payload unsigned, ``host`` the only signed header.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from urllib.parse import quote, urlsplit

from dmfs.emulator.settings import S3Place
from dmfs.emulator.world import times

_ALGORITHM = "AWS4-HMAC-SHA256"


def presigned(
    place: S3Place, key: str, *, method: str, now_s: float, ttl_s: int,
    params: Iterable[tuple[str, str]] = (),
) -> str:  # fmt: skip
    """A URL that allows ``method`` on ``key`` until ``now_s + ttl_s``."""
    date = times.amz_date(now_s)
    scope = f"{date[:8]}/{place.region}/s3/aws4_request"
    query = _encoded(
        [
            ("X-Amz-Algorithm", _ALGORITHM),
            ("X-Amz-Credential", f"{place.access_key}/{scope}"),
            ("X-Amz-Date", date),
            ("X-Amz-Expires", str(ttl_s)),
            ("X-Amz-SignedHeaders", "host"),
            *params,
        ]
    )
    path = f"/{quote(place.bucket, safe='')}/{quote(key, safe='/')}"
    host = urlsplit(place.endpoint).netloc
    canonical = "\n".join([method, path, query, f"host:{host}\n", "host", "UNSIGNED-PAYLOAD"])
    hashed = hashlib.sha256(canonical.encode()).hexdigest()
    text = f"{_ALGORITHM}\n{date}\n{scope}\n{hashed}"
    signature = hmac.new(_key(place, date[:8]), text.encode(), hashlib.sha256).hexdigest()
    return f"{place.endpoint}{path}?{query}&X-Amz-Signature={signature}"


def _encoded(params: Iterable[tuple[str, str]]) -> str:
    """Canonical: percent-encoded one by one, then sorted."""
    pairs = sorted((quote(key, safe=""), quote(value, safe="")) for key, value in params)
    return "&".join(f"{key}={value}" for key, value in pairs)


def _key(place: S3Place, day: str) -> bytes:
    key = b"AWS4" + place.secret_key.encode()
    for part in (day, place.region, "s3", "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key

"""Signed URLs of the CDN, in the two forms seen in life (facts 4.1).

S3 style: ``X-Amz-Date``, ``X-Amz-Expires`` (seconds), ``X-Amz-Signature``. CloudFront style:
``Expires`` (epoch), ``Signature``, ``Key-Pair-Id``. The signature covers the path and all other
parameters. Expiry has a resolution of a second, rounded up. Signed URLs need no memory, except
that a path names its object by a hash, which is looked up here.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import math
import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import parse_qsl, quote, urlencode

from dmfs.emulator.api.s3_presign import presigned
from dmfs.emulator.settings import Settings
from dmfs.emulator.world import times
from dmfs.emulator.world.content import Content, Part
from dmfs.emulator.world.ids import split_storage_id
from dmfs.emulator.world.model import Storage

Params = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class SignedObject:
    """What a signed URL opens: a storage object, or one part of it."""

    storage: Storage
    content: Content
    etag: str


class BadSignature(Exception):
    """``expired`` or not genuine."""

    def __init__(self, *, expired: bool) -> None:
        super().__init__("expired" if expired else "not genuine")
        self.expired = expired


class Signer:
    """Makes signed URLs and checks them. ``expire_all`` makes a new generation."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._key = secrets.token_bytes(32)
        self._generation = 1
        self._objects: dict[str, tuple[Storage, tuple[int, int] | None]] = {}
        self._sessions: dict[str, str] = {}
        self._resources: dict[str, tuple[Storage, float, int]] = {}

    def expire_all(self) -> None:
        self._generation += 1

    def ttl_s(self, minutes: int) -> float:
        """How long a URL lives that was asked for so many minutes."""
        cap_s = self._settings.url_ttl_cap_s
        return minutes * 60.0 if cap_s is None else min(minutes * 60.0, cap_s)

    def url(
        self, base: str, storage: Storage, minutes: int, form: str, params: Params,
        span: tuple[int, int] | None = None,
    ) -> str:  # fmt: skip
        """A URL on ``base`` for ``minutes``; ``span`` (half-open) makes a part an object."""
        path = self._path(storage, span)
        now_s = time.time()
        ttl_s = self.ttl_s(minutes)
        place = self._settings.s3_place
        if place is not None:
            key = split_storage_id(storage.urn)[1]
            return presigned(
                place, key, method="GET", now_s=now_s, ttl_s=math.ceil(ttl_s), params=params
            )
        if self._settings.cdn_base is not None:
            base, path = self._settings.cdn_base, f"/{quote(split_storage_id(storage.urn)[1])}"
        expires_s = math.ceil(now_s + ttl_s)
        if form == "cloudfront":
            params = [
                *params, ("Expires", str(expires_s)), ("Key-Pair-Id", f"KEMU{self._generation}")
            ]  # fmt: skip
            params.insert(len(params) - 1, ("Signature", self._signature(path, params, form)))
        else:
            params = [
                ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"),
                ("X-Amz-Credential", f"AKIAEMU{self._generation}/us-east-1/s3/aws4_request"),
                ("X-Amz-Date", times.amz_date(now_s)),
                ("X-Amz-Expires", str(expires_s - int(now_s))),
                ("X-Amz-SignedHeaders", "host"),
                *params,
            ]
            params.append(("X-Amz-Signature", self._signature(path, params, form)))
        return f"{base}{path}?{urlencode(params)}"

    def _path(self, storage: Storage, span: tuple[int, int] | None) -> str:
        label = storage.urn if span is None else f"{storage.urn}#{span[0]}-{span[1]}"
        name = hashlib.sha256(label.encode("utf-8", "surrogatepass")).hexdigest()[:40]
        self._objects[name] = storage, span
        bucket = split_storage_id(storage.urn)[0]
        start = "/".join((name[:2], name[2:4], name[4:6], name[6:]))
        return f"/com.autodesk.oss-persistent/us-east-1/{start}/{bucket}"

    def _signature(self, path: str, params: Params, form: str) -> str:
        text = "\n".join([form, path, *(f"{key}={value}" for key, value in sorted(params))])
        digest = hmac.new(self._key, text.encode("utf-8", "surrogateescape"), hashlib.sha256)
        if form in ("s3", "put"):
            return digest.hexdigest()
        # CloudFront's own alphabet for base64.
        return base64.b64encode(digest.digest(), b"-~").decode().replace("=", "_")

    def check(self, path: str, query: str) -> SignedObject:
        """What the URL opens; BadSignature if it does not."""
        params = parse_qsl(query, keep_blank_values=True)
        given = dict(params)
        form = "s3" if "X-Amz-Signature" in given else "cloudfront"
        name = "X-Amz-Signature" if form == "s3" else "Signature"
        rest = [(key, value) for key, value in params if key != name]
        if not hmac.compare_digest(
            self._signature(path, rest, form).encode(), given.get(name, "").encode()
        ):
            raise BadSignature(expired=False)
        if form == "s3":
            self._check_s3_time(given, time.time())
        else:
            generation = given["Key-Pair-Id"].removeprefix("KEMU")
            if time.time() > int(given["Expires"]) or int(generation) < self._generation:
                raise BadSignature(expired=True)
        return _signed_object(*self._objects["".join(path.split("/")[3:7])])

    def expires_s(self, minutes: int) -> float:
        """When a URL that is made now will expire."""
        return math.ceil(time.time() + self.ttl_s(minutes))

    def put_url(self, base: str, urn: str, minutes: int, key: str, number: int) -> str:
        """A URL to PUT one part of an upload to."""
        bucket, object_key = split_storage_id(urn)
        path = f"/com.autodesk.oss-persistent/us-east-1/{quote(object_key, safe='')}/{bucket}"
        now_s = time.time()
        name = hashlib.sha256(key.encode()).hexdigest()
        self._sessions[name] = key
        params = [
            ("partNumber", str(number)),
            ("uploadId", name),
            ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"),
            ("X-Amz-Credential", f"AKIAEMU{self._generation}/us-east-1/s3/aws4_request"),
            ("X-Amz-Date", times.amz_date(now_s)),
            ("X-Amz-Expires", str(math.ceil(now_s + self.ttl_s(minutes)) - int(now_s))),
            ("X-Amz-SignedHeaders", "host"),
        ]
        params.append(("X-Amz-Signature", self._signature(path, params, "put")))
        return f"{base}{path}?{urlencode(params)}"

    def check_put(self, path: str, query: str, *, at_s: float) -> tuple[str, int]:
        """Upload key and part number of a URL of ``put_url``; BadSignature if it is none."""
        params = parse_qsl(query, keep_blank_values=True)
        given = dict(params)
        rest = [(key, value) for key, value in params if key != "X-Amz-Signature"]
        signature = self._signature(path, rest, "put")
        if not hmac.compare_digest(signature.encode(), given.get("X-Amz-Signature", "").encode()):
            raise BadSignature(expired=False)
        self._check_s3_time(given, at_s)
        return self._sessions[given["uploadId"]], int(given["partNumber"])

    def _check_s3_time(self, given: dict[str, str], at_s: float) -> None:
        began = datetime.strptime(given["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        expires_s = began.timestamp() + int(given["X-Amz-Expires"])
        generation = given["X-Amz-Credential"].partition("/")[0].removeprefix("AKIAEMU")
        if at_s > expires_s or int(generation) < self._generation:
            raise BadSignature(expired=True)

    def resource(self, storage: Storage, minutes: int) -> str:
        """The id of a new OSS signed resource, for the fallback kind of signing."""
        name = secrets.token_hex(18)
        name = "-".join((name[:8], name[8:12], name[12:16], name[16:20], name[20:]))
        self._resources[name] = (storage, time.time() + self.ttl_s(minutes), self._generation)
        return name

    def open_resource(self, name: str) -> Storage | None:
        """The storage of a signed resource; None if unknown; BadSignature if expired."""
        found = self._resources.get(name)
        if found is None:
            return None
        storage, expires_s, generation = found
        if time.time() > expires_s or generation < self._generation:
            raise BadSignature(expired=True)
        return storage


def _signed_object(storage: Storage, span: tuple[int, int] | None) -> SignedObject:
    content = storage.content if span is None else Part(storage.content, *span)
    label = storage.urn if span is None else f"{storage.urn}#{span[0]}-{span[1]}"
    return SignedObject(storage, content, etag(label, content.size, storage.revision))


def etag(label: str, size: int, revision: int = 0) -> str:
    """As of a multipart upload: 32 hex digits, a dash, the number of parts. Not the sha1."""
    label += f"~{revision}" if revision else ""
    name = hashlib.md5(label.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()
    return f'"{name}-{max(1, -(-size // (100 * 1024 * 1024)))}"'

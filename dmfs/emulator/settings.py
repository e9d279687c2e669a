"""What can be turned while the emulator runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from typing import Any

HOST = "127.0.0.1"
"""Loopback, always: the control endpoint and the fixed secrets must not be reachable."""


@dataclass(slots=True)
class Origins:
    """Base URLs of both origins; empty until they listen."""

    api_url: str = ""
    cdn_url: str = ""


@dataclass(frozen=True, slots=True)
class S3Place:
    """A bucket, and the key pair that may read and write. ``endpoint`` is scheme, host and port."""

    endpoint: str
    access_key: str
    secret_key: str
    bucket: str
    region: str = "us-east-1"


@dataclass(slots=True)
class Settings:
    """See the table in ``docs/emulator.md``. Zero means none or unlimited."""

    api_latency_ms: float = 0.0
    route_latency_ms: dict[str, float] = field(default_factory=dict)
    cdn_latency_ms: float = 0.0
    cdn_bytes_per_s: float = 0.0
    line_bytes_per_s: float = 0.0
    """Of all bodies from and to the CDN's origin together."""
    rate_limits: str | float = "off"
    rate_window_s: float = 60.0
    token_ttl_s: float = 3599.0
    refresh_ttl_s: float = 15 * 86400.0
    code_ttl_s: float = 300.0
    date_offset_s: float = 0.0
    """Lead of the service's clock over this machine's: Date headers, life of assertions."""
    url_ttl_cap_s: float | None = None
    signing: str | None = None
    url_form: str | None = None
    page_limit: int | None = None
    cdn_base: str | None = None
    """Signed URLs are ``<cdn_base>/<object key>?…``: another server has the bytes."""
    presign: dict[str, str] | None = None
    """Signed URLs are those of a real S3 server, which has the bytes of uploads, too; the fields of
    ``S3Place``."""
    cdn_put_bytes_per_s: float = 0.0
    upload_ttl_s: float = 26 * 3600.0
    failed_completion_status: int = 400
    lock_status: int = 403
    patch_name_taken_status: int = 400
    folder_files_max: int = 10_000
    refused_characters: str = '<>:"/\\|?*'
    processing_s: float = 0.0
    busy_s: float = 0.0
    """So long after a version its item takes no further one (409)."""
    upload_level_versions: str = "any"
    """Whose files get new versions from a user of the level upload: any, or own."""
    refuse_empty: bool = False
    etag_form: str = "md5"
    accelerate_base: str | None = None
    """Upload URLs with acceleration have this origin in place of the CDN's."""
    list_lag_s: float = 0.0
    search_lag_s: float = 0.0
    """The search answers as everything was so long ago."""
    sha1_lag_s: float = 0.0
    storage_moves: bool = False
    """A version's object has another id than the location it was uploaded to."""
    lost_look_s: float = 10.0
    list_refs_rows: str = "other"
    """What a row of ListRefs is about: the other end, or the version that was checked."""
    publish_null: str = "waiting"
    """Which state of a cloud model the command GetPublishModelJob answers with null."""
    local_names: list[str] | None = None

    def update(self, changes: dict[str, Any]) -> None:
        """Set several at once; ValueError names the first that is unknown or makes no sense."""
        known = {f.name for f in fields(self)}
        for key, value in changes.items():
            if key not in known:
                raise ValueError(f"unknown setting {key!r}")
            setattr(self, key, _checked(key, value))

    @property
    def s3_place(self) -> S3Place | None:
        return None if self.presign is None else S3Place(**self.presign)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


_CHOICES = {
    "signing": (None, "complete", "chunked", "fallback"),
    "url_form": (None, "s3", "cloudfront"),
    "failed_completion_status": (200, 400),
    "lock_status": (403, 423),
    "patch_name_taken_status": (400, 409),
    "refuse_empty": (False, True),
    "storage_moves": (False, True),
    "upload_level_versions": ("any", "own"),
    "etag_form": ("md5", "opaque"),
    "list_refs_rows": ("other", "checked"),
    "publish_null": ("published", "waiting"),
}


_NONE_ALLOWED = {
    "url_ttl_cap_s",
    "page_limit",
    "cdn_base",
    "presign",
    "accelerate_base",
    "local_names",
}


def parse_rate_limits(value: object) -> str | float:
    """``off``, ``published``, or a positive scale of the published limits."""
    if value in ("off", "published"):
        return str(value)
    try:
        scale = float(str(value))
    except ValueError:
        scale = 0.0
    if scale <= 0:
        raise ValueError(f"rate limits are off, published or a positive scale, not {value!r}")
    return scale


def _origin(value: Any) -> str:
    return str(value).rstrip("/")


def _place(value: Any) -> dict[str, str]:
    S3Place(**value)  # a TypeError says which field is unknown or missing
    return dict(value)


def _latencies(value: Any) -> dict[str, float]:
    return {str(route): float(latency_ms) for route, latency_ms in dict(value).items()}


_MAKE: dict[str, Callable[[Any], Any]] = {
    "rate_limits": parse_rate_limits,
    "route_latency_ms": _latencies,
    "date_offset_s": float,
    "cdn_base": _origin,
    "accelerate_base": _origin,
    "presign": _place,
    "refused_characters": str,
    "local_names": lambda value: [str(pattern) for pattern in value],
}
_COUNTS = {"page_limit", "folder_files_max"}


def _checked(key: str, value: Any) -> Any:
    if key in _CHOICES:
        if value not in _CHOICES[key]:
            raise ValueError(f"{key} is one of {_CHOICES[key]}, not {value!r}")
        return value
    if value is None and key in _NONE_ALLOWED:
        return None
    if key in _MAKE:
        return _MAKE[key](value)
    if not isinstance(value, int | float) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{key} is a number that is not negative, not {value!r}")
    if key not in _COUNTS:
        return float(value)
    if int(value) < 1:
        raise ValueError(f"{key} is 1 or more")
    return int(value)

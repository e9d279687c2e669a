"""What can be turned while the emulator runs."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any


@dataclass(slots=True)
class Origins:
    """Base URLs of both origins; empty until they listen."""

    api_url: str = ""
    cdn_url: str = ""


@dataclass(frozen=True, slots=True)
class S3Place:
    """A bucket, and the key pair that may read it. ``endpoint`` is scheme, host and port."""

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
    """Signed URLs are those of a real S3 server; the fields of ``S3Place``."""

    def update(self, changes: dict[str, Any]) -> None:
        """Set several at once; ValueError names the first that is unknown or makes no sense."""
        known = {f.name for f in fields(self)}
        for key, value in changes.items():
            if key not in known:
                raise ValueError(f"unknown setting {key!r}")
            setattr(self, key, _checked(key, value))

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


_CHOICES = {
    "signing": (None, "complete", "chunked", "fallback"),
    "url_form": (None, "s3", "cloudfront"),
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


def _checked(key: str, value: Any) -> Any:
    if key in _CHOICES:
        if value not in _CHOICES[key]:
            raise ValueError(f"{key} is one of {_CHOICES[key]}, not {value!r}")
        return value
    if key == "rate_limits":
        return parse_rate_limits(value)
    if key == "route_latency_ms":
        return {str(route): float(latency_ms) for route, latency_ms in dict(value).items()}
    if value is None and key in ("url_ttl_cap_s", "page_limit", "cdn_base", "presign"):
        return None
    if key == "date_offset_s":
        return float(value)
    if key == "cdn_base":
        return str(value).rstrip("/")
    if key == "presign":
        S3Place(**value)  # a TypeError says which field is unknown or missing
        return dict(value)
    if not isinstance(value, int | float) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{key} is a number that is not negative, not {value!r}")
    if key == "page_limit":
        if int(value) < 1:
            raise ValueError("page_limit is 1 or more")
        return int(value)
    return float(value)

"""Ids shaped as in life, and made from a label: the same world has the same ids on every start.

Shapes (facts 3.4): hubs and projects ``b.<guid>`` or ``a.<base64>`` (which may carry ``=``);
folders ``urn:adsk.wipprod:fs.folder:co.<22>``; items ``urn:adsk.wipprod:dm.lineage:<22>``;
versions ``urn:adsk.wipprod:fs.file:vf.<22>?version=N``; storage
``urn:adsk.objects:os.object:<bucket>/<object key>``.
"""

from __future__ import annotations

import base64
import hashlib
import uuid

US_REALM = "wipprod"
EMEA_REALM = "wipemea"
US_BUCKET = "wip.dm.prod"
EMEA_BUCKET = "wip.dm.emea.2"
STORAGE_PREFIX = "urn:adsk.objects:os.object:"


def digest(label: str) -> bytes:
    """32 bytes that depend on ``label`` only; labels may hold lone surrogates."""
    return hashlib.sha256(label.encode("utf-8", "surrogatepass")).digest()


def guid(label: str) -> str:
    """A version-4-looking GUID."""
    return str(uuid.UUID(bytes=digest("guid " + label)[:16], version=4))


def short_id(label: str) -> str:
    """22 characters of base64url: 16 bytes without padding."""
    return base64.urlsafe_b64encode(digest("short " + label)[:16]).decode().rstrip("=")


def a_id(text: str, *, padded: bool = False) -> str:
    """``a.`` and the base64 of ``text``; real ones are seen with and without ``=``."""
    encoded = base64.b64encode(text.encode()).decode()
    return "a." + (encoded if padded else encoded.rstrip("="))


def folder_id(realm: str, label: str) -> str:
    return f"urn:adsk.{realm}:fs.folder:co.{short_id(label)}"


def item_id(realm: str, suffix: str) -> str:
    return f"urn:adsk.{realm}:dm.lineage:{suffix}"


def version_id(realm: str, suffix: str, number: int) -> str:
    return f"urn:adsk.{realm}:fs.file:vf.{suffix}?version={number}"


def storage_id(bucket: str, object_key: str) -> str:
    return f"{STORAGE_PREFIX}{bucket}/{object_key}"


def split_storage_id(urn: str) -> tuple[str, str]:
    """``(bucket, object key)``, split at the first ``/``."""
    bucket, _, key = urn.removeprefix(STORAGE_PREFIX).partition("/")
    return bucket, key


def realm_of(urn: str) -> str:
    """``wipprod`` of ``urn:adsk.wipprod:…``."""
    return urn.split(":")[1].removeprefix("adsk.")

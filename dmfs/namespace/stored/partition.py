"""Whose listings they are: permissions differ, so each sign-in to each service has its own."""

from __future__ import annotations

import hashlib

from dmfs.config import Settings


def cache_partition(*parts: str) -> str:
    """The key of one sign-in to one service."""
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def scope_of(settings: Settings, principal: str, *more: str) -> str:
    """One for each sign-in of each person (``auth.principal``), whatever their mounts show."""
    return cache_partition(
        settings.api_url,
        settings.client_id,
        settings.profile,
        settings.sign_in,
        settings.x_user_id,
        settings.account_id,
        settings.key_id,
        settings.key_file,
        principal,
        *more,
    )


def listing_scope(settings: Settings, principal: str, *, service_folders: bool = False) -> str:
    """Of listings: those of a drive that shows service folders are others."""
    return scope_of(settings, principal, str(service_folders))

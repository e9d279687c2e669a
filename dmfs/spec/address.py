"""``dmfs://[PROFILE]/Hub/Project/…``: what such an address names. Pure.

Names are taken as they are: nothing is percent-decoded, and ``?`` and ``#`` begin nothing.
"""

from __future__ import annotations

PROTOCOL = "dmfs"
_SCHEME = f"{PROTOCOL}://"


def profile_of(address: str) -> str:
    """The profile that an address names; '' for none."""
    return address.removeprefix(_SCHEME).partition("/")[0] if address.startswith(_SCHEME) else ""


def path_of(address: str) -> str:
    """The path in the drive: with one slash at the start and none at the end; ``/`` for the root.
    ``.`` and empty parts are left out."""
    if address.startswith(_SCHEME):
        address = address.removeprefix(_SCHEME).partition("/")[2]
    elif address.startswith(f"{PROTOCOL}:"):
        address = address.removeprefix(f"{PROTOCOL}:")
    parts = [part for part in address.split("/") if part not in ("", ".")]
    return "/" + "/".join(parts)


def address_of(profile: str, path: str) -> str:
    """The address of a path: ``path_of`` and ``profile_of`` lead back."""
    return f"{_SCHEME}{profile}{path_of(path)}"

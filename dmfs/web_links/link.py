"""What a link names, and what is in an id."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass

PERSONAL_TEAM = "myhub"
"""The host of everybody's own hub."""
_REALM = re.compile(r"urn:adsk\.([\w-]+):")
_TEAM_ID = re.compile(r"(business|personal):([A-Za-z0-9-]+)(?:#(\d{1,20}))?")


@dataclass(frozen=True, slots=True)
class WebLink:
    """What a link names; '' for what it does not. ``hub_id`` and ``project_id`` are equal where an
    id may be either's."""

    team: str = ""
    """Whose site it is: ``acme`` of ``acme.autodesk360.com``."""
    hub_id: str = ""
    project_id: str = ""
    project_number: str = ""
    """Of a project in such a team: the digits at the end of its decoded id."""
    folder_id: str = ""
    item_id: str = ""
    version_id: str = ""
    """With ``?version=N``; without it the newest one is meant."""
    storage_id: str = ""

    @property
    def entity_id(self) -> str:
        """The smallest thing that is named by an id; '' where that is a hub or a project."""
        return self.version_id or self.item_id or self.storage_id or self.folder_id

    @property
    def version_number(self) -> int | None:
        number = self.version_id.partition("?version=")[2]
        return int(number) if number else None


def to_base64(text: str) -> str:
    """As in links: base64url without padding."""
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def from_base64(text: str) -> str:
    """The text of which this is the base64, of either alphabet, padded or not; '' if of none."""
    body = text.rstrip("=").translate(str.maketrans("-_", "+/"))
    try:
        return base64.b64decode(body + "=" * (-len(body) % 4), validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        return ""


def team_of(identifier: str) -> tuple[str, str]:
    """The team and the project's number in an ``a.`` id, as far as it tells: ``("acme", "2019…")``
    of the base64 of ``business:acme#2019…``. A personal hub's team is ``myhub``."""
    match = _TEAM_ID.fullmatch(from_base64(identifier.removeprefix("a.")))
    if match is None:
        return "", ""
    team = match[2].lower() if match[1] == "business" else PERSONAL_TEAM
    return team, match[3] or ""


def realm_of(identifier: str) -> str:
    """``wipprod`` of ``urn:adsk.wipprod:…``: the region of an id; '' where it tells none."""
    match = _REALM.match(identifier)
    return match[1] if match else ""

"""Uploads in the making: placeholders of ``POST storage``, sessions, and the parts they have."""

from __future__ import annotations

import base64
import secrets
import time
from dataclasses import dataclass, field

from dmfs.emulator.world.content import Content
from dmfs.emulator.world.model import Project, Storage
from dmfs.emulator.writing.part_digest import PartDigest
from dmfs.emulator.writing.part_file import PartFile, Stored

PART_MIN_BYTES = 5 * 1024 * 1024
"""Every part but the last has at least so many."""
PARTS_MAX = 10_000


@dataclass(slots=True, eq=False)
class Part:
    """``accepted``: its sender got the answer that says so."""

    content: Content
    etag: str
    accepted: bool = False


@dataclass(slots=True, eq=False)
class Placeholder:
    """A storage location. Until an upload is complete it has no object."""

    urn: str
    name: str
    project: Project
    target_id: str
    user_id: str
    client_id: str
    created_s: float = field(default_factory=time.time)
    storage: Storage | None = None
    used_by: str = ""
    """The version that was made of it."""
    use_answered: bool = False
    """Whoever made that version got the answer."""


@dataclass(slots=True, eq=False)
class Session:
    """One upload to a placeholder. Only a session of several parts is found again by its key."""

    key: str
    placeholder: Placeholder
    ends_s: float
    is_multipart: bool = False
    began_s: float = field(default_factory=time.time)
    done: bool = False
    parts: dict[int, Part] = field(default_factory=dict)
    digest: PartDigest = field(default_factory=PartDigest)
    s3_id: str = ""
    """Of the upload at the S3 server, where ``presign`` names one."""

    @property
    def stored(self) -> list[Stored]:
        """The contents of the parts in their order, of a session whose parts came here."""
        contents = [self.parts[number].content for number in sorted(self.parts)]
        return [content for content in contents if isinstance(content, Stored)]

    @property
    def is_over(self) -> bool:
        return time.time() > self.ends_s

    @property
    def size_bytes(self) -> int:
        return sum(part.content.size for part in self.parts.values())


class Uploads:
    """All placeholders by storage URN, all sessions by key."""

    def __init__(self) -> None:
        self.file = PartFile()
        self.placeholders: dict[str, Placeholder] = {}
        self.sessions: dict[str, Session] = {}

    def expire_all(self) -> None:
        """Every session that is open reaches its end."""
        for session in self.sessions.values():
            session.ends_s = 0.0

    def begin(self, placeholder: Placeholder, ttl_s: float) -> Session:
        """A new session with a key of 600 characters."""
        key = base64.urlsafe_b64encode(secrets.token_bytes(450)).decode()
        session = Session(key, placeholder, time.time() + ttl_s)
        self.sessions[key] = session
        return session

"""What was: directories that are made of versions, and what the service is asked for them.

*Sources* are answers of the service, kept as listings are. *Views* are made of them, and of what is
listed now, by pure functions (``namespace.views``), and cost nothing by themselves.
"""

from __future__ import annotations

from dataclasses import dataclass

from dmfs.model.nodes import File, Folder, Leaf, LiveDirectory, Project

HISTORIES, SNAPSHOTS = ".versions", ".snapshots"
"""Answered, and never listed."""


@dataclass(frozen=True, slots=True)
class VersionList:
    """Source: all versions of an item, deletions and those without bytes among them. As long as the
    item's tip is the same one, nothing in it changes."""

    tip: Leaf

    @property
    def identity(self) -> str:
        return f"versions {self.tip.project_id} {self.tip.version_id}"

    @property
    def name(self) -> str:
        return self.tip.name


@dataclass(frozen=True, slots=True)
class WithDeleted:
    """Source: what is in a directory and what was deleted from it, by id instead of names."""

    of: Project | Folder

    @property
    def identity(self) -> str:
        return f"with deleted {self.of.identity}"

    @property
    def name(self) -> str:
        return self.of.name


@dataclass(frozen=True, slots=True)
class Histories:
    """View: the items of a directory that have more than one version. ``DIR/.versions``"""

    of: Project | Folder

    @property
    def identity(self) -> str:
        return f"histories {self.of.identity}"

    @property
    def name(self) -> str:
        return HISTORIES


@dataclass(frozen=True, slots=True)
class History:
    """View: the versions of an item, up to the tip. ``DIR/.versions/plan.dwg``; after a new version
    it is another one."""

    tip: File
    name: str
    """In the directory, which may not be that of the service."""

    @property
    def identity(self) -> str:
        return f"history {self.tip.project_id} {self.tip.version_id}"


@dataclass(frozen=True, slots=True)
class Past:
    """View: a directory at a moment, nanoseconds since the epoch."""

    of: LiveDirectory
    at_ns: int

    @property
    def identity(self) -> str:
        return f"at {self.at_ns} {self.of.identity}"

    @property
    def name(self) -> str:
        return self.of.name


@dataclass(frozen=True, slots=True)
class Snapshots:
    """View: a directory at each midnight of the last days. ``.snapshots``"""

    of: LiveDirectory

    @property
    def identity(self) -> str:
        return f"snapshots {self.of.identity}"

    @property
    def name(self) -> str:
        return SNAPSHOTS


Source = VersionList | WithDeleted
View = Histories | History | Past | Snapshots

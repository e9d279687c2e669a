"""Nodes that have pictures, or none."""

from __future__ import annotations

from typing import Any

from dmfs.model import File, FolderId, HubId, ItemId, ProjectId, Shortcut, StorageId, VersionId


def a_file(name: str = "Tower.rvt", number: int = 1, kind: type[File] = File) -> File:
    return kind(
        item_id=ItemId("urn:adsk.wipprod:dm.lineage:x"),
        version=f"urn:adsk.wipprod:fs.file:vf.{name}?version={number}",
        storage_id=StorageId("urn:adsk.objects:os.object:b/k"), folder_id=FolderId("urn:f"),
        project_id=ProjectId("b.1"), hub_id=HubId("b.2"), name=name, size_bytes=1,
    )  # fmt: skip


def a_shortcut(extension_type: str, version_id: str | None = "urn:v?version=1") -> Shortcut:
    values: dict[str, Any] = {"version_id": None if version_id is None else VersionId(version_id)}
    return Shortcut(
        item_id=ItemId("urn:i"), folder_id=FolderId("urn:f"), project_id=ProjectId("a.1"),
        hub_id=HubId("a.2"), name="Bracket.url", body=b"", extension_type=extension_type, **values,
    )  # fmt: skip

"""Which folder of the service a directory of the drive is. Pure."""

from __future__ import annotations

from dmfs.model import Child, Directory, File, Folder, FolderId, Project, Shortcut
from dmfs.write.records import Place


def folder_of(directory: Directory) -> FolderId | None:
    """The folder in which things of a directory are made; None where nothing can be: above the
    projects, and at the top of a ``b.`` project."""
    if isinstance(directory, Folder):
        return directory.id
    if isinstance(directory, Project) and not is_account(directory):
        return directory.root_folder_id
    return None


def place_of(directory: Directory, name: str) -> Place | None:
    """None where nothing can be made."""
    folder = folder_of(directory)
    if folder is None:
        return None
    project_id = directory.project_id if isinstance(directory, Folder) else directory.id  # type: ignore[union-attr]
    return Place(directory.hub_id, project_id, folder, name)  # type: ignore[union-attr, arg-type]


def is_account(node: Child | Directory | Place) -> bool:
    """Whether it is of BIM 360 or ACC (``b.``): renames by new versions, and deletions exist."""
    if isinstance(node, Project):
        return node.id.startswith("b.")
    if isinstance(node, Folder | File | Shortcut | Place):
        return node.project_id.startswith("b.")
    return False

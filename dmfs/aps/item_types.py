"""How an item shows, by its extension type: the one table.

The key is the last part of the Schema service's name (``items:autodesk.bim360:File`` → ``File``),
for items and versions alike. An unknown type is a file if it has a storage object, else a shortcut:
future types of Autodesk must show too.
"""

from __future__ import annotations

import enum
import re


class Kind(enum.Enum):
    """How an item shows in the tree."""

    FILE = "file if it has bytes of its own, else a shortcut"
    SHORTCUT = "always a shortcut: its storage, if any, is not the file that a user expects"
    HIDDEN = "does not show"


_KIND_BY_TYPE = {
    # plain files of both families
    "File": Kind.FILE,
    # Revit cloud model: the published bytes; none while unpublished
    "C4RModel": Kind.FILE,
    # A360 composite: a zip of the parent file and its references
    "CompositeDesign": Kind.FILE,
    # a job exports Fusion documents (f3z); their storage is not readable
    "Design": Kind.SHORTCUT,
    "Drawing": Kind.SHORTCUT,
    # a page of a PDF or DWG in BIM 360 Plans: virtual, the sibling File has the bytes
    "Document": Kind.SHORTCUT,
    # the services' own bookkeeping
    "TitleBlock": Kind.HIDDEN,
    "ReviewDocument": Kind.HIDDEN,
    "FDX": Kind.HIDDEN,
    "FDXExchange": Kind.HIDDEN,
    "Exchange": Kind.HIDDEN,
    # a tombstone: the tip of a deleted item
    "Deleted": Kind.HIDDEN,
}


def kind_of(item_type: str, version_type: str) -> Kind:
    """The kind of an item by its own and its tip's extension type; HIDDEN wins."""
    kinds = [_KIND_BY_TYPE.get(name.rpartition(":")[2]) for name in (version_type, item_type)]
    if Kind.HIDDEN in kinds or "fdx" in version_type.lower() or "fdx" in item_type.lower():
        return Kind.HIDDEN
    return kinds[0] or kinds[1] or Kind.FILE


_GUID = r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}"
_TOOL_PATTERN = re.compile(
    rf"""(?ix)
    {_GUID}
    | (checklist|issue|issues|dailylog|quantification|rfis_project|assets|COST\ Root\ Folder
       |submittals-attachments|correspondence-project|meetings-project|ProjectTb|Photos)
      [_\- ].*
    | .*(submittals-attachments|correspondence-project|meetings-project).*
    """
)
_TOOL_NAMES = {"photos", "projecttb", "cost root folder", "recycle bin"}


def is_service_folder(name: str, *, at_root: bool) -> bool:
    """Whether a folder of a ``b.`` project belongs to a tool (issues, checklists …).

    Autodesk's own sample hides every top folder whose name *contains* one of these words, which
    would hide a user's "Photos" too. So the rule applies only directly under the project's root:
    users cannot make folders there, and a non-admin's top folders may be deep ones. The creator
    does not help: a tool's folders have the name of the user who switched the tool on.
    """
    if not at_root:
        return False
    return name.lower() in _TOOL_NAMES or _TOOL_PATTERN.fullmatch(name) is not None

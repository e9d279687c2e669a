"""What an entry is, by its extension type. Floor 0: the one table.

Keyed by the Schema service's names: the last part decides (``items:autodesk.bim360:File`` →
``File``), for items and versions alike. A type that is not here is a file if it has a storage
object, else a shortcut: what Autodesk invents next year shall be visible, not lost.
"""

from __future__ import annotations

import enum
import re


class Kind(enum.Enum):
    """How an item shows in the tree."""

    FILE = "file if it has bytes of its own, else a shortcut"
    SHORTCUT = "always a shortcut: its storage, if any, is not what a user would call the file"
    HIDDEN = "not there"


_KINDS = {
    # plain files of both families
    "File": Kind.FILE,
    # Revit cloud model: the published bytes; none while unpublished
    "C4RModel": Kind.FILE,
    # A360 composite: a zip of the parent file and its references
    "CompositeDesign": Kind.FILE,
    # Fusion documents are exported by a job (f3z), never read from their storage
    "Design": Kind.SHORTCUT,
    "Drawing": Kind.SHORTCUT,
    # a page of a PDF or DWG in BIM 360 Plans: virtual, the sibling File holds the bytes
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
    """The kind of an item from its own and its tip's extension type; hidden wins."""
    kinds = [_KINDS.get(name.rpartition(":")[2]) for name in (version_type, item_type)]
    if Kind.HIDDEN in kinds or "fdx" in version_type.lower() or "fdx" in item_type.lower():
        return Kind.HIDDEN
    return kinds[0] or kinds[1] or Kind.FILE


_GUID = r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}"
_BY_MACHINE = re.compile(
    rf"""(?ix)
    {_GUID}
    | (checklist|issue|issues|dailylog|quantification|rfis_project|assets|COST\ Root\ Folder
       |submittals-attachments|correspondence-project|meetings-project|ProjectTb|Photos)
      [_\- ].*
    | .*(submittals-attachments|correspondence-project|meetings-project).*
    """
)
_BY_WORD = {"photos", "projecttb", "cost root folder", "recycle bin"}


def is_service_folder(name: str, *, at_root: bool) -> bool:
    """Whether a ``b.`` project's folder belongs to a tool (issues, checklists …), not to people.

    Autodesk's own sample drops every top folder whose name *contains* one of these words, which
    would hide a user's "Photos" too. So: only directly under the project's root (where people
    cannot make folders, while a non-admin's top folders may be deep ones). Who made it tells
    nothing: a tool's folders bear the name of whoever switched the tool on.
    """
    if not at_root:
        return False
    return name.lower() in _BY_WORD or _BY_MACHINE.fullmatch(name) is not None

"""What an entry is, in words: its extension type as a person would call it. Pure.

The key is family and name of the Schema service's type (``items:autodesk.bim360:File`` →
``bim360:File``), for items and versions alike.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from dmfs.model import (
    File,
    Folder,
    Histories,
    History,
    Hub,
    Node,
    Past,
    Project,
    Root,
    Shortcut,
    Snapshots,
    WrittenFile,
)

_WORDS: Mapping[str, str] = {
    # hubs
    "bim360:Account": "BIM 360 or ACC account",
    "core:Hub": "team hub (Fusion Team or BIM 360 Team)",
    "a360:PersonalHub": "personal hub",
    # projects
    "bim360:Project": "BIM 360 or ACC project",
    "core:Project": "team project",
    "a360:Project": "personal project",
    # folders
    "bim360:Folder": "folder",
    "core:Folder": "folder",
    # items and versions
    "bim360:File": "file",
    "core:File": "file",
    "bim360:C4RModel": "Revit cloud model",
    "bim360:Document": "BIM 360 sheet",
    "bim360:TitleBlock": "BIM 360 title block",
    "bim360:ReviewDocument": "document of a review",
    "bim360:FDX": "data exchange",
    "bim360:FDXExchange": "data exchange",
    "fdx:Exchange": "data exchange",
    "fusion360:Design": "Fusion design",
    "fusion360:Drawing": "Fusion drawing",
    "fusion360:DrawingTemplate": "Fusion drawing template",
    "fusion360:Animation": "Fusion animation",
    "fusion360:CAM": "Fusion manufacturing model",
    "fusion360:Simulation": "Fusion simulation",
    "a360:CompositeDesign": "assembly with its references, as a zip",
    "core:Deleted": "deleted item",
}
_FAMILIES: Mapping[str, str] = {
    "bim360": "BIM 360", "acc": "ACC", "fusion360": "Fusion", "a360": "A360", "core": "",
}  # fmt: skip
_PROJECT_HOSTS = ((".b360.autodesk.com", "BIM 360 project"), ("acc.autodesk.", "ACC project"))
"""Both kinds have one type, and pages of different sites."""
_OWN: Mapping[type, str] = {
    Root: "all hubs", Hub: "hub", Project: "project", Folder: "folder", File: "file",
    Shortcut: "item without bytes of its own", Histories: "files with former versions",
    History: "versions of a file", Snapshots: "moments of the drive",
}  # fmt: skip
_PARTS = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")
_NAME_MAX = 60


def words_of(node: Node) -> str:
    """What a node is: "Fusion design", "ACC project", "file"."""
    if isinstance(node, Past):
        return f"{words_of(node.of)}, as it was at a moment"
    words = type_words(str(getattr(node, "extension_type", ""))) or _OWN.get(type(node), "entry")
    if isinstance(node, WrittenFile) and node.draft_id:
        words += ", saved here and not sent yet"
    elif isinstance(node, File) and not node.version_id and node.item_id:
        words += " that the service does not let you read"
    elif isinstance(node, Folder) and node.service:
        words += " of a tool"
    elif isinstance(node, Project):
        host = node.web_url.partition("//")[2].partition("/")[0].lower()
        words = next((kind for part, kind in _PROJECT_HOSTS if part in host), words)
    return words


def type_words(extension_type: str) -> str:
    """An extension type in words; '' for none. An unknown one is read from its name:
    ``items:autodesk.bim360:HoloDeck`` → "BIM 360 holo deck"."""
    family, _, name = extension_type.rpartition(":")
    family = family.rpartition(":")[2].rpartition(".")[2]
    if not name:
        return ""
    known = _WORDS.get(f"{family}:{name}")
    if known is not None:
        return known
    parts = _PARTS.findall(name[:_NAME_MAX])
    if not parts:
        return ""
    plain = " ".join(part if part.isupper() and len(part) > 1 else part.lower() for part in parts)
    maker = _FAMILIES.get(family, " ".join(_PARTS.findall(family[:_NAME_MAX])))
    return f"{maker} {plain}".strip()


def schema_words(schema: Mapping[str, Any]) -> str:
    """The Schema service's own description of a type; '' where it has none."""
    for key in ("description", "title"):
        text = schema.get(key)
        if isinstance(text, str) and text.strip():
            return text.strip()
    return ""


def model_words(state: str, published_ns: int | None, changed_ns: int | None) -> str:
    """A Revit cloud model and its state: "Revit cloud model, published 3 days before its last
    change". ``state`` is that of ``PublishState``."""
    if published_ns is None:
        return "Revit cloud model, never published"
    if state == "publishing":
        return "Revit cloud model, being published now"
    if state == "publishing failed":
        return "Revit cloud model, whose last publishing failed"
    if state == "published":
        return "Revit cloud model, published as it is now"
    behind_s = ((changed_ns or 0) - published_ns) / 1e9
    if behind_s >= 60:
        return f"Revit cloud model, published {_span(behind_s)} before its last change"
    if state == "needs publishing":
        return "Revit cloud model, with changes that are not published"
    return "Revit cloud model, published"


def _span(seconds: float) -> str:
    for unit_s, name in ((86_400, "day"), (3600, "hour"), (60, "minute")):
        count = int(seconds // unit_s)
        if count:
            return f"{count} {name}{'' if count == 1 else 's'}"
    return "less than a minute"

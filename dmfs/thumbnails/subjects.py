"""Of what the service may have a picture: what cannot have one costs no call. Pure."""

from __future__ import annotations

from dmfs.aps.questions.thumbnail import Subject
from dmfs.model import DeletedItem, File, Node, Shortcut

NEVER = frozenset(
    # text and tables
    "txt md log csv tsv json xml html htm css ini cfg conf toml yaml yml py js sh bat sql url lnk"
    # archives, programs, disks
    " zip 7z rar tar gz bz2 xz zst iso exe dll msi deb rpm jar bak tmp db sqlite"
    # sound and film
    " mp3 wav flac ogg m4a mp4 mov avi mkv webm"
    # mail and keys
    " eml msg pst pem key crt p12".split()
)
"""Ends of names, in small letters. All else is worth a question: the service knows some 70 formats,
and more each year."""
_WITHOUT_BYTES = ("versions:autodesk.fusion360:", "versions:autodesk.bim360:C4RModel")
"""Items without a file that have pictures: Fusion designs, Revit cloud models."""


def subject_of(node: Node) -> Subject | None:
    """The version to ask for, None where there can be no picture."""
    if isinstance(node, File):
        never = isinstance(node, DeletedItem) or _ending(node.name) in NEVER
        version_id = None if never else node.version_id
    elif isinstance(node, Shortcut):
        version_id = node.version_id if node.extension_type.startswith(_WITHOUT_BYTES) else None
    else:
        return None
    return Subject(version_id, node.project_id, node.hub_id) if version_id else None


def _ending(name: str) -> str:
    stem, dot, ending = name.rpartition(".")
    return ending.lower() if stem and dot else ""

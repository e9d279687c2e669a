"""The ids of the service."""

from __future__ import annotations

from typing import NewType

HubId = NewType("HubId", str)
"""``b.<account guid>`` (BIM 360, ACC) or ``a.<base64>`` (Fusion Team, BIM 360 Team, personal)."""
ProjectId = NewType("ProjectId", str)
"""``b.<project guid>`` or ``a.<base64>``."""
FolderId = NewType("FolderId", str)
"""``urn:adsk.wipprod:fs.folder:co.<22 chars>``."""
LOCAL_FOLDER = "local:"
"""A folder that the service does not have has such an id, with 32 hex digits behind it."""
LATER_FOLDER = "local:later:"
"""The same, of one that it gets as soon as it can be reached."""
ItemId = NewType("ItemId", str)
"""``urn:adsk.wipprod:dm.lineage:<22 chars>``: a file through all of its versions."""
VersionId = NewType("VersionId", str)
"""``urn:adsk.wipprod:fs.file:vf.<22 chars>?version=N``."""
StorageId = NewType("StorageId", str)
"""``urn:adsk.objects:os.object:<bucket>/<object key>``: immutable bytes."""

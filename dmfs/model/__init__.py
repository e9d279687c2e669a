"""The nouns of the drive: frozen data, no behaviour beyond identity.

A *version* is immutable and its bytes have an immutable storage id, so a ``File`` **is one
version**: a new version is a new node with a new inode, and an open file goes on reading the
version that it opened. Only listings change: a ``Listing`` is all entries of one directory at one
moment, and a newer one replaces it.

Times are integers in nanoseconds since the epoch, sizes are bytes, byte ranges are half-open.
"""

from dmfs.model.ids import (
    LATER_FOLDER,
    LOCAL_FOLDER,
    FolderId,
    HubId,
    ItemId,
    ProjectId,
    StorageId,
    VersionId,
)
from dmfs.model.kinds import (
    Child,
    Directory,
    Node,
    as_listed,
    created_ns,
    live,
    mtime_ns_of,
    own_id,
    with_history,
)
from dmfs.model.listing import Listing, SignedObject, SignedRange
from dmfs.model.nodes import (
    DeletedFolder,
    DeletedItem,
    File,
    Folder,
    Hub,
    Leaf,
    LiveDirectory,
    OldVersion,
    Project,
    RefusedFile,
    Root,
    Shortcut,
    WrittenFile,
    as_old,
    as_refused,
    link_ids,
    version_ids,
)
from dmfs.model.past import (
    HISTORIES,
    SNAPSHOTS,
    Histories,
    History,
    Past,
    Snapshots,
    Source,
    VersionList,
    View,
    WithDeleted,
)

__all__ = [
    "HISTORIES",
    "LATER_FOLDER",
    "LOCAL_FOLDER",
    "SNAPSHOTS",
    "Child",
    "DeletedFolder",
    "DeletedItem",
    "Directory",
    "File",
    "Folder",
    "FolderId",
    "Histories",
    "History",
    "Hub",
    "HubId",
    "ItemId",
    "Leaf",
    "Listing",
    "LiveDirectory",
    "Node",
    "OldVersion",
    "Past",
    "Project",
    "ProjectId",
    "RefusedFile",
    "Root",
    "Shortcut",
    "SignedObject",
    "SignedRange",
    "Snapshots",
    "Source",
    "StorageId",
    "VersionId",
    "VersionList",
    "View",
    "WithDeleted",
    "WrittenFile",
    "as_listed",
    "as_old",
    "as_refused",
    "created_ns",
    "link_ids",
    "live",
    "mtime_ns_of",
    "own_id",
    "version_ids",
    "with_history",
]

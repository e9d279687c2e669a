"""The operations of an exported mount, with its table of handles."""

from __future__ import annotations

from dmfs.drive import Drive
from dmfs.fuse.attributes import Ownership
from dmfs.fuse.export.handle_table import HandleTable
from dmfs.fuse.export.handles import Handles
from dmfs.fuse.export.operations import Exporting, ExportOperations
from dmfs.model import Directory
from dmfs.names import id_hash
from dmfs.system.private_files import own_state_directory


def exporting(drive: Drive, root: Directory, ownership: Ownership) -> Exporting:
    """One table for each directory that a profile mounts: 1 is the number of its root, in all
    handles. It outlives another mountpoint, and another name of the directory."""
    settings = drive.settings
    folder = settings.state_dir / "export"
    own_state_directory(folder)
    path = folder / f"{id_hash(f'{settings.profile} {root.identity}')}.db"
    operations: Exporting
    if drive.writing is None:
        operations = ExportOperations(drive, root, ownership)
    else:
        from dmfs.fuse.export.write_operations import (  # noqa: PLC0415 - see assembly
            ExportWriteOperations,
        )

        operations = ExportWriteOperations(drive, root, ownership, drive.writing)
    operations.keep_handles(Handles(HandleTable(path)))
    return operations

"""The order in which the whole suite runs its files: long ones first, so that workers end together.

A worker takes a file at a time: one of a minute that is taken last keeps the others waiting. Files
that wait (deadlines, pauses of a disk) stand between those that compute, so that not all workers
want a core at once.
"""

from __future__ import annotations

from typing import Protocol

LONG = (
    "hostile/test_cache_disk.py", "write/commands/test_changes.py", "auth/test_kill.py",
    "mount/test_semantics_reading.py", "drive/test_mounts.py", "cli/test_bad_input.py",
    "write/model/test_fault_matrix.py", "write/commands/test_uploads.py", "drive/test_limited.py",
    "write/commands/test_remedies.py",
    "mount/test_tree.py", "hostile/test_cache_disk_filled.py", "hostile/test_matrix.py",
    "mount/test_semantics_failure.py", "write/kills/test_kills.py", "cli/test_locales.py",
    "hostile/test_cache_disk_use.py", "cli/test_browse.py", "write/upload/test_upload_wire.py",
    "hostile/test_load.py", "write/saves/test_saves.py", "auth/test_login.py",
    "mount/test_handler_bugs.py", "hostile/test_kills.py", "hostile/test_stalls_api.py",
    "cli/test_bad_service.py", "write/saves/test_programs.py", "write/upload/test_kill_wire.py",
    "auth/test_service_accounts.py", "hostile/test_memory.py", "mount/test_calls.py",
    "auth/test_bad_input.py", "hostile/test_proxies.py", "hostile/test_stalls.py",
    "write/kills/test_moments.py", "write/model/test_kills.py", "write/kills/test_fsx.py",
    "write/upload/test_faults_wire.py", "cli/test_streams.py", "hostile/test_mended_waits.py",
    "write/model/test_mounted_walk.py", "mount/test_series.py", "hostile/test_regressions.py",
    "hostile/test_mount_model.py", "mount/test_mounting.py", "auth/test_keyring.py",
)  # fmt: skip
"""Below ``tests``: those that take more than some 10 s by themselves, the longest first."""
_RANK = {f"tests/{path}": rank for rank, path in enumerate(LONG)}


class _Item(Protocol):
    @property
    def nodeid(self) -> str: ...


def rank(item: _Item) -> int:
    """To sort by, stably: tests of a file stay together and in their order."""
    return _RANK.get(item.nodeid.partition("::")[0], len(LONG))

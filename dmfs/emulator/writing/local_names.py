"""Names that belong to one machine: locks, temporary and backup files of programs.

``*.tmp``, ``*.bak`` and other plain names are not among them: they may be a person's files.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase

PATTERNS = tuple(
    ".~lock.*# lu*.tmp ~$* *.dwl *.dwl2 *.sv$ *.ac$ sav*.tmp *.temp *.FCBak *.FCStd[0-9]"
    " *.blend[0-9] *.blend[0-9][0-9] *.blend@ .*.sw? 4913 *~ [#]*[#] .[#]* .goutputstream-*"
    " *.part *.crdownload *___jb_* *-journal *-wal *-shm .Trash-* .DS_Store ._* Thumbs.db"
    " desktop.ini .directory .fuse_hidden* .nfs* .git".split()
)
_RANDOM = re.compile(r"(sed|zi)[A-Za-z0-9]{6}|\..+\.[A-Za-z0-9]{6}")
"""sed, zip and rsync."""


def is_local(name: str, patterns: Sequence[str] | None) -> bool:
    """Whether it must not reach the service; ``patterns`` in place of the ones here."""
    if patterns is None:
        if _RANDOM.fullmatch(name):
            return True
        patterns = PATTERNS
    return any(fnmatchcase(name, pattern) for pattern in patterns)

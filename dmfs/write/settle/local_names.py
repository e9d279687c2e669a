"""The table of local names: what programs make for themselves while they save. Pure.

A file of such a name is seen in the mount and never becomes an item. A name that people use too
(``plan.bak``) is local only in a dance: ``locality`` looks at what else the folder went through.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property, lru_cache

from dmfs.names import is_aside


class Kind(StrEnum):
    """When a name of the table is local."""

    ALWAYS = "always"
    IN_DANCE = "in_dance"
    """Only if other names of the same save say so; else it is a person's file."""


class Role(StrEnum):
    """What the program has it for."""

    LOCK = "lock"
    TEMPORARY = "temporary"
    """The new content, before it gets its name."""
    SCRATCH = "scratch"
    """Of a program at work: a swap file, an autosave, half a download."""
    BACKUP = "backup"
    """The old content, under another name or as a copy."""
    DROPPING = "dropping"
    """Of a desktop or a file system: thumbnails, views, trash."""


@dataclass(frozen=True, slots=True)
class LocalName:
    """A row of the table. ``pattern`` is a regular expression for the whole name; its group
    ``file``, if it has one, is the file that the name belongs to."""

    pattern: re.Pattern[str]
    program: str
    kind: Kind
    role: Role
    beside: bool = False
    """Only beside its ``file``: a name of this shape alone is ordinary."""


@dataclass(frozen=True, slots=True)
class Match:
    """A name that is in the table. ``file``: the file that it belongs to, '' if it does not say."""

    row: LocalName
    file: str


_RANDOM = r"(?!(?:[a-z]{6}|[A-Z]{6}|[0-9]{6})$)[A-Za-z0-9]{6}"
"""Of mkstemp(3). Six letters of one kind are rather a word, six digits a date."""
_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"


def _rows(text: str) -> Iterable[LocalName]:
    """Lines of ``pattern | program | role [beside|in_dance]``; '(?i)' where Windows writes it."""
    for line in text.strip().splitlines():
        pattern, program, words = (part.strip() for part in line.split(" | "))
        role, *more = words.split()
        kind = Kind.IN_DANCE if "in_dance" in more else Kind.ALWAYS
        pattern = pattern.replace("<file>", "(?P<file>.+)").replace("<random>", _RANDOM)
        compiled = re.compile(pattern.replace("<uuid>", _UUID), re.DOTALL)
        yield LocalName(compiled, program, kind, Role(role), "beside" in more)


TABLE: Sequence[LocalName] = tuple(_rows(r"""
\.~lock\.<file># | LibreOffice | lock
lu[0-9a-z]{4,}\.tmp | LibreOffice | temporary
(?i)~\$.+ | Office, SolidWorks | lock
(?i)~WR[A-Z]\d+\.tmp | Word | temporary
(?i)(?!\d{8}$)[0-9A-F]{8}(\.tmp)? | Office | temporary in_dance
(?i).+\.dwl2? | AutoCAD | lock
(?i).+\.(sv|ac)\$ | AutoCAD | scratch
(?i)sav.*\.tmp | AutoCAD | temporary
(?i)<file>\.bak | AutoCAD, Rhino and others | backup in_dance
(?i)<file>\.\d{4}\.(rvt|rfa|rte) | Revit | backup in_dance
(?i).+\.(slog|rws)(\.lck)? | Revit | lock
(?i).+\.rhl | Rhino | lock
(?i)<file>\.3dmbak | Rhino | backup
(?i)<file>\.skb | SketchUp | backup in_dance
(?i)lockfile\.lck | Inventor | lock
(?i).+\.idlk | InDesign | lock
<file>\.FCBak | FreeCAD | backup
<file>\.FCStd\d+ | FreeCAD | backup
<file>\.<uuid> | FreeCAD | temporary
.+\.blend@ | Blender | temporary
<file>\.blend\d{1,2} | Blender | backup
\.<file>\.sw[a-px-z] | vim | scratch
4913 | vim | scratch
\d{4,5} | vim | scratch in_dance
<file>~ | vim, emacs, gedit, KDE | backup
\.#<file> | emacs | lock
#<file># | emacs | scratch
\.goutputstream-<random> | GLib: gedit, GIMP | temporary
\.goutputstream-[A-Za-z0-9]{6} | GLib: gedit, GIMP | temporary
sed[A-Za-z0-9]{6} | sed -i | temporary in_dance
zi[A-Za-z0-9]{6} | zip | temporary in_dance
\.<file>\.<random> | rsync | temporary
<file>\.<random> | Qt: Kate, QCAD | temporary beside
<file>___jb_(tmp|old|bak)___ | JetBrains | temporary
<file>\.part | Firefox and others | scratch
<file>\.partial | rsync, wget and others | scratch
<file>\.crdownload | Chromium | scratch
<file>\.download | Safari | scratch
<file>-(journal|wal|shm) | SQLite | scratch beside
(?i)<file>\.(lock|lck) | git and others | lock beside
(?i).+\.(tmp|temp) | many | temporary in_dance
tmp_obj_[A-Za-z0-9]{6} | git | scratch
tmp[a-z0-9_]{8} | Python's tempfile | temporary in_dance
tmp\.[A-Za-z0-9]{6,10} | mktemp(1) | temporary in_dance
<random> | mkstemp(3) | temporary in_dance
\.Trash-\d+|\.Trashes?|\$RECYCLE\.BIN | trash of a desktop | dropping
\.DS_Store|\._.+|\.(Spotlight-V100|fseventsd|TemporaryItems|AppleDouble) | macOS | dropping
(?i)Thumbs\.db(:encryptable)?|ehthumbs\.db|desktop\.ini | Windows | dropping
\.directory | KDE | dropping
\.fuse_hidden.+|\.nfs[0-9a-fA-F]+ | removed, and still open | dropping
"""))  # fmt: skip

LOCAL_FOLDERS = re.compile(r"\.git|\.hg|\.svn|\.Trash-\d+|\.Trashes?|\$RECYCLE\.BIN|__MACOSX")


def is_local_folder(name: str) -> bool:
    """Whether a new folder of this name stays on this machine, with all that is in it: thousands of
    small files that only one program reads."""
    return LOCAL_FOLDERS.fullmatch(name) is not None


@dataclass(frozen=True)
class LocalNames:
    """The table with what the user adds: shell patterns, always local; one with a ``!`` before it
    takes names out of the table."""

    patterns: tuple[str, ...] = ()

    @cached_property
    def _added(self) -> tuple[re.Pattern[str], ...]:
        return _globs(each for each in self.patterns if not each.startswith("!"))

    @cached_property
    def _ordinary(self) -> tuple[re.Pattern[str], ...]:
        return _globs(each[1:] for each in self.patterns if each.startswith("!"))

    def find(self, name: str) -> Match | None:
        """The row for ``name``; None: an ordinary name."""
        if is_aside(name):  # ours: no setting sends half a file up
            return _in_table(name)
        if self._ordinary and any(each.fullmatch(name) for each in self._ordinary):
            return None
        for each in self._added:
            if each.fullmatch(name):
                return Match(LocalName(each, "the setting", Kind.ALWAYS, Role.TEMPORARY), "")
        return _in_table(name)


def _globs(patterns: Iterable[str]) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(fnmatch.translate(each)) for each in patterns if each)


def _scoped(pattern: str) -> str:
    """Without group names, and with its flag for itself."""
    plain = pattern.replace("(?P<file>", "(?:")
    return f"(?i:{plain.removeprefix('(?i)')})" if plain.startswith("(?i)") else f"(?:{plain})"


_ANY = re.compile("|".join(_scoped(row.pattern.pattern) for row in TABLE), re.DOTALL)
"""Most names are in no row: one look instead of fifty."""


@lru_cache(maxsize=1 << 14)
def _in_table(name: str) -> Match | None:
    if not _ANY.fullmatch(name):
        return None
    for row in TABLE:
        found = row.pattern.fullmatch(name)
        if found:
            return Match(row, found.groupdict().get("file") or "")
    return None

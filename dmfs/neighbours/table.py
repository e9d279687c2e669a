"""Which programs open files that nobody asked to see: one table, with evidence for each row. Pure.

A courtesy list and no security: a program may give itself another name. The names are those of the
packages; "seen" is what was measured on a mount without a gate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum
from typing import NamedTuple

COMM_BYTES = 15
"""The kernel cuts the name of a program to it (``TASK_COMM_LEN`` less the NUL)."""


class Kind(Enum):
    """What a program opens files for."""

    INDEXER = "indexer"
    """For their words, names or viruses: all of each file, of every file."""
    THUMBNAILER = "thumbnailer"
    """For a small picture: often all of the file, of each one that is in sight."""


class Row(NamedTuple):
    """Programs that do the same."""

    kind: Kind
    names: tuple[str, ...]
    """Of executables, without their directory; also of scripts."""
    evidence: str
    argument: str = ""
    """Only with an argument that ends so: as others these programs do what a person asks for."""


ROWS = (
    Row(
        Kind.INDEXER, ("localsearch-3", "localsearch-extractor-3"),
        "GNOME since 47: indexes folders of the home directory; the extractor opens each file.",
    ),
    Row(
        Kind.INDEXER,
        ("tracker-miner-fs-3", "tracker-miner-fs", "tracker-extract-3", "tracker-extract"),
        "The same before GNOME 47. Crosses mounts no more since 2022.",
    ),
    Row(
        Kind.INDEXER, ("baloo_file", "baloo_file_extractor"),
        "KDE: all below the home directory; takes a FUSE mount for a local one, heeds no markers.",
    ),
    Row(
        Kind.INDEXER, ("updatedb", "updatedb.plocate", "updatedb.mlocate"),
        "Names alone, of every folder. Seen: 89 listings, where PRUNEFS has no fuse.dmfs. Root's "
        "comes in only with allow_other or allow_root.",
    ),
    Row(Kind.INDEXER, ("recollindex", "pinot-index"), "The text of each document."),
    Row(
        Kind.INDEXER, ("clamscan", "clamd", "clamdscan", "clamonacc"),
        "ClamAV. Seen: 17 models and 537 MB in 20 s. (freshclam opens nobody's files.)",
    ),
    Row(
        Kind.THUMBNAILER, ("tumblerd",),
        "Xfce's service for pictures. Seen: 11 opens for one screenful.",
    ),
    Row(
        Kind.THUMBNAILER, ("gdk-pixbuf-thumbnailer", "glycin-thumbnailer"),
        "GNOME's for pictures, in a sandbox. Seen: 10 files for one screenful.",
    ),
    Row(
        Kind.THUMBNAILER,
        ("evince-thumbnailer", "papers-thumbnailer", "atril-thumbnailer", "xreader-thumbnailer"),
        "For documents. Seen: 7 of 15 MB of a PDF in 38 requests, for its first page.",
    ),
    Row(
        Kind.THUMBNAILER,
        ("ffmpegthumbnailer", "totem-video-thumbnailer", "totem-gallery-thumbnailer",
         "xplayer-video-thumbnailer"),
        "For films: a place somewhere in the file, and what a decoder needs from there on.",
    ),
    Row(
        Kind.THUMBNAILER,
        ("gsf-office-thumbnailer", "gnome-thumbnail-font", "gnome-epub-thumbnailer",
         "gnome-mobi-thumbnailer", "raw-thumbnailer", "exe-thumbnailer", "appimage-thumbnailer",
         "blender-thumbnailer", "freecad-thumbnailer", "stl-thumb"),
        "Each for one kind of file, by a .thumbnailer of the desktop.",
    ),
    Row(
        Kind.THUMBNAILER, ("kioworker", "kioslave5"),
        "KDE's pictures, once a person has switched them on for folders that are not local.",
        argument="thumbnail.so",
    ),
)  # fmt: skip


def _comm(name: str) -> str:
    """As /proc/PID/comm shows it."""
    return name.encode()[:COMM_BYTES].decode("utf-8", "ignore")


class Table:
    """The rows, and what a person added to them; each question is one look into a dictionary."""

    def __init__(self, indexers: Iterable[str] = (), thumbnailers: Iterable[str] = ()) -> None:
        self._rows: dict[str, Row] = {name: row for row in ROWS for name in row.names}
        for kind, names in ((Kind.INDEXER, indexers), (Kind.THUMBNAILER, thumbnailers)):
            row = Row(kind, tuple(names), "configured")
            self._rows.update(dict.fromkeys(row.names, row))
        self._by_comm = {_comm(name): row for name, row in self._rows.items()}

    def row(self, comm: str, executable: str = "") -> Row | None:
        """The row of a process by its name, as the kernel cuts it, and by the file name of its
        executable, '' if that is not known. Either may name it: a process may give itself another
        name, and a script's executable is its interpreter."""
        found = self._rows.get(executable)
        if found is not None:
            return found
        other = comm not in self._rows and executable.startswith(comm)  # that is cut to the same
        return None if other else self._by_comm.get(comm)

    def kind(
        self, comm: str, executable: str = "", arguments: Callable[[], Iterable[str]] = tuple
    ) -> Kind | None:
        """What a process is; None for all that are not in the table. ``arguments()`` is called
        where they decide."""
        row = self.row(comm, executable)
        if row is None:
            return None
        if row.argument and not any(each.endswith(row.argument) for each in arguments()):
            return None
        return row.kind


def names_in(text: str) -> tuple[str, ...]:
    """``my-scanner, thumbs.py`` → names."""
    return tuple(filter(None, (each.strip() for each in text.split(","))))

"""What the reference model knows: the bytes of each file of a folder, and who has touched it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(eq=False)
class Note:
    """A file as its user has it. ``confirmed``: what close or fsync said is safe, or what was there
    to begin with; None: nothing yet."""

    name: str | None
    data: bytearray
    confirmed: bytes | None
    ours: bool = False
    """Whether ``confirmed`` was written here in this round, and has to arrive."""
    contested: bool = False
    """Somebody else, or a kill, has had a hand in it in this round."""
    names: set[str] = field(default_factory=set)
    """All that it had in this round."""

    def confirm(self) -> bool:
        """Whether that is news."""
        if self.confirmed == bytes(self.data):
            return False
        self.confirmed, self.ours = bytes(self.data), True
        return True


@dataclass
class Book:
    """All files of the folder. ``ever``: every byte string that was confirmed here at any time."""

    files: dict[str, Note] = field(default_factory=dict)
    ever: set[bytes] = field(default_factory=set)
    theirs: set[bytes] = field(default_factory=set)
    """What others wrote at any time."""
    contested: bool = False
    """Whether names may differ from what happened here."""
    uploads: Counter[bytes] = field(default_factory=Counter)
    """How often a byte string may go up: once for each time that it was new, and where a rename
    makes it the next version of another item."""

    back: set[str] = field(default_factory=set)
    """Names that may be seen again: of what was removed where nothing can be deleted."""

    def begin(self, files: dict[str, bytes]) -> None:
        """A round begins, with what is there."""
        self.contested = False
        self.back.clear()
        self.files = {
            name: Note(name, bytearray(data), data, names={name}) for name, data in files.items()
        }

    def put(self, name: str, note: Note) -> None:
        """A file has a name now; what had it before has none."""
        old = self.files.get(name)
        if old is not None and old is not note:
            old.name = None
        if note.name is not None and self.files.get(note.name) is note:
            del self.files[note.name]
        note.name = name
        note.names.add(name)
        self.files[name] = note
        if note.confirmed is not None:
            self.uploads[note.confirmed] += 1

    def drop(self, name: str, *, deletes: bool = True) -> None:
        note = self.files.pop(name)
        note.name = None
        if not deletes:
            self.back |= note.names

    def agrees(self, names: set[str]) -> bool:
        """Whether these are the folder's names."""
        return self.contested or set(self.files) <= names <= set(self.files) | self.back

    def confirm(self, note: Note) -> None:
        if note.confirm():
            assert note.confirmed is not None
            self.ever.add(note.confirmed)
            self.uploads[note.confirmed] += 1

    def meddled(self, *names: str) -> None:
        """Somebody else did something with these names."""
        self.contested = True
        for note in self.files.values():
            if note.names & set(names):
                note.contested = True

    def killed(self) -> None:
        """What was not confirmed has gone."""
        for name, note in list(self.files.items()):
            if note.confirmed is None:
                self.contested = True  # what it replaced may be seen again
                del self.files[name]
            else:
                note.data = bytearray(note.confirmed)

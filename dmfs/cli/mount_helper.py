"""What mount(8) passes to ``/sbin/mount.dmfs`` that nobody asked for. Pure."""

from __future__ import annotations

from collections.abc import Sequence


def without_default_rw(arguments: Sequence[str], fstab: str) -> list[str]:
    """The arguments without the ``rw`` that mount(8) puts before all options, unless the line of
    this mountpoint in ``fstab`` spells it: writing is for those who ask for it."""
    if _spelled(arguments, fstab):
        return list(arguments)
    found: list[str] = []
    options = False
    for word in arguments:
        joined = word.startswith("-o") and word != "-o"
        if options or joined:
            names = word.removeprefix("-o" if joined else "").split(",")
            rest = ",".join(name for name in names if name != "rw") or "defaults"
            found.append(f"-o{rest}" if joined else rest)
        else:
            found.append(word)
        options = word == "-o"
    return found


def _spelled(arguments: Sequence[str], fstab: str) -> bool:
    for line in fstab.splitlines():
        fields = line.split()
        if len(fields) >= 4 and not fields[0].startswith("#") and "dmfs" in fields[2]:
            point = fields[1].replace("\\040", " ").rstrip("/")
            if any(word.rstrip("/") == point for word in arguments):
                return "rw" in fields[3].split(",")
    return False

"""The words that ``-o`` takes: one table for the parser, its help and its error messages.

Light to import: the parser of the command line prints it.
"""

from __future__ import annotations

from collections.abc import Sequence

FLAGS = {
    "ro": "read-only, as is every mount without rw",
    "rw": "what is written goes up as versions; needs login --write",
    "sync": "with rw: close(2) waits until the service has it",
    "shared_identity": "with rw and allow_other: others write in your name",
    "allow_other": "all users of this machine may use the drive",
    "allow_root": "root may use it, too",
    "noatime": "as with mount(8)",
    "nodev": "as with mount(8)",
    "nosuid": "as with mount(8)",
    "noexec": "programs on the drive cannot be started",
    "ignore_case": "PLAN.DWG opens plan.dwg, as programs in Wine expect it",
    "no_markers": "no unlisted .trackerignore, .nomedia, CACHEDIR.TAG at the top",
    "snapshots": "answer .snapshots/@GMT-…/: each midnight, for Samba",
    "export": "for NFS servers: their handles of files outlive a restart",
    "service_folders": "show the folders that BIM 360 and ACC keep for themselves",
}
"""Options without a value, and what each does."""
VALUED = {
    "at": ("TIME", "the drive as it was: 2024-05-01T09:30Z, 2024-05-01, 7d"),
    "moves": ("HOW", "with rw: copy lets the service move files, by copies"),
    "uid": ("NUMBER", "owner of all entries (default: you)"),
    "gid": ("NUMBER", "group of all entries (default: yours)"),
    "umask": ("OCTAL", "permissions to take away, such as 022"),
    "fsname": ("NAME", "source in the table of mounts (default: dmfs:PROFILE)"),
}
"""Options with a value: what it is, and what the option does."""
FSTAB = frozenset(
    "_netdev auto noauto user nouser users owner group nofail defaults"
    " dev suid exec async relatime strictatime atime".split()
)
"""fstab's own words, which are for mount(8): taken, without effect."""


def option_lines() -> list[str]:
    """One line for each option, aligned."""
    rows = list(FLAGS.items())
    rows += [(f"{name}={value}", text) for name, (value, text) in VALUED.items()]
    width = max(len(name) for name, _ in rows)
    return [f"{name:<{width}}  {text}" for name, text in rows]


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

"""What this machine may run out of: descriptors, memory, threads, disk. No fault of the service's.

An errno of a socket that cannot be made looks like one of a network that is down; and a drive that
takes one for the other goes offline, and says that the service cannot be reached.
"""

from __future__ import annotations

import errno
import os
import re
import resource
from pathlib import Path

DESCRIPTORS, MEMORY, THREADS, DISK = "file descriptors", "memory", "threads", "disk space"
_KINDS = {
    errno.EMFILE: DESCRIPTORS,
    errno.ENFILE: DESCRIPTORS,
    errno.ENOMEM: MEMORY,
    errno.ENOBUFS: MEMORY,
    errno.ENOSPC: DISK,
    errno.EDQUOT: DISK,
    errno.EFBIG: DISK,
}
NO_THREAD = "can't start new thread"
"""What Python says then, in a RuntimeError."""
HINTS = {
    DESCRIPTORS: "raise the limit (ulimit -n; LimitNOFILE= of a service)",
    MEMORY: "end other programs, or lower memory_budget",
    THREADS: "raise the limit (ulimit -u; TasksMax= of a service)",
    DISK: "free some space",
}


def shortage_of(error: BaseException | None) -> str:
    """What is short, if an exception or one of its causes is of a machine that ran out of it."""
    seen = 0
    while error is not None and seen < 20:
        found = _KINDS.get(error.errno or 0, "") if isinstance(error, OSError) else ""
        if isinstance(error, MemoryError):
            found = MEMORY
        if isinstance(error, RuntimeError) and str(error) == NO_THREAD:
            found = THREADS
        if found:
            return found
        error, seen = error.__cause__ or error.__context__, seen + 1
    return ""


def shortage_of_errno(number: int) -> str:
    """What is short if a library reports this errno; '' if it is another failure.

    Some report none for a file or a pipe that they could not open: so this looks whether a
    descriptor is to be had now.
    """
    if number in _KINDS:
        return _KINDS[number]
    try:
        os.close(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
    except OSError as error:
        return _KINDS.get(error.errno or 0, "")
    return ""


def raise_descriptor_limit(needed: int) -> str:
    """Raise the soft limit of open files to the hard one; what to say if that is below ``needed``,
    '' else."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
        except (ValueError, OSError):
            pass  # above what the kernel gives: the soft limit stays
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return ""
    return (
        f"only {soft} files may be open at once here, and a busy drive needs {needed}: reads will "
        f"fail — {HINTS[DESCRIPTORS]}"
    )


def memory_left_bytes(proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")) -> int:
    """So much memory can this process still have, by what it may hold (RLIMIT_AS), by the limits of
    its control groups, and by what the machine has; the last one if nothing else limits it. Reads a
    few files of the kernel."""
    found = [_field(proc / "meminfo", "MemAvailable") + _field(proc / "meminfo", "SwapFree")]
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft != resource.RLIM_INFINITY:
        found.append(soft - _field(proc / "self/status", "VmSize"))
    return max(0, min([*found, *_left_in_groups(proc / "self/cgroup", cgroups)]))


def _left_in_groups(own: Path, cgroups: Path) -> list[int]:
    """Of each control group that limits memory, from ours up to the root: the lower one counts. The
    page cache of a group is given back before it is full."""
    paths = re.findall(r"^0::/(.*)$", _text(own), re.MULTILINE)
    if not paths:
        return []
    group = cgroups / paths[0]
    found = []
    for each in [group, *(above for above in group.parents if above.is_relative_to(cgroups))]:
        limit, used = (_text(each / name).strip() for name in ("memory.max", "memory.current"))
        if limit.isdecimal() and used.isdecimal():
            spare = re.search(r"^inactive_file (\d+)$", _text(each / "memory.stat"), re.MULTILINE)
            found.append(int(limit) - int(used) + (int(spare[1]) if spare else 0))
    return found


def _field(path: Path, name: str) -> int:
    """Bytes of a line ``NAME: 123 kB``; 0 for none."""
    line = re.search(rf"^{name}:\s+(\d+) kB$", _text(path), re.MULTILINE)
    return int(line[1]) * 1024 if line else 0


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""

"""updatedb(8), which lists every folder of every disk for locate(1): does it pass our drives by?

It runs as root, so it sees what is mounted with ``allow_other`` or by root. A walk of a drive costs
a listing for each folder, each night.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from dmfs.cli.doctor.findings import NOTE, OK, WARNING, Finding
from dmfs.system.mountinfo import FILESYSTEM, Mount

CONF = Path("/etc/updatedb.conf")
CONF_MAX_BYTES = 1 << 20
PROGRAMS = ("updatedb", "updatedb.plocate", "updatedb.mlocate")
PLACES = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_LINE = re.compile(r"(?m)^[ \t]*(PRUNE\w+)[ \t]*=[ \t]*\"([^\"]*)\"", re.ASCII)
_WHY = "it would list each folder of a drive that root can see, every night"
ADD = rf"""sed -i 's/^\([[:blank:]]*PRUNEFS[[:blank:]]*=[[:blank:]]*"\)/\1{FILESYSTEM} /' {CONF}"""
APPEND = f"""echo 'PRUNEFS = "{FILESYSTEM}"' >> {CONF}"""


def is_installed() -> bool:
    return any(shutil.which(each, path=PLACES) for each in PROGRAMS)


def pruned(text: str) -> Mapping[str, list[str]]:
    """``PRUNEFS`` and the like of an updatedb.conf(5): each with its words. Pure."""
    return {name: value.split() for name, value in _LINE.findall(text)}


def finding(text: str, mounts: Iterable[Mount]) -> Finding:
    """What it would do with the drives of a table of mounts, and with those to come. Pure."""
    rules = pruned(text)
    if FILESYSTEM in map(str.lower, rules.get("PRUNEFS", [])):
        return Finding("updatedb", OK, f"it passes drives by ({FILESYSTEM} is in PRUNEFS)")
    seen = [
        mount.mountpoint for mount in mounts
        if mount.kind == FILESYSTEM and ("allow_other" in mount.options or mount.owner == 0)
        and not _is_below(mount.mountpoint, rules.get("PRUNEPATHS", []))
    ]  # fmt: skip
    remedy = f"as root: {ADD if 'PRUNEFS' in rules else APPEND}"
    if seen:
        what = f"updatedb will walk {', '.join(seen)}"
        return Finding("updatedb", WARNING, what, "a listing for each folder, every night", remedy)
    return Finding("updatedb", NOTE, f"PRUNEFS of {CONF} does not name {FILESYSTEM}", _WHY, remedy)


def check(mounts: Iterable[Mount]) -> list[Finding]:
    """Nothing where it is not installed. Blocking."""
    if not is_installed():
        return []
    try:
        with CONF.open("rb") as file:
            text = file.read(CONF_MAX_BYTES).decode("utf-8", "replace")
    except FileNotFoundError:
        text = ""
    except OSError as error:
        return [Finding("updatedb", NOTE, f"{CONF} is not readable: {error.strerror}")]
    return [finding(text, mounts)]


def _is_below(path: str, places: Iterable[str]) -> bool:
    return any(path == each or path.startswith(f"{each.rstrip('/')}/") for each in places)

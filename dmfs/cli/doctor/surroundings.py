"""``dmfs doctor`` on what surrounds a drive: a security policy, walkers, the desktop. Blocking."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from dmfs.cli.doctor import updatedb
from dmfs.cli.doctor.findings import ERROR, NOTE, OK, Finding
from dmfs.desktop.data_places import data_dirs, data_home
from dmfs.fuse.confinement.apparmor import Profile, profile_in_force, remedy
from dmfs.system.mountinfo import mount_table

SESSION = ("XDG_CURRENT_DESKTOP", "WAYLAND_DISPLAY", "DISPLAY")
TYPES = "mime/packages/dmfs.xml"


def check_surroundings(environ: Mapping[str, str], mountpoint: str | None) -> list[Finding]:
    """All findings; ``mountpoint`` is where somebody wants to mount, if they say so."""
    is_root = os.geteuid() == 0
    found = apparmor_findings(profile_in_force(is_root=is_root), mountpoint)
    return [*found, *updatedb.check(mount_table()), *desktop_findings(environ)]


def apparmor_findings(profile: Profile | None, mountpoint: str | None) -> list[Finding]:
    """Whether the profile that is in force permits a mountpoint; which it does, where none is
    given. Pure."""
    if profile is None:
        return []
    if mountpoint is None:
        places = ", ".join(profile.places()) or "nowhere"
        what = f"AppArmor lets you mount here alone: {places}"
        return [Finding("apparmor", NOTE, what, "", "dmfs doctor MOUNTPOINT says it of a place")]
    if profile.permits(mountpoint, {"ro"}) and profile.permits(mountpoint, {"rw"}):
        return [Finding("apparmor", OK, f"AppArmor lets you mount at {mountpoint}")]
    what = f"AppArmor's profile of fusermount3 forbids mounts at {mountpoint}"
    why = "`dmfs mount` there says: Permission denied"
    return [Finding("apparmor", ERROR, what, why, remedy(mountpoint, profile))]


def desktop_findings(environ: Mapping[str, str]) -> list[Finding]:
    """Whether a desktop that is there knows models by their names."""
    if not any(environ.get(each) for each in SESSION) or shutil.which("gio") is None:
        return []
    home = data_home(environ)
    places = [*([home] if home else []), *data_dirs(environ)]
    if any(_is_file(each / TYPES) for each in places):
        return [Finding("desktop", OK, "the desktop knows the types of models by their names")]
    what = "the desktop does not know the types of models by their names"
    why = "file managers open each model in a folder to guess its type, and fetch its first bytes"
    return [Finding("desktop", NOTE, what, why, "dmfs desktop install --user")]


def _is_file(path: Path) -> bool:
    """False also where a drive that is dead lies on the way."""
    try:
        return path.is_file()
    except OSError:
        return False

"""Files with secrets that every user of the machine can read: ``dmfs doctor`` says so each time,
other commands once of a configuration."""

from __future__ import annotations

import hashlib
import re
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

from dmfs.config import Settings
from dmfs.names import printable
from dmfs.system.private_files import private_directory

DIRECTORY = "warned"
"""In the state directory: an empty file for each warning that was given."""
_SECRET = re.compile(r"""^[^#\n]*\bclient_secret["']?\s*=\s*["']+[^"'\s]""", re.MULTILINE)
_PASSWORD = re.compile(r"""^[^#\n]*\bquota["']?\s*=\s*["']+[^"'\s]*:[^"'\s]*@""", re.MULTILINE)


def exposed_files(config: Path, settings: Settings) -> Iterator[tuple[str, Path]]:
    """What each exposed secret is, and the file that others may read or write."""
    try:
        text = config.read_text("utf-8", "replace")
    except OSError:
        text = ""
    for what, pattern in (("client_secret", _SECRET), ("the password in quota", _PASSWORD)):
        if pattern.search(text) and _open_to_others(config):
            yield what, config
    key_file = Path(settings.key_file).expanduser() if settings.key_file else None
    if key_file is not None and _open_to_others(key_file):
        yield "the private key of a service account", key_file


def warn_once(config: Path, settings: Settings) -> None:
    """One line on stderr for a configuration whose secret is exposed, unless this person was warned
    of it. One that was mended and is exposed again is told again. (A key file that others may read
    is no use to any command: it is refused.)"""
    exposed = any(path == config for _, path in exposed_files(config, settings))
    mark = settings.state_dir / DIRECTORY / hashlib.sha256(bytes(config)).hexdigest()[:16]
    if exposed == _is_there(mark):
        return
    if exposed:
        what = f"everybody on this machine can read client_secret in {config}"
        sys.stderr.write(printable(f"dmfs: warning: {what} — chmod 600 {config}") + "\n")
    _set(mark, there=exposed)


def _open_to_others(path: Path) -> bool:
    """By the file's own mode, as ssh judges keys: who may enter its directories can change."""
    try:
        return bool(path.stat().st_mode & (stat.S_IROTH | stat.S_IWOTH))
    except OSError:
        return False


def _is_there(mark: Path) -> bool:
    try:
        return mark.exists()
    except OSError:
        return False


def _set(mark: Path, *, there: bool) -> None:
    try:
        if there:
            private_directory(mark.parent)
            mark.touch(mode=0o600)
        else:
            mark.unlink()
    except OSError:
        pass  # it is said again, which does no harm

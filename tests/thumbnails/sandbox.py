"""A thumbnailer as gnome-desktop runs it: without a network, with /usr and one file."""

from __future__ import annotations

import configparser
import shlex
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

ENTRY = Path(__file__).resolve().parents[2] / "dmfs/desktop/share/thumbnailers/dmfs.thumbnailer"
ROOT_LINKS = ("bin", "lib", "lib64", "sbin")


def entry() -> configparser.SectionProxy:
    """The file's one section."""
    parser = configparser.RawConfigParser()
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(ENTRY)
    return parser["Thumbnailer Entry"]


def command(source: str, target: str) -> list[str]:
    """The entry's command, its words filled in one by one as desktops do."""
    return [{"%i": source, "%o": target}.get(word, word) for word in shlex.split(entry()["Exec"])]


def in_sandbox(
    file: Path, out: Path, hidden: Sequence[str] = ()
) -> subprocess.CompletedProcess[bytes]:
    """Run it; the picture is to be at ``out``. ``hidden``: programs that are not there."""
    with tempfile.TemporaryDirectory() as directory:
        inside = f"/tmp/gnome-desktop-file-to-thumbnail{file.suffix}"
        words = ["bwrap", "--ro-bind", "/usr", "/usr", "--ro-bind", "/etc/ld.so.cache",
                 "/etc/ld.so.cache"]  # fmt: skip
        for name in ROOT_LINKS:
            if Path(f"/{name}").is_symlink():
                words += ["--symlink", f"usr/{name}", f"/{name}"]
            elif Path(f"/{name}").exists():
                words += ["--ro-bind", f"/{name}", f"/{name}"]
        for program in hidden:
            words += ["--ro-bind", "/dev/null", program]
        words += ["--proc", "/proc", "--dev", "/dev", "--chdir", "/",
                  "--setenv", "GIO_USE_VFS", "local", "--unshare-all", "--die-with-parent",
                  "--bind", directory, "/tmp", "--ro-bind", str(file), inside]  # fmt: skip
        done = subprocess.run(
            [*words, *command(inside, "/tmp/gnome-desktop-thumbnailer.png")],
            capture_output=True, timeout=60, check=False,
        )  # fmt: skip
        made = Path(directory, "gnome-desktop-thumbnailer.png")
        if made.exists():
            out.write_bytes(made.read_bytes())
        return done

"""``dmfs documents DIRECTORY``: man pages and completions, laid out as in /usr/share."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import dmfs.cli.completion
from dmfs.cli import DONE
from dmfs.cli.documents.pages import pages
from dmfs.cli.settings import Invocation
from dmfs.errors import SetupError, UsageError
from dmfs.system.clock import iso_seconds

SHELLS = {
    "dmfs.bash": "bash-completion/completions/dmfs",
    "dmfs.zsh": "zsh/vendor-completions/_dmfs",
    "dmfs.fish": "fish/vendor_completions.d/dmfs.fish",
}
"""Our script → where its shell looks for it."""


def documents_command(call: Invocation) -> int:
    """Write them all. UsageError, SetupError."""
    directory = Path(call.options.directory)
    made = documents(_date(call.environ))
    for name, text in made.items():
        try:
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            (directory / name).write_text(text, "utf-8")
        except OSError as error:
            raise SetupError(f"{directory / name} cannot be written: {error.strerror}") from None
    sys.stdout.write(f"{len(made)} files below {directory}\n")
    return DONE


def documents(date: str) -> dict[str, str]:
    """Path below the directory → text."""
    found = {f"man/man{name[-1]}/{name}": text for name, text in pages(date).items()}
    shells = Path(dmfs.cli.completion.__file__).parent / "shells"
    for name, place in SHELLS.items():
        found[place] = (shells / name).read_text("utf-8")
    return found


def _date(environ: Mapping[str, str]) -> str:
    """Of the pages: no clock is asked, so that two builds are the same bytes."""
    text = environ.get("SOURCE_DATE_EPOCH", "")
    date = iso_seconds(int(text))[:10] if text.isdecimal() and text.isascii() else ""
    if text and not date:
        raise UsageError(f"SOURCE_DATE_EPOCH {text!r} is no number of seconds")
    return date

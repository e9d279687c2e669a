"""How a command that fails, or works, must look."""

from __future__ import annotations

import subprocess
from typing import Any

from tests.support.mounts import Home

SECRET = "emulator-secret"
QUICK = ("--set", "metadata_timeout=2s")
"""Time for the imports, a sign-in and a retry on a busy machine, where 1 s was too short."""


def stdout_of(home: Home, *words: str, **more: Any) -> bytes:
    """What a command that works prints; it says nothing on stderr."""
    done = home.run(*words, **more)
    assert (done.returncode, done.stderr) == (0, b""), done.stderr
    return done.stdout


def the_line(done: subprocess.CompletedProcess[bytes], status: int) -> str:
    """The one line of complaint; everything else that must hold of a failure."""
    text = done.stderr.decode("utf-8", "strict")
    assert done.returncode == status, (done.returncode, text)
    assert done.stdout == b""
    assert "Traceback" not in text
    assert SECRET not in text
    assert len(text.splitlines()) == 1, text
    assert text.startswith("dmfs")
    assert all(char.isprintable() for char in text.rstrip("\n")), text
    return text

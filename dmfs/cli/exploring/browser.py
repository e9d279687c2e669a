"""Shows a web page, or a folder, in the desktop's program for it: by xdg-open, without a shell."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping

from dmfs.errors import SetupError
from dmfs.urls import acceptable_url

PROGRAM = "xdg-open"
WAIT_S = 10.0
"""What has not failed by then is a program that stays in the foreground; it is left alone."""


def show(url: str, environ: Mapping[str, str]) -> None:
    """Returns when the browser has it, or shows it. SetupError with the address where this machine
    cannot."""
    if not acceptable_url(url):  # the service names it: a file or a program must not start
        raise SetupError("the service names a page that is no web page")
    _open(url, environ, f"the page: {url}")


def show_folder(path: str, environ: Mapping[str, str]) -> None:
    """The same, of an absolute path of a folder and the file manager."""
    _open(path, environ, f"the folder: {path}")


def _open(target: str, environ: Mapping[str, str], hint: str) -> None:
    program = shutil.which(PROGRAM, path=environ.get("PATH"))
    if program is None:
        raise SetupError(f"there is no {PROGRAM} on this machine (package xdg-utils)", hint=hint)
    if not any(environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")):
        raise SetupError("there is no desktop here that could show it", hint=hint)
    try:
        child = subprocess.Popen(
            [program, target], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True, env=dict(environ),
        )  # fmt: skip
        status = child.wait(WAIT_S)
    except subprocess.TimeoutExpired:
        child.returncode = 0  # it outlives this process: no warning about a child
        return
    except OSError as error:
        raise SetupError(f"{PROGRAM} cannot be run: {error.strerror}", hint=hint) from None
    if status:
        raise SetupError(f"{PROGRAM} found no program for it (status {status})", hint=hint)

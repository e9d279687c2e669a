"""Shows a web page in the desktop's browser, by xdg-open and without a shell."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping

from dmfs.errors import SetupError
from dmfs.urls import acceptable_url

PROGRAM = "xdg-open"
WAIT_S = 10.0
"""What has not failed by then is a browser that stays in the foreground."""


def show(url: str, environ: Mapping[str, str]) -> None:
    """Returns when the browser has it, or shows it. SetupError with the address where this machine
    cannot."""
    if not acceptable_url(url):  # the service names it: a file or a program must not start
        raise SetupError("the service names a page that is no web page")
    program = shutil.which(PROGRAM, path=environ.get("PATH"))
    hint = f"the page: {url}"
    if program is None:
        raise SetupError(f"there is no {PROGRAM} on this machine (package xdg-utils)", hint=hint)
    if not any(environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")):
        raise SetupError("there is no desktop here that could show a page", hint=hint)
    try:
        child = subprocess.Popen(
            [program, url], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True, env=dict(environ),
        )  # fmt: skip
        status = child.wait(WAIT_S)
    except subprocess.TimeoutExpired:
        return
    except OSError as error:
        raise SetupError(f"{PROGRAM} cannot be run: {error.strerror}", hint=hint) from None
    if status:
        raise SetupError(f"{PROGRAM} found no browser (status {status})", hint=hint)

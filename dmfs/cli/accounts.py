"""The commands about accounts: login, logout, whoami, doctor. Floor 4; argv's part of them.

Each imports what it alone needs: no other command waits for OAuth and its libraries.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import trio

from dmfs.config import Settings
from dmfs.errors import SetupError

DONE, FAILED = 0, 1


def add_commands(add: Callable[[str, str], argparse.ArgumentParser]) -> None:
    """Enter our commands into the parser."""
    entry = add("login", "sign in with your Autodesk account, in a browser")
    entry.add_argument("--callback", metavar="URL", help="what is registered for the app "
                       "(default: http://localhost:8080/callback)")  # fmt: skip
    entry.add_argument("--no-browser", action="store_true",
                       help="print the page's address, and take the one it leads to")  # fmt: skip
    entry.add_argument("--prompt-login", action="store_true", help="to switch accounts")
    add("logout", "revoke the sign-in and forget it")
    for name, text in (
        ("whoami", "who is signed in, to which app, until when"),
        ("doctor", "what is wrong with this machine, this sign-in, this account"),
    ):
        add(name, text).add_argument("--json", action="store_true", help="for programs")


def _login(args: argparse.Namespace, settings: Settings) -> int:
    from dmfs.cli.login import Choices, login

    if settings.sign_in not in ("auto", "user"):
        raise SetupError(
            f"profile {settings.profile!r} signs in by itself (sign_in = {settings.sign_in!r})",
            hint="choose another with --profile",
        )
    if args.callback:
        settings = replace(settings, callback=args.callback)
    _run(login, settings, Choices(browser=not args.no_browser, prompt_login=args.prompt_login))
    return DONE


def _logout(_: argparse.Namespace, settings: Settings) -> int:
    from dmfs.cli.login import logout

    _run(logout, settings)
    return DONE


def _whoami(args: argparse.Namespace, settings: Settings) -> int:
    from dmfs.cli.whoami import whoami

    async def work() -> bool:
        return await whoami(settings, as_json=args.json)

    return DONE if _run(work) else FAILED


def _doctor(args: argparse.Namespace, settings: Settings) -> int:
    from dmfs.cli.doctor.service import doctor

    async def work() -> bool:
        return await doctor(settings, json=args.json)

    return DONE if _run(work) else FAILED


def _run(work: Callable[..., Any], *arguments: Any) -> Any:
    """Run it; the one error inside a nursery's group comes out bare."""
    try:
        return trio.run(work, *arguments)
    except BaseExceptionGroup as group:
        inner: BaseException = group
        while isinstance(inner, BaseExceptionGroup) and len(inner.exceptions) == 1:
            inner = inner.exceptions[0]
        raise inner from None


COMMANDS: dict[str, Callable[[argparse.Namespace, Settings], int]] = {
    "login": _login,
    "logout": _logout,
    "whoami": _whoami,
    "doctor": _doctor,
}

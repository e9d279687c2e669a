"""``dmfs login`` and ``dmfs logout``: begin and end a person's sign-in."""

from __future__ import annotations

import sys
import webbrowser
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

import trio

from dmfs.auth.authorization_code import (
    Attempt,
    belongs_to,
    code_of,
    looks_like_callback,
    new_attempt,
)
from dmfs.auth.factory import token_store
from dmfs.auth.loopback_server import listen
from dmfs.auth.token_endpoint import APPS_URL, App, request_grant, revoke, user_info
from dmfs.auth.tokens import WRITE_SCOPES, SignIn, claims, may_write, with_writing
from dmfs.auth.user_session import LOCK_S, store_sign_in
from dmfs.cli import DONE
from dmfs.cli.control.words import plural
from dmfs.cli.settings import Invocation, start
from dmfs.config import Settings
from dmfs.errors import AccessError, DeadlineError, DriveError, GrantRefusedError, SetupError
from dmfs.http.client import HttpClient
from dmfs.http.httpx_client import open_httpx_client
from dmfs.http.json_client import JsonClient
from dmfs.http.probes import get_anonymously
from dmfs.http.tls import ca_bundle, client_context
from dmfs.ratelimit.limiter import RateLimiter
from dmfs.system.clock import wall_time_s
from dmfs.system.concurrency import bare_errors
from dmfs.urls import check_callback

PATIENCE_S = 300.0
"""As long as the service's own code lives."""
NETWORK_S = 60.0
NAME_S = 10.0
PASTES = 5
USER_SCOPE = "user-profile:read"
"""Requested beside the drive's own scopes: for the name in `dmfs whoami`."""


@dataclass(frozen=True, slots=True)
class Choices:
    """Options of a sign-in. ``write``: it may change something, too. ``patience_s`` limits the
    person, not the network."""

    write: bool = False
    browser: bool = True
    prompt_login: bool = False
    patience_s: float = PATIENCE_S


def login_command(call: Invocation) -> int:
    """``dmfs login``."""
    given, settings = call.options, start(call)
    if settings.sign_in not in ("auto", "user"):
        raise SetupError(
            f"profile {settings.profile!r} signs in by itself (sign_in = {settings.sign_in!r})",
            hint="choose another with --profile",
        )
    if given.callback:
        settings = replace(settings, callback=given.callback)
    choices = Choices(given.write, not given.no_browser, given.prompt_login)
    with bare_errors():
        trio.run(login, settings, choices)
    return DONE


def logout_command(call: Invocation) -> int:
    """``dmfs logout``."""
    settings = start(call)
    _check_drafts(call, keep=call.options.keep)
    with bare_errors():
        trio.run(logout, settings)
    return DONE


def _check_drafts(call: Invocation, *, keep: bool) -> None:
    """SetupError while files wait that only this sign-in may send."""
    from dmfs.cli.writing.owner import journal_of
    from dmfs.cli.writing.processes import of_processes
    from dmfs.write.care.rows import left as left_rows

    found, damaged = [], []
    try:
        found.append(journal_of(call))
    except DriveError as error:  # what else waits is told all the same
        damaged.append(error.message)
    try:
        for each in of_processes(call):
            found.append(each.journal)
            damaged += [each.damaged] if each.damaged else []
    except DriveError as error:
        damaged.append(error.message)
    for words in damaged:
        _say(f"dmfs: {words}")
    rows = [row for each in found if each is not None for row in left_rows(each.report.rows)]
    if not rows:
        return
    words = f"{plural(len(rows), 'file has', 'files have')} not gone up yet"
    if not keep:
        raise SetupError(
            f"{words}, and go up with this sign-in alone",
            hint="dmfs uploads --wait sends them, dmfs logout --keep leaves them for its return",
        )
    _say(f"{words}: they wait until the same user signs in again.")


@asynccontextmanager
async def open_json_client(settings: Settings) -> AsyncIterator[tuple[JsonClient, HttpClient]]:
    """A client of the service without a drive, and the HTTP client below it."""
    async with open_httpx_client(client_context(ca_bundle(settings.ca_file))) as client:
        yield JsonClient(settings.api_url, client, RateLimiter()), client


async def login(settings: Settings, choices: Choices) -> None:
    """Sign a person in and store the sign-in. DriveErrors say what went wrong and what to do."""
    if not settings.client_id:
        raise SetupError(
            "no client id is configured",
            hint=f"set DMFS_CLIENT_ID to that of your app ({APPS_URL}), or client_id in the "
            f"configuration ([profiles.{settings.profile}] for this profile alone)",
        )
    _, port, _ = check_callback(settings.callback)
    attempt = new_attempt(
        settings.api_url,
        settings.client_id,
        settings.callback,
        wanted_scopes(settings, write=choices.write),
        prompt_login=choices.prompt_login,
    )
    async with open_json_client(settings) as (client, http):
        await _check_request(http, settings, attempt)
        if choices.browser and port:
            code = await _code_by_browser(settings, attempt, choices)
        else:
            code = await _code_by_hand(attempt, choices)
        await _finish(client, settings, attempt, code, wanted_scopes(settings, write=choices.write))


def wanted_scopes(settings: Settings, *, write: bool = False) -> str:
    """The scopes that need the person's consent: the drive's, and the one for the name."""
    scopes = (with_writing(settings.scopes) if write else settings.scopes).split()
    return " ".join(scopes if USER_SCOPE in scopes else [*scopes, USER_SCOPE])


async def _check_request(client: HttpClient, settings: Settings, attempt: Attempt) -> None:
    """Request the sign-in page as a browser will: if the service refuses it there, no answer ever
    reaches our callback."""
    with trio.move_on_after(NETWORK_S) as scope:
        answer = await get_anonymously(client, "reach the sign-in page", attempt.url)
    if scope.cancelled_caught:
        raise DeadlineError("the sign-in page does not answer", hint="dmfs doctor")
    if 400 <= answer.status < 500 and answer.status != 429:
        raise AccessError(
            f"the service refuses this sign-in (HTTP {answer.status}): either there is no app "
            f"{settings.client_id!r}, or {settings.callback} is not its callback URL",
            hint=f"compare both with {APPS_URL}; --callback takes what is registered there",
        )
    if answer.status >= 500:
        raise DriveError(f"the sign-in page answers HTTP {answer.status}", hint="try again later")


async def _code_by_browser(settings: Settings, attempt: Attempt, choices: Choices) -> str:
    """The code that the browser sends to our callback."""
    _, port, path = check_callback(settings.callback)
    origin = settings.callback.removesuffix(urlsplit(settings.callback).path)

    def accept(target: str) -> str | None:
        url = origin + target
        return code_of(url, attempt) if belongs_to(url, attempt) else None

    async with listen(port, path, accept) as listener:
        _say("Sign in and allow access on the page that opens in your browser, or open it by hand:")
        _say(f"\n  {attempt.url}\n")
        with bare_errors():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_open_browser, attempt.url)
                with trio.move_on_after(choices.patience_s):
                    code = await listener.wait()
                    nursery.cancel_scope.cancel()
                    return code
                nursery.cancel_scope.cancel()
    raise DeadlineError(
        f"nobody signed in within {choices.patience_s / 60:.0f} minutes",
        hint="run dmfs login again; without a browser on this machine, with --no-browser",
    )


async def _open_browser(url: str) -> None:
    """Try to open it, in a thread: some browsers stay in the foreground."""
    opened = await trio.to_thread.run_sync(webbrowser.open, url, abandon_on_cancel=True)
    if not opened:
        _say("(No browser could be started here.)")


async def _code_by_hand(attempt: Attempt, choices: Choices) -> str:
    """The code in the address that a person pastes."""
    _say("Open this page in a browser anywhere, sign in and allow access:")
    _say(f"\n  {attempt.url}\n")
    _say("Then paste the address that the browser shows (it may say that it cannot be reached):")
    for left in reversed(range(PASTES)):
        with trio.move_on_after(choices.patience_s) as scope:
            line = await trio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True)
        if scope.cancelled_caught:
            raise DeadlineError("nothing was pasted in time", hint="run dmfs login again")
        if not line:
            raise SetupError("nothing was pasted", hint="run dmfs login at a terminal")
        text = line.strip()
        is_callback = looks_like_callback(text, attempt.callback)
        if not left or (is_callback and belongs_to(text, attempt)):
            return code_of(text, attempt)
        if is_callback:  # of an older tab, or somebody else's: as the listener, go on waiting
            _say("That belongs to another attempt to sign in (wrong state): use the page above —")
        else:
            _say(f"That is not the callback URL; it begins with {attempt.callback}? — once more:")
    raise AssertionError("unreachable")


async def _finish(
    client: JsonClient, settings: Settings, attempt: Attempt, code: str, scopes: str
) -> None:
    """Exchange the code for tokens and store the sign-in."""
    app = App(settings.client_id, settings.client_secret)
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "code_verifier": attempt.verifier,
        "redirect_uri": attempt.callback,
    }
    now_s = wall_time_s()
    with trio.move_on_after(NETWORK_S) as scope:
        try:
            grant = await request_grant(client, app, "finish the sign-in", form)
        except GrantRefusedError as error:
            hint = error.hint
            if error.code == "invalid_grant":
                hint = "a code is good once and for 5 minutes: run dmfs login again"
            raise AccessError(error.message, hint=hint) from None
    if scope.cancelled_caught:
        raise DeadlineError("the service did not finish the sign-in in time", hint="run dmfs login")
    profile: dict[str, str] = {}
    with trio.move_on_after(NAME_S):  # another host, and only for the name
        profile = await user_info(client, settings.api_url, grant.access_token)
    if not grant.refresh_token:
        raise AccessError("the service gave no refresh token", hint=f"check the app at {APPS_URL}")
    sign_in = SignIn(
        api_url=settings.api_url,
        client_id=settings.client_id,
        client_secret=settings.client_secret,
        scopes=scopes,
        user_id=profile.get("sub", "") or str(claims(grant.access_token).get("userid", "")),
        user_name=profile.get("name", ""),
        user_email=profile.get("email", ""),
    ).renewed(grant, now_s)
    store = token_store(settings)
    where = await store_sign_in(store, sign_in, settings.token_store)
    user = sign_in.user_name or sign_in.user_id or "an unnamed user"
    wished = set(WRITE_SCOPES) <= set(scopes.split())
    if wished and not may_write(sign_in.access_token, scopes):
        _say("This sign-in may only read all the same: it was not allowed to write.")
    place = "the desktop keyring" if where == "keyring" else str(store.file.path)
    _say(f"Signed in as {user} with profile {settings.profile!r}; kept in {place}.")


async def logout(settings: Settings) -> None:
    """Revoke the session and delete the stored sign-in. DriveError if it could not be revoked; it
    is deleted all the same."""
    store = token_store(settings)
    failure = ""
    async with store.lock(LOCK_S) as lock:
        try:
            stored = await store.read_locked(lock)
        except DriveError as error:
            stored, failure = None, error.message
        if stored is None and not failure:
            _say(f"Nobody is signed in with profile {settings.profile!r}.")
            return
        if stored is not None:
            failure = await _revoke(settings, stored.sign_in)
        await store.forget(lock)
    if failure:
        raise DriveError(
            f"forgotten here, but not revoked at the service: {failure}",
            hint="the session ends by itself within 15 days; or change your password",
        )
    _say(f"Signed out of profile {settings.profile!r}.")


async def _revoke(settings: Settings, sign_in: SignIn) -> str:
    """Revoke the session at the service; '' or the reason why that failed."""
    if sign_in.api_url != settings.api_url:
        return f"the sign-in belongs to {sign_in.api_url}"
    app = App(sign_in.client_id, sign_in.client_secret)
    async with open_json_client(settings) as (client, _):
        with trio.move_on_after(NETWORK_S):
            try:
                await revoke(client, app, sign_in.refresh_token)
            except DriveError as error:
                return error.message
            return ""
    return "no answer in time"


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()

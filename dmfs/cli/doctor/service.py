"""``dmfs doctor`` against the service: network, clock, sign-in, admission of the app.

``machine.py`` checks the machine.
"""

from __future__ import annotations

import os
import sys
from email.utils import parsedate_to_datetime

import trio

from dmfs.aps.client import Aps
from dmfs.auth.factory import sign_in_mode, token_source, token_store
from dmfs.auth.token_endpoint import APPS_URL
from dmfs.auth.token_sources import TokenSource
from dmfs.auth.tokens import login_hint
from dmfs.cli import DONE, FAILED
from dmfs.cli.doctor.findings import ERROR, NOTE, OK, WARNING, Finding, as_json, as_text, has_error
from dmfs.cli.doctor.machine import check_here
from dmfs.cli.doctor.place import place_of
from dmfs.cli.doctor.quota import check_quota
from dmfs.cli.doctor.surroundings import check_surroundings
from dmfs.cli.login import open_json_client
from dmfs.cli.settings import Invocation, config_path, start
from dmfs.config import Settings
from dmfs.errors import (
    AccessError,
    CertificateError,
    DriveError,
    PartialAnswerError,
    SignedOutError,
)
from dmfs.http.client import HttpClient
from dmfs.http.json_client import JsonClient
from dmfs.http.probes import get_anonymously
from dmfs.model import Hub, Root
from dmfs.system.clock import wall_time_s
from dmfs.system.concurrency import bare_errors

NETWORK_S = 30.0
HUBS = 20
"""Lists of projects are rationed at 50 a minute, for all users of the app together."""
SKEW_NOTE_S, SKEW_ERROR_S = 30.0, 240.0
"""An assertion of a service account lives for 4 minutes; certificates begin and end by the day."""
_CLOCK_REMEDY = "set the clock, and keep it set: timedatectl set-ntp true"


def doctor_command(call: Invocation) -> int:
    """Print all findings; FAILED if one is an error."""
    settings = start(call)
    with bare_errors():
        findings = trio.run(_check, settings, call)
    sys.stdout.write((as_json(findings) if call.options.json else as_text(findings)) + "\n")
    return FAILED if has_error(findings) else DONE


async def _check(settings: Settings, call: Invocation) -> list[Finding]:
    def here() -> list[Finding]:
        given = call.options.mountpoint
        wanted, found = (None, []) if given is None else place_of(given, os.geteuid())
        return [
            *check_here(settings, config_path(call)),
            *found,
            *check_surroundings(call.environ, wanted),
        ]

    return [
        *await trio.to_thread.run_sync(here),
        *await check_quota(settings),
        *await check_service(settings),
    ]


async def check_service(settings: Settings) -> list[Finding]:
    """Network, clock, app, sign-in, admission; each only if the ones before it have no error."""
    try:
        async with open_json_client(settings) as (client, http):
            findings = await _reach(settings, http)
            if has_error(findings):
                return findings
            return findings + await _signed_in(settings, client)
    except DriveError as error:
        return [Finding("network", ERROR, error.message, "nothing works without", error.hint)]


async def _reach(settings: Settings, http: HttpClient) -> list[Finding]:
    url = settings.api_url + "/.well-known/openid-configuration"
    why = "only what is in the cache can be read"
    with trio.move_on_after(NETWORK_S):
        try:
            answer = await get_anonymously(http, f"reach {settings.api_url}", url)
        except DriveError as error:
            remedy = error.hint + "; a proxy is taken from HTTPS_PROXY"
            if isinstance(error, CertificateError):
                remedy = (
                    "if the clock is right, a proxy of this network breaks TLS: name its authority "
                    "with SSL_CERT_FILE; if it is wrong, set it (timedatectl set-ntp true)"
                )
            return [Finding("network", ERROR, error.message, why, remedy)]
        reached = Finding("network", OK, f"{settings.api_url} answers")
        if answer.status >= 500:
            what = f"{settings.api_url} answers HTTP {answer.status}"
            remedy = "wait; see https://health.autodesk.com"
            reached = Finding("network", WARNING, what, why, remedy)
        return [reached, clock_finding(answer.headers.get("date", ""), wall_time_s())]
    what = f"{settings.api_url} does not answer within {NETWORK_S:.0f} s"
    return [
        Finding("network", ERROR, what, why, "check the network, and HTTPS_PROXY if there is one")
    ]


def clock_finding(date: str, now_s: float) -> Finding:
    """This machine's clock against the Date header of the service."""
    try:
        ahead_s = now_s - parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError):
        return Finding("clock", NOTE, "the service sent no time to compare the clock with")
    off = f"the clock is {_span(abs(ahead_s))} {'fast' if ahead_s > 0 else 'slow'}"
    if abs(ahead_s) >= SKEW_ERROR_S:
        why = "sign-ins of service accounts are refused, tokens end at the wrong time, TLS may fail"
        return Finding("clock", ERROR, off, why, _CLOCK_REMEDY)
    if abs(ahead_s) >= SKEW_NOTE_S:
        why = "near the limit for sign-ins of service accounts"
        return Finding("clock", WARNING, off, why, _CLOCK_REMEDY)
    return Finding("clock", OK, "the clock is right")


def _span(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


async def _signed_in(settings: Settings, client: JsonClient) -> list[Finding]:
    why = "every request to the service needs it"
    async with trio.open_nursery() as nursery:
        try:
            with trio.fail_after(NETWORK_S):
                kind = await sign_in_mode(settings, token_store(settings))
                source = await token_source(settings, client, nursery)
                await source.token()
                findings = [Finding("sign-in", OK, _signer(kind, settings))]
            return findings + await _admission(settings, client, source, kind)
        except trio.TooSlowError:
            what = "the sign-in service does not answer in time"
            return [Finding("sign-in", ERROR, what, why, "try again; dmfs whoami")]
        except SignedOutError as error:
            what = f"signed out: {login_hint(settings.profile)} ({error.message})"
            return [Finding("sign-in", ERROR, what, why, error.hint)]
        except DriveError as error:
            return [Finding("sign-in", ERROR, error.message, why, error.hint)]
        finally:
            nursery.cancel_scope.cancel()


def _signer(kind: str, settings: Settings) -> str:
    return {
        "user": f"a person is signed in with profile {settings.profile!r}",
        "app": f"the app {settings.client_id} signs in by itself",
        "service-account": f"the service account {settings.account_id} signs in",
    }[kind]


async def _admission(
    settings: Settings, client: JsonClient, source: TokenSource, kind: str
) -> list[Finding]:
    """Which hubs are visible, and whether each of them admits this app."""
    client_id = await _client_id(settings)
    aps = Aps(client, source, url_minutes=1, x_user_id=settings.x_user_id)
    found: list[Finding] = []
    try:
        with trio.fail_after(NETWORK_S):
            hubs = await aps.children(Root())
    except PartialAnswerError as error:
        hubs = list(error.rest)
        found.append(Finding("hubs", WARNING, error.message, "hubs may be missing", "try again"))
    except trio.TooSlowError:
        return [Finding("hubs", ERROR, "the list of hubs does not arrive in time")]
    except SignedOutError:
        raise  # the service sees the token for the first time here
    except AccessError as error:
        why = "the drive is empty without"
        remedy = letter(client_id, "your account")
        if kind == "user":
            remedy += f" (for a Fusion hub: check the account with dmfs whoami; app: {APPS_URL})"
        return [Finding("hubs", ERROR, error.message, why, remedy)]
    found += [await _hub(aps, hub, client_id) for hub in hubs[:HUBS] if isinstance(hub, Hub)]
    if len(hubs) > HUBS:
        found.append(Finding("hubs", NOTE, f"{len(hubs) - HUBS} more hubs were not checked"))
    if (
        kind == "app"
        and not settings.x_user_id
        and all(isinstance(hub, Hub) and hub.id.startswith("b.") for hub in hubs)
    ):
        what = "Fusion Team, BIM 360 Team and personal hubs are not visible"
        why = "the app's own credentials do not reach them"
        found.append(Finding("hubs", NOTE, what, why, "if you want them: dmfs login"))
    return found


async def _hub(aps: Aps, hub: Hub, client_id: str) -> Finding:
    try:
        with trio.fail_after(NETWORK_S):
            projects = await aps.children(hub)
    except trio.TooSlowError:
        return Finding("hubs", WARNING, f"{hub.name!r} does not list its projects in time")
    except SignedOutError:
        raise
    except AccessError as error:
        why = "this app is not admitted to the account, or you see none of its projects"
        return Finding("hubs", ERROR, error.message, why, letter(client_id, repr(hub.name)))
    except DriveError as error:
        return Finding("hubs", WARNING, error.message, "", error.hint or "try again")
    return Finding("hubs", OK, f"{hub.name!r} shows {len(projects)} project(s)")


def letter(client_id: str, account: str) -> str:
    """The text to send to an account admin, word for word."""
    return (
        f"send this to an account admin: “Please open Account Admin → Settings → Custom "
        f"Integrations in {account}, add a custom integration with access to Document Management, "
        f"and enter the client id {client_id} (app name: dmfs).”"
    )


async def _client_id(settings: Settings) -> str:
    """The configured app, or else the one of the stored sign-in."""
    if settings.client_id:
        return settings.client_id
    stored = await token_store(settings).describe()
    return stored.sign_in.client_id if stored is not None else ""

"""``dmfs whoami``: the signed-in user, the app, when the tokens expire, the visible hubs."""

from __future__ import annotations

import json
import sys
from typing import Any

import trio

from dmfs.aps.client import Aps
from dmfs.auth.factory import sign_in_mode, token_source, token_store
from dmfs.auth.tokens import WRITE_SCOPES, claims, granted_scopes
from dmfs.cli import DONE, FAILED
from dmfs.cli.login import open_json_client
from dmfs.cli.settings import Invocation, start
from dmfs.config import Settings
from dmfs.errors import AccessError, DriveError, PartialAnswerError, SignedOutError
from dmfs.model import Hub, Root
from dmfs.names import printable
from dmfs.system.clock import iso_seconds, wall_time_s
from dmfs.system.concurrency import bare_errors

NETWORK_S = 60.0
SOON_S = 3 * 86400.0


def whoami_command(call: Invocation) -> int:
    """Print the sign-in; FAILED if it does not work."""
    settings = start(call)
    with bare_errors():
        report = trio.run(describe_sign_in, settings)
    if call.options.json:
        sys.stdout.write(json.dumps(report, indent=2) + "\n")
    else:
        _print(report)
    return DONE if report["signed_in"] else FAILED


async def describe_sign_in(settings: Settings) -> dict[str, Any]:
    """``profile, sign_in, signed_in, user, app, scopes, access_token, refresh_token, hubs,
    warnings``; of tokens only when they expire."""
    report: dict[str, Any] = {
        "profile": settings.profile,
        "sign_in": settings.sign_in,
        "signed_in": False,
        "user": None,
        "app": settings.client_id,
        "scopes": settings.scopes.split(),
        "may_write": False,
        "access_token": None,
        "refresh_token": None,
        "kept_in": None,
        "hubs": [],
        "warnings": [],
    }
    warnings: list[str] = report["warnings"]
    async with open_json_client(settings) as (client, _), trio.open_nursery() as nursery:
        try:
            with trio.fail_after(NETWORK_S):
                report["sign_in"] = await sign_in_mode(settings, token_store(settings))
                source = await token_source(settings, client, nursery)
                token = await source.token()
                report["signed_in"] = True
                _add_token(report, token)
                aps = Aps(client, source, url_minutes=1, x_user_id=settings.x_user_id)
                try:
                    hubs = await aps.children(Root())
                except PartialAnswerError as error:  # those of a region that fails are missing
                    hubs = list(error.rest)
                    warnings.append(error.message)
                report["hubs"] = [hub.name for hub in hubs if isinstance(hub, Hub)]
        except trio.TooSlowError:
            warnings.append("the service does not answer in time")
        except SignedOutError as error:
            report["signed_in"] = False
            warnings.append(f"signed out: {error.message} — {error.hint}")
        except AccessError as error:
            warnings.append(f"{error.message} — {error.hint}")
        except DriveError as error:
            warnings.append(error.message)
        finally:
            nursery.cancel_scope.cancel()
    if report["sign_in"] == "user":
        await _add_stored(report, settings)
    report["may_write"] = report["signed_in"] and set(WRITE_SCOPES) <= set(report["scopes"])
    return report


def _add_token(report: dict[str, Any], token: str) -> None:
    payload = claims(token)
    scopes, expires_s = payload.get("scope"), payload.get("exp")
    if isinstance(scopes, list):
        report["scopes"] = [str(scope) for scope in scopes]
    if isinstance(expires_s, int | float):
        report["access_token"] = {"expires": _moment(expires_s)}
    if payload.get("userid"):
        report["user"] = {"id": str(payload["userid"]), "name": "", "email": ""}


async def _add_stored(report: dict[str, Any], settings: Settings) -> None:
    """Add what is stored about the sign-in, whether it works or not."""
    store = token_store(settings)
    try:
        stored = await store.describe()
    except DriveError:
        return  # describe_sign_in has warned about it
    if stored is None:
        return
    sign_in = stored.sign_in
    report["app"] = sign_in.client_id
    report["scopes"] = sorted(granted_scopes(sign_in.access_token, sign_in.scopes))
    report["user"] = {
        "id": sign_in.user_id,
        "name": sign_in.user_name,
        "email": sign_in.user_email,
    }
    report["access_token"] = report["access_token"] or {
        "expires": _moment(sign_in.access_expires_s)
    }
    report["refresh_token"] = {"expires": _moment(sign_in.refresh_expires_s)}
    report["kept_in"] = "keyring" if stored.where == "keyring" else str(store.file.path)
    left_s = sign_in.refresh_expires_s - wall_time_s()
    if report["signed_in"] and left_s < SOON_S:
        report["warnings"].append("the sign-in ends within 3 days unless a mount refreshes it")


def _moment(time_s: float) -> str:
    return iso_seconds(time_s) or "unknown"


def _until(token: dict[str, str] | None) -> str:
    return f"until {token['expires']}" if token else "-"


def _print(report: dict[str, Any]) -> None:
    user = report["user"]
    name = "nobody" if user is None else (user["name"] or user["id"])
    if user is not None and user["email"]:
        name += f" <{user['email']}>"
    if user is None and report["signed_in"]:
        name = "the app itself"
    how = "dmfs login --write" if report["sign_in"] == "user" else "scopes, in the configuration"
    rows = [
        ("profile", report["profile"]),
        ("user", name),
        ("sign-in", report["sign_in"] + ("" if report["signed_in"] else ": signed out")),
        ("app", report["app"] or "none"),
        ("scopes", " ".join(report["scopes"])),
        ("may", "read and write" if report["may_write"] else f"read ({how})"),
        ("access token", _until(report["access_token"])),
        ("refresh token", _until(report["refresh_token"])),
        ("kept in", report["kept_in"] or "-"),
        ("hubs", ", ".join(report["hubs"]) or "none"),
    ]  # fmt: skip
    for label, value in rows:
        sys.stdout.write(f"{label:<14}{printable(str(value))}\n")
    for warning in report["warnings"]:
        sys.stdout.write(f"warning       {printable(warning)}\n")

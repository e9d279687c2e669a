"""``dmfs whoami``: who is signed in, to which app, until when, and what that shows. Floor 4."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import Any

import trio

from dmfs.aps.client import Aps
from dmfs.auth.factory import sign_in_mode, token_source, token_store
from dmfs.auth.tokens import claims
from dmfs.cli.login import open_json_client
from dmfs.config import Settings
from dmfs.errors import AccessError, DriveError, SignedOutError
from dmfs.model import Hub, Root
from dmfs.names import printable
from dmfs.system.clock import wall_time_s

NETWORK_S = 60.0
SOON_S = 3 * 86400.0


async def whoami(settings: Settings, *, as_json: bool) -> bool:
    """Print it; False if there is no working sign-in."""
    told = await gather(settings)
    if as_json:
        sys.stdout.write(json.dumps(told, indent=2) + "\n")
    else:
        _print(told)
    return bool(told["signed_in"])


async def gather(settings: Settings) -> dict[str, Any]:
    """``profile, sign_in, signed_in, user, app, scopes, access_token, refresh_token, hubs,
    warnings``; tokens by their expiry alone."""
    told: dict[str, Any] = {
        "profile": settings.profile,
        "sign_in": settings.sign_in,
        "signed_in": False,
        "user": None,
        "app": settings.client_id,
        "scopes": settings.scopes.split(),
        "access_token": None,
        "refresh_token": None,
        "kept_in": None,
        "hubs": [],
        "warnings": [],
    }
    warnings: list[str] = told["warnings"]
    async with open_json_client(settings) as (wire, _), trio.open_nursery() as nursery:
        try:
            with trio.fail_after(NETWORK_S):
                told["sign_in"] = await sign_in_mode(settings, token_store(settings))
                source = await token_source(settings, wire, nursery)
                token = await source.token()
                told["signed_in"] = True
                _tell_token(told, token)
                aps = Aps(wire, source, url_minutes=1, x_user_id=settings.x_user_id)
                hubs, said = await aps.children(Root())
                told["hubs"] = [hub.name for hub in hubs if isinstance(hub, Hub)]
                warnings += said
        except trio.TooSlowError:
            warnings.append("the service does not answer in time")
        except SignedOutError as error:
            told["signed_in"] = False
            warnings.append(f"signed out: {error.message} — {error.hint}")
        except AccessError as error:
            warnings.append(f"{error.message} — {error.hint}")
        except DriveError as error:
            warnings.append(error.message)
        finally:
            nursery.cancel_scope.cancel()
    if told["sign_in"] == "user":
        await _tell_kept(told, settings)
    return told


def _tell_token(told: dict[str, Any], token: str) -> None:
    inside = claims(token)
    scopes, expires_s = inside.get("scope"), inside.get("exp")
    if isinstance(scopes, list):
        told["scopes"] = [str(scope) for scope in scopes]
    if isinstance(expires_s, int | float):
        told["access_token"] = {"expires": _iso(expires_s)}
    if inside.get("userid"):
        told["user"] = {"id": str(inside["userid"]), "name": "", "email": ""}


async def _tell_kept(told: dict[str, Any], settings: Settings) -> None:
    """What is written down about the sign-in, whether it works or not."""
    store = token_store(settings)
    try:
        kept = await store.describe()
    except DriveError:
        return  # has been warned of
    if kept is None:
        return
    sign_in = kept.sign_in
    told["app"] = sign_in.client_id
    told["scopes"] = sign_in.scopes.split()
    told["user"] = {
        "id": sign_in.user_id,
        "name": sign_in.user_name,
        "email": sign_in.user_email,
    }
    told["access_token"] = told["access_token"] or {"expires": _iso(sign_in.access_expires_s)}
    told["refresh_token"] = {"expires": _iso(sign_in.refresh_expires_s)}
    told["kept_in"] = "keyring" if kept.where == "keyring" else str(store.file.path)
    left_s = sign_in.refresh_expires_s - wall_time_s()
    if told["signed_in"] and left_s < SOON_S:
        told["warnings"].append("the sign-in ends within 3 days unless a mount refreshes it")


def _iso(time_s: float) -> str:
    try:
        return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return "unknown"


def _until(token: dict[str, str] | None) -> str:
    return f"until {token['expires']}" if token else "-"


def _print(told: dict[str, Any]) -> None:
    user = told["user"]
    who = "nobody" if user is None else (user["name"] or user["id"])
    if user is not None and user["email"]:
        who += f" <{user['email']}>"
    if user is None and told["signed_in"]:
        who = "the app itself"
    rows = [
        ("profile", told["profile"]),
        ("user", who),
        ("sign-in", told["sign_in"] if told["signed_in"] else f"{told['sign_in']}: signed out"),
        ("app", told["app"] or "none"),
        ("scopes", " ".join(told["scopes"])),
        ("access token", _until(told["access_token"])),
        ("refresh token", _until(told["refresh_token"])),
        ("kept in", told["kept_in"] or "-"),
        ("hubs", ", ".join(told["hubs"]) or "none"),
    ]  # fmt: skip
    for name, value in rows:
        sys.stdout.write(f"{name:<14}{printable(str(value))}\n")
    for warning in told["warnings"]:
        sys.stdout.write(f"warning       {printable(warning)}\n")

"""Control calls about signing in: see "Signing in" in ``docs/emulator.md``."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from dmfs.emulator.http.messages import Answer, Request, json_answer
from dmfs.emulator.server.emulator import Emulator
from dmfs.emulator.sign_in import apps
from dmfs.emulator.sign_in.service_keys import Key
from dmfs.emulator.sign_in.sessions import ADA, USERS

Body = dict[str, Any]


def _app(body: Body) -> apps.App:
    app = apps.APPS.get(str(body.get("client_id", "emulator-desktop")))
    if app is None:
        raise LookupError(f"no app {body['client_id']!r}")
    return app


async def sessions(emulator: Emulator, request: Request, body: Body) -> Answer:
    """``GET sessions``: users, counts, and how many refresh tokens are honoured."""
    stored = emulator.sign_in.sessions
    honoured = sum(refresh.honoured for refresh in stored.refreshes.values())
    users = [asdict(user) for user in USERS.values()]
    summary = {"signed_in": stored.signed_in, "users": users, "honoured": honoured}
    return json_answer(summary | {"counts": dict(stored.counts)})


async def new_session(emulator: Emulator, request: Request, body: Body) -> Answer:
    """``POST sessions``: a session as if a person had just consented; access and refresh token."""
    app, user_id = _app(body), str(body.get("user", ADA))
    if user_id not in USERS:
        raise LookupError(f"no user {user_id!r}")
    scopes = frozenset(str(body.get("scope", "data:read")).split())
    text, ttl_s = emulator.sign_in.tokens.issue(app, scopes, user_id)
    refresh = emulator.sign_in.sessions.new_refresh(app, user_id, scopes)
    return json_answer({"access_token": text, "refresh_token": refresh, "expires_in": ttl_s})


async def end_sessions(emulator: Emulator, request: Request, body: Body) -> Answer:
    """``POST end_sessions``: every session is revoked, access tokens too."""
    emulator.sign_in.tokens.expire_all()
    return json_answer({"ended": emulator.sign_in.sessions.end()})


async def expire_sessions(emulator: Emulator, request: Request, body: Body) -> Answer:
    """``POST expire_sessions``: codes and refresh tokens reach their end."""
    emulator.sign_in.sessions.expire()
    return json_answer({})


async def refresh_token(emulator: Emulator, request: Request, body: Body) -> Answer:
    """``POST refresh_token``: ``{"token"}`` → what the service would do with it."""
    return json_answer(emulator.sign_in.sessions.status(str(body.get("token", ""))))


async def secrets(emulator: Emulator, request: Request, body: Body) -> Answer:
    """``GET secrets``: every token, code and app secret so far; tests search files for them."""
    stored = emulator.sign_in.sessions
    found = {*stored.codes, *stored.refreshes, *emulator.sign_in.tokens.ever}
    found |= {app.secret for app in apps.APPS.values() if app.secret}
    return json_answer({"secrets": sorted(found)})


async def change_app(emulator: Emulator, request: Request, body: Body) -> Answer:
    """``POST app``: ``{"client_id", "callbacks": [url…]}`` registers callbacks."""
    app = _app(body)
    callbacks = body.get("callbacks")
    if not isinstance(callbacks, list) or not all(isinstance(url, str) for url in callbacks):
        raise ValueError("callbacks is a list of URLs")
    app.callbacks[:] = callbacks
    return json_answer({"client_id": app.client_id, "callbacks": app.callbacks})


async def service_account(emulator: Emulator, request: Request, body: Body) -> Answer:
    """``POST service_account``: client_id, account_id, key_id; n and e in hexadecimal."""
    app = _app(body)
    for name in ("account_id", "key_id", "n", "e"):
        if not isinstance(body.get(name), str):
            raise ValueError(f"{name} is a text")
    emulator.sign_in.service_keys[body["key_id"]] = Key(
        body["account_id"], app.client_id, int(body["n"], 16), int(body["e"], 16)
    )
    return json_answer({})


HANDLERS = {
    ("GET", "sessions"): sessions,
    ("POST", "sessions"): new_session,
    ("GET", "secrets"): secrets,
    ("POST", "end_sessions"): end_sessions,
    ("POST", "expire_sessions"): expire_sessions,
    ("POST", "refresh_token"): refresh_token,
    ("POST", "app"): change_app,
    ("POST", "service_account"): service_account,
}

"""Sign-in of users: authorize, the grants that follow it, revoke, introspect, userinfo (facts 1).

The grants enter themselves in :data:`apps.GRANTS`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import time
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode

from dmfs.emulator.api import errors
from dmfs.emulator.api.errors import Refusal
from dmfs.emulator.server.http import Answer, Request, json_answer
from dmfs.emulator.sign_in import apps, consent_page
from dmfs.emulator.sign_in.apps import App, Token
from dmfs.emulator.sign_in.sessions import USERS, Question

if TYPE_CHECKING:
    from dmfs.emulator.server.state import Emulator

_STATE = re.compile(r"[A-Za-z0-9,._-]{0,500}")
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")


def _form(request: Request) -> dict[str, str]:
    return dict(parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True))


async def authorize(emulator: Emulator, request: Request, args: list[str]) -> Answer:
    """``GET /authentication/v2/authorize``: the consent page, or back to the app with an error."""
    query = request.query
    app = apps.APPS.get(query.get("client_id", ""))
    if app is None:
        return consent_page.refusal("The client_id is not that of a registered application.")
    callback = query.get("redirect_uri", "")
    if callback not in app.callbacks:
        return consent_page.refusal(
            "The redirect_uri does not match a Callback URL registered for this application."
        )
    state = query.get("state", "")
    if not _STATE.fullmatch(state):
        return consent_page.refusal("The state may only hold alphanumerics, commas, ., _ and -.")

    def back(error: str, text: str) -> Answer:
        return _redirect(callback, {"error": error, "error_description": text, "state": state})

    if query.get("response_type") != "code":
        return back("unsupported_response_type", "Only the response type code is supported.")
    if not apps.scopes_are_known(query.get("scope", ""), 2000):
        return back("invalid_scope", "The requested scope is invalid, unknown, or malformed.")
    scopes = frozenset(query["scope"].split())
    if "openid" in scopes and not query.get("nonce"):
        return back("invalid_request", "A nonce is required when openid is requested.")
    challenge = query.get("code_challenge", "")
    if challenge and (
        query.get("code_challenge_method") != "S256" or not _CHALLENGE.fullmatch(challenge)
    ):
        return back("invalid_request", "Only S256 code challenges are supported.")
    if app.is_public and not challenge:
        return back("invalid_request", "A public client must send a code_challenge.")
    question = Question(app, callback, scopes, state, challenge)
    sessions = emulator.sessions
    signed_in = "" if query.get("prompt") == "login" else sessions.signed_in
    return consent_page.ask(sessions.ask(question), question, signed_in)


async def decide(emulator: Emulator, request: Request, args: list[str]) -> Answer:
    """``POST /authentication/v2/authorize``: what the person answered on the consent page."""
    form, sessions = _form(request), emulator.sessions
    question = sessions.questions.pop(form.get("question", ""), None)
    user = USERS.get(form.get("user", ""))
    if question is None or user is None:
        return consent_page.refusal("This page was already answered, or is too old.")
    sessions.signed_in = question.user_id = user.id
    if form.get("answer") != "allow":
        sessions.counts["denied"] += 1
        text = "The resource owner or authorization server denied the request."
        return _redirect(
            question.redirect_uri,
            {"error": "access_denied", "error_description": text, "state": question.state},
        )
    sessions.counts["consented"] += 1
    fields = {"code": sessions.new_code(question), "state": question.state}
    return _redirect(question.redirect_uri, fields)


def _redirect(where: str, fields: dict[str, str]) -> Answer:
    glue = "&" if "?" in where else "?"
    answer = Answer(302)
    fields = {key: value for key, value in fields.items() if value}
    answer.headers["Location"] = where + glue + urlencode(fields)
    return answer


def _invalid_grant(emulator: Emulator, text: str) -> Refusal:
    emulator.sessions.counts["refused"] += 1
    return Refusal(errors.oauth(400, "invalid_grant", text))


def _authorization_code(emulator: Emulator, app: App, form: dict[str, str]) -> Answer:
    code = emulator.sessions.codes.get(form.get("code", ""))
    if code is None or code.used or code.expires_s <= time.time() or code.question.app is not app:
        raise _invalid_grant(emulator, "The authorization code is invalid or has expired.")
    code.used = True  # whatever comes now: a code that was shown once is spent
    question = code.question
    if form.get("redirect_uri") != question.redirect_uri:
        raise _invalid_grant(emulator, "The redirect_uri is not that of the authorization.")
    if question.challenge:
        verifier = form.get("code_verifier", "")
        digest = hashlib.sha256(verifier.encode()).digest()
        proof = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        matches = hmac.compare_digest(proof, question.challenge)
        if not _VERIFIER.fullmatch(verifier) or not matches:
            raise _invalid_grant(emulator, "PKCE verification failed.")
    return tokens(emulator, app, question.scopes, question.user_id)


def _refresh_token(emulator: Emulator, app: App, form: dict[str, str]) -> Answer:
    refresh = emulator.sessions.refreshes.get(form.get("refresh_token", ""))
    if refresh is None or not refresh.honoured or refresh.app is not app:
        raise _invalid_grant(emulator, "The refresh token is invalid or expired.")
    scopes = refresh.scopes
    if form.get("scope"):
        scopes = apps.requested_scopes(form)
        if not scopes <= refresh.scopes:
            raise Refusal(errors.oauth(400, "invalid_scope", "The scope exceeds the original."))
    refresh.spent = True
    emulator.sessions.counts["refreshed"] += 1
    return tokens(emulator, app, scopes, refresh.user_id, refresh.family)


def tokens(
    emulator: Emulator, app: App, scopes: frozenset[str], user_id: str, family: str = ""
) -> Answer:
    """An access token and the refresh token to go on with."""
    text, ttl_s = emulator.tokens.issue(app, scopes, user_id)
    refresh = emulator.sessions.new_refresh(app, user_id, scopes, family)
    return json_answer(
        {
            "access_token": text,
            "token_type": "Bearer",
            "expires_in": max(0, int(ttl_s)),
            "refresh_token": refresh,
        }
    )


async def revoke(emulator: Emulator, request: Request, args: list[str]) -> Answer:
    """``POST /authentication/v2/revoke``: an app's own tokens; an unknown one is no error."""
    form = _form(request)
    app = apps.client_of(request, form)
    request.client_id = app.client_id
    text = form.get("token", "")
    refresh = emulator.sessions.refreshes.get(text)
    if refresh is not None and refresh.app is app:
        emulator.sessions.end(refresh.family)
    emulator.tokens.revoke(text, app)
    return Answer(200)


async def introspect(emulator: Emulator, request: Request, args: list[str]) -> Answer:
    """``POST /authentication/v2/introspect``: an app's own tokens."""
    form = _form(request)
    app = apps.client_of(request, form)
    request.client_id = app.client_id
    text = form.get("token", "")
    known: Token | None = emulator.tokens.find(text)
    refresh = emulator.sessions.refreshes.get(text)
    if known is not None and known.app is app:
        scopes, expires_s, user_id = known.scopes, known.expires_s, known.user_id
    elif refresh is not None and refresh.app is app and refresh.honoured:
        scopes, expires_s, user_id = refresh.scopes, refresh.expires_s, refresh.user_id
    else:
        return json_answer({"active": False})
    told = {
        "active": True,
        "scope": " ".join(sorted(scopes)),
        "client_id": app.client_id,
        "exp": int(expires_s),
    }
    return json_answer(told | ({"userid": user_id} if user_id else {}))


async def userinfo(emulator: Emulator, request: Request, args: list[str], token: Token) -> Answer:
    """``GET /userinfo``. In life on another host."""
    user = USERS.get(token.user_id)
    if user is None:
        return errors.gateway(403, "AUTH-008", "The token is not that of a user.")
    first, _, last = user.name.partition(" ")
    return json_answer(
        {
            "sub": user.id,
            "name": user.name,
            "given_name": first,
            "family_name": last,
            "preferred_username": user.email.partition("@")[0],
            "email": user.email,
            "email_verified": True,
        }
    )


async def logout(emulator: Emulator, request: Request, args: list[str]) -> Answer:
    """``GET /authentication/v2/logout``: the browser's session ends; tokens stay what they are."""
    emulator.sessions.signed_in = ""
    where = request.query.get("post_logout_redirect_uri", "")
    if any(where in app.callbacks for app in apps.APPS.values()):
        return _redirect(where, {})
    return consent_page.page("Autodesk emulator: signed out", "<p>You are signed out.</p>")


async def openid_configuration(emulator: Emulator, request: Request, args: list[str]) -> Answer:
    """``GET /.well-known/openid-configuration``."""
    base = f"{emulator.api_url}/authentication/v2"
    return json_answer(
        {
            "issuer": "https://developer.api.autodesk.com",
            "authorization_endpoint": f"{base}/authorize",
            "token_endpoint": f"{base}/token",
            "userinfo_endpoint": f"{emulator.api_url}/userinfo",
            "jwks_uri": f"{base}/keys",
            "revocation_endpoint": f"{base}/revoke",
            "introspection_endpoint": f"{base}/introspect",
            "scopes_supported": sorted(apps.KNOWN_SCOPES),
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": sorted(apps.GRANTS),
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        }
    )


apps.GRANTS["authorization_code"] = _authorization_code
apps.GRANTS["refresh_token"] = _refresh_token

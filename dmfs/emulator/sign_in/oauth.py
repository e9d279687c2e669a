"""Sign-in of users: authorize, revoke, introspect, userinfo, logout (facts 1)."""

from __future__ import annotations

import re
from urllib.parse import urlencode

from dmfs.emulator.http import errors
from dmfs.emulator.http.messages import Answer, Request, json_answer
from dmfs.emulator.sign_in import apps, consent_page
from dmfs.emulator.sign_in.service import SignIn
from dmfs.emulator.sign_in.sessions import USERS, AuthorizationRequest
from dmfs.emulator.sign_in.token_endpoint import GRANTS
from dmfs.emulator.sign_in.tokens import Token

_STATE = re.compile(r"[A-Za-z0-9,._-]{0,500}")
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")


async def authorize(service: SignIn, request: Request, args: list[str]) -> Answer:
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
    pending = AuthorizationRequest(app, callback, scopes, state, challenge)
    sessions = service.sessions
    signed_in = "" if query.get("prompt") == "login" else sessions.signed_in
    return consent_page.consent(sessions.add_pending(pending), pending, signed_in)


async def decide(service: SignIn, request: Request, args: list[str]) -> Answer:
    """``POST /authentication/v2/authorize``: the form of the consent page."""
    form, sessions = request.form(), service.sessions
    pending = sessions.pending.pop(form.get("question", ""), None)
    user = USERS.get(form.get("user", ""))
    if pending is None or user is None:
        return consent_page.refusal("This page was already answered, or is too old.")
    sessions.signed_in = pending.user_id = user.id
    if form.get("answer") != "allow":
        sessions.counts["denied"] += 1
        text = "The resource owner or authorization server denied the request."
        return _redirect(
            pending.redirect_uri,
            {"error": "access_denied", "error_description": text, "state": pending.state},
        )
    sessions.counts["consented"] += 1
    fields = {"code": sessions.new_code(pending), "state": pending.state}
    return _redirect(pending.redirect_uri, fields)


def _redirect(where: str, fields: dict[str, str]) -> Answer:
    glue = "&" if "?" in where else "?"
    answer = Answer(302)
    fields = {key: value for key, value in fields.items() if value}
    answer.headers["Location"] = where + glue + urlencode(fields)
    return answer


async def revoke(service: SignIn, request: Request, args: list[str]) -> Answer:
    """``POST /authentication/v2/revoke``: an app's own tokens; an unknown one is no error."""
    form = request.form()
    app = apps.client_of(request, form)
    request.client_id = app.client_id
    text = form.get("token", "")
    refresh = service.sessions.refreshes.get(text)
    if refresh is not None and refresh.app is app:
        service.sessions.end(refresh.family)
    service.tokens.revoke(text, app)
    return Answer(200)


async def introspect(service: SignIn, request: Request, args: list[str]) -> Answer:
    """``POST /authentication/v2/introspect``: an app's own tokens."""
    form = request.form()
    app = apps.client_of(request, form)
    request.client_id = app.client_id
    text = form.get("token", "")
    known: Token | None = service.tokens.find(text)
    refresh = service.sessions.refreshes.get(text)
    if known is not None and known.app is app:
        scopes, expires_s, user_id = known.scopes, known.expires_s, known.user_id
    elif refresh is not None and refresh.app is app and refresh.honoured:
        scopes, expires_s, user_id = refresh.scopes, refresh.expires_s, refresh.user_id
    else:
        return json_answer({"active": False})
    body = {
        "active": True,
        "scope": " ".join(sorted(scopes)),
        "client_id": app.client_id,
        "exp": int(expires_s),
    }
    return json_answer(body | ({"userid": user_id} if user_id else {}))


async def userinfo(service: SignIn, request: Request, args: list[str], token: Token) -> Answer:
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


async def logout(service: SignIn, request: Request, args: list[str]) -> Answer:
    """``GET /authentication/v2/logout``: the browser's session ends; tokens stay what they are."""
    service.sessions.signed_in = ""
    where = request.query.get("post_logout_redirect_uri", "")
    if any(where in app.callbacks for app in apps.APPS.values()):
        return _redirect(where, {})
    return consent_page.page("Autodesk emulator: signed out", "<p>You are signed out.</p>")


async def openid_configuration(service: SignIn, request: Request, args: list[str]) -> Answer:
    """``GET /.well-known/openid-configuration``."""
    base = f"{service.origins.api_url}/authentication/v2"
    return json_answer(
        {
            "issuer": "https://developer.api.autodesk.com",
            "authorization_endpoint": f"{base}/authorize",
            "token_endpoint": f"{base}/token",
            "userinfo_endpoint": f"{service.origins.api_url}/userinfo",
            "jwks_uri": f"{base}/keys",
            "revocation_endpoint": f"{base}/revoke",
            "introspection_endpoint": f"{base}/introspect",
            "scopes_supported": sorted(apps.KNOWN_SCOPES),
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": sorted(GRANTS),
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        }
    )

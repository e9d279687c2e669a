"""Signing in at the emulator: authorize, PKCE, rotation, revocation, service accounts."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from dmfs.emulator.process import EmulatorError, EmulatorProcess

from .client import Reply, fetch, token_reply

CALLBACK = "http://localhost:8080/callback"
VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode()[:-1]
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
AUDIENCE = "https://developer.api.autodesk.com/authentication/v2/token"


def authorize_url(emulator: EmulatorProcess, **changes: str | None) -> str:
    query = {
        "response_type": "code", "client_id": "emulator-desktop", "redirect_uri": CALLBACK,
        "scope": "data:read user-profile:read", "state": "st4te", "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
    } | changes  # fmt: skip
    given = {key: value for key, value in query.items() if value is not None}
    return f"{emulator.api_url}/authentication/v2/authorize?{urlencode(given)}"


def came_back(location: str) -> dict[str, str]:
    assert location.startswith(CALLBACK)
    return {key: value[0] for key, value in parse_qs(urlsplit(location).query).items()}


def code(emulator: EmulatorProcess, **changes: str | None) -> str:
    back = came_back(emulator.consent(authorize_url(emulator, **changes)))
    assert back["state"] == "st4te"
    return back["code"]


def exchange(emulator: EmulatorProcess, code_: str, **changes: str) -> Reply:
    form = {
        "grant_type": "authorization_code", "client_id": "emulator-desktop", "code": code_,
        "redirect_uri": CALLBACK, "code_verifier": VERIFIER,
    }  # fmt: skip
    return token_reply(emulator.api_url, form | changes)


def refresh(emulator: EmulatorProcess, token: str, **more: str) -> Reply:
    form = {"grant_type": "refresh_token", "client_id": "emulator-desktop", "refresh_token": token}
    return token_reply(emulator.api_url, form | more)


def error(reply: Reply) -> tuple[int, str]:
    return reply.status, reply.json["error"]


def post(emulator: EmulatorProcess, path: str, **form: str) -> Reply:
    head = {"Content-Type": "application/x-www-form-urlencoded"}
    return fetch(f"{emulator.api_url}{path}", "POST", head, urlencode(form).encode())


def userinfo(emulator: EmulatorProcess, token: str) -> Reply:
    return fetch(f"{emulator.api_url}/userinfo", headers={"Authorization": f"Bearer {token}"})


def test_a_whole_sign_in(emulator: EmulatorProcess) -> None:
    reply = exchange(emulator, code(emulator))
    assert reply.status == 200
    assert set(reply.json) == {"access_token", "refresh_token", "token_type", "expires_in"}
    told = userinfo(emulator, reply.json["access_token"]).json
    assert told["name"] == "Ada Emulated"


def test_the_page_remembers_who_signed_in(emulator: EmulatorProcess) -> None:
    emulator.consent(authorize_url(emulator), user="BOBEMU000002")
    page = fetch(authorize_url(emulator)).body.decode()
    assert "Signed in as Bob Emulated" in page
    assert 'type="radio"' not in page
    assert 'type="radio"' in fetch(authorize_url(emulator, prompt="login")).body.decode()
    fetch(f"{emulator.api_url}/authentication/v2/logout")
    assert 'type="radio"' in fetch(authorize_url(emulator)).body.decode()


def test_denied_consent(emulator: EmulatorProcess) -> None:
    back = came_back(emulator.consent(authorize_url(emulator), allow=False))
    assert (back["error"], back["state"]) == ("access_denied", "st4te")
    assert "code" not in back


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"scope": "data:nonsense"}, "invalid_scope"),
        ({"scope": None}, "invalid_scope"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"code_challenge": None}, "invalid_request"),
        ({"scope": "openid"}, "invalid_request"),
    ],
)
def test_requests_that_go_back_with_an_error(
    emulator: EmulatorProcess, changes: dict[str, str | None], says: str
) -> None:
    assert came_back(emulator.consent(authorize_url(emulator, **changes)))["error"] == says


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"client_id": "nobody"}, "client_id"),
        ({"redirect_uri": "http://localhost:9/x"}, "redirect_uri"),
        ({"state": "a b"}, "state"),
    ],
)
def test_requests_that_go_nowhere(
    emulator: EmulatorProcess, changes: dict[str, str], says: str
) -> None:
    with pytest.raises(EmulatorError, match=says):
        emulator.consent(authorize_url(emulator, **changes))


def test_a_code_is_good_once(emulator: EmulatorProcess) -> None:
    given = code(emulator)
    assert exchange(emulator, given).status == 200
    assert error(exchange(emulator, given)) == (400, "invalid_grant")


@pytest.mark.parametrize(
    "changes",
    [
        {"code_verifier": "w" * 43}, {"code_verifier": ""}, {"redirect_uri": "http://localhost/"},
        {"code": "guess"},
    ],
)  # fmt: skip
def test_a_code_with_something_wrong(emulator: EmulatorProcess, changes: dict[str, str]) -> None:
    given = code(emulator)
    assert error(exchange(emulator, given, **changes)) == (400, "invalid_grant")
    if "code" not in changes:  # and it is spent
        assert error(exchange(emulator, given)) == (400, "invalid_grant")


def test_a_code_expires(emulator: EmulatorProcess) -> None:
    given = code(emulator)
    emulator.control("POST", "expire_sessions")
    assert error(exchange(emulator, given)) == (400, "invalid_grant")


def test_a_code_of_another_app(emulator: EmulatorProcess) -> None:
    given = code(emulator, client_id="emulator-web")
    assert error(exchange(emulator, given)) == (400, "invalid_grant")
    confidential = {"client_id": "emulator-web", "client_secret": "web-secret"}
    given = code(emulator, client_id="emulator-web")
    assert exchange(emulator, given, **confidential).status == 200
    assert exchange(emulator, given, client_id="emulator-web").status == 401


def test_a_refresh_token_is_good_once(emulator: EmulatorProcess) -> None:
    first = emulator.sign_in()["refresh_token"]
    second = refresh(emulator, first).json["refresh_token"]
    assert second != first
    assert error(refresh(emulator, first)) == (400, "invalid_grant")
    assert emulator.control("POST", "refresh_token", {"token": first}) == {
        "known": True, "honoured": False, "spent": True, "session_alive": True
    }  # fmt: skip
    assert refresh(emulator, second).status == 200


def test_a_refresh_may_narrow_the_scope(emulator: EmulatorProcess) -> None:
    token = emulator.sign_in(scope="data:read data:write")["refresh_token"]
    assert error(refresh(emulator, token, scope="data:create")) == (400, "invalid_scope")
    assert refresh(emulator, token, scope="data:read").status == 200


def test_sessions_expire_and_end(emulator: EmulatorProcess) -> None:
    token = emulator.sign_in()["refresh_token"]
    emulator.control("POST", "expire_sessions")
    assert error(refresh(emulator, token)) == (400, "invalid_grant")
    token = emulator.sign_in()["refresh_token"]
    assert emulator.control("POST", "end_sessions")["ended"] >= 1
    assert error(refresh(emulator, token)) == (400, "invalid_grant")


def test_revoke_and_introspect(emulator: EmulatorProcess) -> None:
    given = emulator.sign_in()
    who = {"client_id": "emulator-desktop"}
    where = "/authentication/v2/introspect"
    told = post(emulator, where, token=given["access_token"], **who).json
    assert (told["active"], told["userid"], told["scope"]) == (True, "ADAEMU000001", "data:read")
    other = {"client_id": "emulator-web", "client_secret": "web-secret"}
    assert post(emulator, where, token=given["access_token"], **other).json == {"active": False}
    for _ in range(2):  # what is unknown by now is no error
        done = post(emulator, "/authentication/v2/revoke", token=given["refresh_token"], **who)
        assert (done.status, done.body) == (200, b"")
    assert post(emulator, where, token=given["refresh_token"], **who).json == {"active": False}
    assert error(refresh(emulator, given["refresh_token"])) == (400, "invalid_grant")


def test_userinfo_needs_its_scope(emulator: EmulatorProcess) -> None:
    assert userinfo(emulator, emulator.sign_in()["access_token"]).status == 401
    token = emulator.sign_in(scope="user-profile:read")["access_token"]
    assert userinfo(emulator, token).json["email"] == "ada@emulator.invalid"


def test_a_public_app_has_no_credentials(emulator: EmulatorProcess) -> None:
    form = {"grant_type": "client_credentials", "scope": "data:read"}
    assert error(token_reply(emulator.api_url, form | {"client_id": "emulator-desktop"})) == (
        400, "unauthorized_client"
    )  # fmt: skip


def test_discovery(emulator: EmulatorProcess) -> None:
    told = fetch(f"{emulator.api_url}/.well-known/openid-configuration").json
    assert told["token_endpoint"] == f"{emulator.api_url}/authentication/v2/token"
    assert told["code_challenge_methods_supported"] == ["S256"]


def part(value: Any) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def assertion(header: dict[str, Any] | None = None, **claims: Any) -> str:
    given = {
        "iss": "emulator-app", "sub": "SA-1", "aud": AUDIENCE, "exp": int(time.time()) + 200,
        "scope": ["data:read"],
    } | claims  # fmt: skip
    signed = part({"alg": "RS256", "kid": "k1"} | (header or {})) + "." + part(given)
    return signed + "." + part(KEY.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))


def bear(emulator: EmulatorProcess, text: str, **changes: str) -> Reply:
    numbers = KEY.public_key().public_numbers()
    emulator.control("POST", "service_account", {
        "client_id": "emulator-app", "account_id": "SA-1", "key_id": "k1", "n": f"{numbers.n:x}",
        "e": f"{numbers.e:x}",
    })  # fmt: skip
    form = {
        "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": text,
        "client_id": "emulator-app", "client_secret": "emulator-secret",
    }  # fmt: skip
    return token_reply(emulator.api_url, form | changes)


def test_a_service_account(emulator: EmulatorProcess) -> None:
    reply = bear(emulator, assertion())
    assert reply.status == 200
    assert "refresh_token" not in reply.json
    claims = json.loads(base64.urlsafe_b64decode(reply.json["access_token"].split(".")[1] + "=="))
    assert claims["jti"].startswith("SA-")


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "emulator-web"}, {"sub": "SA-2"}, {"aud": "https://example.com"},
        {"exp": int(time.time()) - 5}, {"exp": int(time.time()) + 4000}, {"exp": "soon"},
        {"header": {"alg": "none"}}, {"header": {"kid": "k2"}},
    ],
)  # fmt: skip
def test_assertions_that_are_refused(emulator: EmulatorProcess, claims: dict[str, Any]) -> None:
    assert error(bear(emulator, assertion(**claims))) == (400, "invalid_grant")


def test_an_assertion_whose_claims_were_changed(emulator: EmulatorProcess) -> None:
    header, _, signature = assertion().split(".")
    forged = part({"iss": "emulator-app", "sub": "SA-1", "aud": AUDIENCE, "scope": ["data:write"],
                   "exp": int(time.time()) + 200})  # fmt: skip
    assert error(bear(emulator, f"{header}.{forged}.{signature}")) == (400, "invalid_grant")
    assert error(bear(emulator, "not.a.jwt")) == (400, "invalid_grant")


def test_scopes_of_an_assertion_are_an_array(emulator: EmulatorProcess) -> None:
    assert error(bear(emulator, assertion(scope="data:read"))) == (400, "invalid_scope")


def test_the_services_clock_can_differ(emulator: EmulatorProcess) -> None:
    emulator.settings(date_offset_s=-3600)
    try:
        assert error(bear(emulator, assertion())) == (400, "invalid_grant")
        assert bear(emulator, assertion(exp=int(time.time()) - 3400)).status == 200
    finally:
        emulator.settings(date_offset_s=0)

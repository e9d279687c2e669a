"""Whether a sign-in may write: as its token says, else as it was requested."""

from __future__ import annotations

import base64
import json
from dataclasses import replace

import pytest
import trio

from dmfs.auth.factory import sign_in_may_write
from dmfs.auth.tokens import granted_scopes, may_write, with_writing
from dmfs.cli.login import USER_SCOPE, wanted_scopes
from dmfs.config import Settings
from tests.auth.person import Person

ALL = "data:read data:create data:write"


def token(**claims: object) -> str:
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"e30.{body}.c2ln"


@pytest.mark.parametrize(
    ("access_token", "requested", "writes"),
    [
        (token(scope=ALL.split()), "data:read", True), (token(scope=ALL), "data:read", True),
        (token(scope=["data:read"]), ALL, False), (token(scope=["data:write"]), ALL, False),
        (token(), ALL, True), ("opaque", ALL, True), ("", ALL, True), ("", "data:read", False),
        (token(scope=[5]), ALL, True), (token(scope=[]), "data:read", False), ("", "", False),
    ],
)  # fmt: skip
def test_the_token_knows_better_than_the_request(
    access_token: str, requested: str, writes: bool
) -> None:
    assert may_write(access_token, requested) is writes


def test_scopes_for_writing_are_added_to_those_configured() -> None:
    assert with_writing("data:read") == "data:read data:create data:write"
    assert with_writing("data:write account:read") == (
        "data:write account:read data:read data:create"
    )
    assert may_write("", with_writing(""))
    assert wanted_scopes(Settings(), write=True).split() == [*ALL.split(), USER_SCOPE]
    assert not may_write("", wanted_scopes(Settings()))
    assert granted_scopes("", "a b") == {"a", "b"}


def test_a_login_for_writing_is_one_and_says_so(person: Person) -> None:
    settings = Settings(
        state_dir=person.home.state, client_id="emulator-desktop", api_url=person.emulator.api_url
    )
    assert not trio.run(sign_in_may_write, settings)
    person.login()
    assert person.stored()["scopes"] == f"data:read {USER_SCOPE}"
    assert not trio.run(sign_in_may_write, settings)
    person.login("--write")
    assert trio.run(sign_in_may_write, settings)
    assert person.stored()["scopes"] == f"{ALL} {USER_SCOPE}"
    assert granted_scopes(person.stored()["access_token"], "").issuperset(ALL.split())


def test_an_app_has_what_is_configured() -> None:
    app = Settings(sign_in="app", client_id="a", client_secret="b")
    assert not trio.run(sign_in_may_write, app)
    assert trio.run(sign_in_may_write, replace(app, scopes=ALL))

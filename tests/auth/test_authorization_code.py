"""The code flow's pure part: PKCE, the authorization URL, the code in a callback URL."""

from __future__ import annotations

from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from dmfs.auth.authorization_code import code_challenge, code_of, new_attempt
from dmfs.errors import AccessError

CALLBACK = "http://localhost:8080/callback"


def test_the_challenge_of_the_standard() -> None:
    """RFC 7636, appendix B."""
    verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    assert code_challenge(verifier) == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def test_an_authorization_url_carries_the_public_side_alone() -> None:
    attempt = new_attempt("https://api", "id+ /", CALLBACK, "data:read a", prompt_login=True)
    at = urlsplit(attempt.url)
    assert (at.scheme, at.netloc, at.path) == ("https", "api", "/authentication/v2/authorize")
    assert parse_qs(at.query) == {
        "response_type": ["code"], "client_id": ["id+ /"], "redirect_uri": [CALLBACK],
        "scope": ["data:read a"], "state": [attempt.state], "prompt": ["login"],
        "code_challenge": [code_challenge(attempt.verifier)], "code_challenge_method": ["S256"],
    }  # fmt: skip
    assert 43 <= len(attempt.verifier) <= 128, "RFC 7636, 4.1"
    assert attempt.state.isalnum()
    assert attempt.state.isascii()


def test_no_two_attempts_share_a_secret() -> None:
    attempts = [new_attempt("https://api", "id", CALLBACK, "s", prompt_login=False) for _ in "12"]
    assert len({each.state for each in attempts} | {each.verifier for each in attempts}) == 4


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"code": "c"}, "wrong state"), ({"code": "c", "state": "other"}, "wrong state"),
        ({"state": "right"}, "holds no code"), ({"state": "right", "code": ""}, "holds no code"),
        ({"state": "right", "error": "access_denied", "code": "c"}, "access was denied"),
        ({"error": "access_denied"}, "wrong state"),
    ],
)  # fmt: skip
def test_a_callback_without_a_code_of_this_attempt(query: dict[str, str], words: str) -> None:
    attempt = new_attempt("https://api", "id", CALLBACK, "s", prompt_login=False)
    if query.get("state") == "right":
        query = query | {"state": attempt.state}
    with pytest.raises(AccessError, match=words):
        code_of(f"{CALLBACK}?{urlencode(query)}", attempt)


def test_a_code_is_taken_as_it_was_before_it_was_quoted() -> None:
    attempt = new_attempt("https://api", "id", CALLBACK, "s", prompt_login=False)
    query = urlencode({"code": "a/b+c=", "state": attempt.state})
    assert code_of(f"{CALLBACK}?{query}", attempt) == "a/b+c="

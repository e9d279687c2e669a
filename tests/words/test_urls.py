"""One parser of URLs, and three rules: what bytes, tokens and callbacks may go to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmfs.errors import SetupError
from dmfs.urls import LOOPBACK_HOSTS, acceptable_url, check_api_url, check_callback


@pytest.mark.parametrize(
    "url",
    ["", "x", "//host/x", "ftp://host", "https://", "https://host:0/", "https://host:x/",
     "https://[::1", "https://evil[::1]/", "https://a b/", "https://a\r\nb/", "https://a\x7f/"],
)  # fmt: skip
def test_what_is_no_url_is_refused_by_every_rule(url: str) -> None:
    assert not acceptable_url(url)
    for rule in (check_api_url, check_callback):
        with pytest.raises(SetupError):
            rule(url)


@pytest.mark.parametrize("host", sorted(LOOPBACK_HOSTS))
def test_plain_http_reaches_this_machine_alone(host: str) -> None:
    host = f"[{host}]" if ":" in host else host
    assert acceptable_url(f"http://{host}:1/x")
    assert check_api_url(f"http://{host}:1/") == f"http://{host}:1"
    assert not acceptable_url(f"http://{host.strip('[]')}.example.com/x")


@pytest.mark.parametrize("url", ["https://user:pa55@host/", "https://user:pa55@host:x/"])
def test_a_password_in_a_url_is_refused_and_not_quoted(url: str) -> None:
    assert not acceptable_url(url)
    with pytest.raises(SetupError) as caught:
        check_api_url(url)
    assert "pa55" not in caught.value.message


@pytest.mark.parametrize(
    ("callback", "parts"),
    [
        ("http://localhost:8080/callback", ("localhost", 8080, "/callback")),
        ("http://127.0.0.1", ("127.0.0.1", 80, "/")),
        ("http://LOCALHOST:81/", ("localhost", 81, "/")),
        # the listener is on 127.0.0.1; elsewhere a person pastes the address
        ("http://[::1]:8080/", ("::1", 0, "/")),
        ("https://localhost:8080/c", ("localhost", 0, "/c")),
        ("https://app.example.com/c", ("app.example.com", 0, "/c")),
    ],
)
def test_a_callback_and_whether_this_machine_can_answer_it(
    callback: str, parts: tuple[str, int, str]
) -> None:
    assert check_callback(callback) == parts


@given(st.text(max_size=40))
def test_any_text_is_taken_or_refused_by_the_three_rules_alike(text: str) -> None:
    for url in (text, f"https://{text}", f"http://{text}"):
        try:
            check_api_url(url)
        except SetupError:
            continue
        assert acceptable_url(url), "a rule for the API is never looser than that for bytes"

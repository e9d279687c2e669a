"""Everything that can be wrong: one clear line with the remedy each."""

from __future__ import annotations

import http.client
import json
import socket
import time
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest
import trio

from dmfs.auth.tokens import decode
from dmfs.cli.login import PATIENCE_S, Choices, login
from dmfs.config import Settings, load_settings
from dmfs.emulator.process import EmulatorProcess
from dmfs.errors import DeadlineError, GrantRefusedError, SetupError, SignedOutError
from dmfs.http.errormap import from_status
from dmfs.urls import check_callback
from tests.auth.person import Person, free_port, visit
from tests.support.mounts import dmfs_command


def test_denied_consent(person: Person) -> None:
    with person.begin() as login:
        status, page = visit(login.consent(allow=False))
        assert status == 400
        assert "access was denied" in page
        line = login.failed()
    assert "access was denied" in line
    assert "--prompt-login" in line


def test_a_callback_without_a_code(person: Person) -> None:
    with person.begin() as login:
        state = login.url.partition("&state=")[2].partition("&")[0]
        visit(f"{person.callback}?state={state}")
        assert "holds no code" in login.failed()


def test_a_code_that_was_used(person: Person, emulator: EmulatorProcess) -> None:
    """Somebody was faster: the code is spent when we come."""
    with person.begin("--no-browser") as login:
        back = login.consent()
        code = back.partition("code=")[2].partition("&")[0]
        thief = http.client.HTTPConnection(urlsplit(emulator.api_url).netloc)
        form = {"grant_type": "authorization_code", "client_id": "emulator-desktop", "code": code,
                "redirect_uri": person.callback, "code_verifier": "x" * 43}  # fmt: skip
        head = {"Content-Type": "application/x-www-form-urlencoded"}
        thief.request("POST", "/authentication/v2/token", urlencode(form), head)
        answer = thief.getresponse()
        assert answer.status == 400
        assert json.loads(answer.read())["error_description"] == "PKCE verification failed."
        thief.close()
        login.paste(back)
        line = login.failed()
    assert "invalid or has expired" in line
    assert "run dmfs login again" in line


def test_a_code_that_expired(person: Person, emulator: EmulatorProcess) -> None:
    emulator.settings(code_ttl_s=0)
    with person.begin() as login:
        visit(login.consent())
        line = login.failed()
    assert "invalid or has expired" in line
    assert "run dmfs login again" in line


def test_the_callback_port_is_taken(person: Person) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", person.port))
        taken.listen()
        line = person.fails("login", "--callback", person.callback)
    assert f"port {person.port}" in line
    assert "taken" in line
    assert "--no-browser" in line


def test_a_callback_that_is_not_registered(person: Person) -> None:
    other = f"http://localhost:{free_port()}/callback"
    line = person.fails("login", "--callback", other)
    assert other in line
    assert "--callback" in line


@pytest.mark.parametrize("callback", ["nonsense", "ftp://localhost/x", "http://", "http://[x/"])
def test_a_callback_that_is_no_url(callback: str) -> None:
    with pytest.raises(SetupError, match="is not a URL") as caught:
        check_callback(callback)
    assert "--callback" in caught.value.hint


def test_an_unknown_app(person: Person) -> None:
    person.home.environ["DMFS_CLIENT_ID"] = "nobodys-app"
    line = person.fails("login", "--callback", person.callback)
    assert "nobodys-app" in line
    assert "myapps" in line


def test_no_app_at_all(person: Person) -> None:
    del person.home.environ["DMFS_CLIENT_ID"]
    assert "DMFS_CLIENT_ID" in person.fails("login")


def test_a_wrong_secret(person: Person) -> None:
    person.be_confidential()
    person.home.environ["DMFS_CLIENT_SECRET"] = "not-the-secret"
    with person.begin() as login:
        visit(login.consent())
        line = login.failed()
    assert "client_secret" in line
    assert "not-the-secret" not in login.said


def test_an_unknown_scope(person: Person) -> None:
    person.home.config.write_text('scopes = "data:everything"\n')
    with person.begin() as login:
        back = person.emulator.consent(login.url)
        visit(back)
        line = login.failed()
    assert "scope" in line
    assert "check `scopes`" in line


def test_invalid_grant_means_signed_out(person: Person, emulator: EmulatorProcess) -> None:
    person.hand(expired=True)
    emulator.control("POST", "end_sessions")
    line = person.fails("ls", "/")
    assert "no longer honours" in line
    assert "run dmfs login" in line


@pytest.mark.parametrize("shape", ["oauth", "gateway"])
def test_a_refusal_is_known_in_either_shape(shape: str) -> None:
    """The documentation does not tell the body's shape."""
    text = "The refresh token is invalid or expired."
    body = {
        "oauth": {"error": "invalid_grant", "error_description": text},
        "gateway": {"developerMessage": text, "errorCode": "AUTH-004"},
    }[shape]
    error = from_status("refresh", 400, json.dumps(body).encode())
    assert isinstance(error, GrantRefusedError)
    assert error.code == "invalid_grant"


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"version": true}', '{"version": 1}',
    '{"version": 1, "where": "file", "api_url": 7}', "\0\1\2", "[" * 100_000])  # fmt: skip
def test_a_corrupt_file(text: str) -> None:
    with pytest.raises(SignedOutError, match="F is damaged") as caught:
        decode(text, "F")
    assert caught.value.hint == "run dmfs login again"


def test_a_corrupt_file_is_replaced_by_the_next_login(person: Person) -> None:
    person.hand()
    person.file.write_text("{")
    line = person.fails("ls", "/")
    assert f"{person.file} is damaged" in line
    assert "run dmfs login again" in line
    person.login()
    assert person.dmfs("whoami")[0] == 0


def test_a_file_of_a_newer_version(person: Person) -> None:
    person.hand()
    stored = json.loads(person.file.read_text())
    person.file.write_text(json.dumps(stored | {"version": 2}))
    line = person.fails("ls", "/")
    assert "newer dmfs (format 2)" in line
    assert "upgrade" in line


@pytest.mark.parametrize("mode", [0o640, 0o604])
def test_a_file_that_others_may_read(person: Person, mode: int) -> None:
    person.hand()
    person.file.chmod(mode)
    line = person.fails("ls", "/")
    assert "readable by others" in line
    assert "dmfs logout" in line
    assert person.emulator.counts()["hubs"] == 0


def test_a_file_that_is_a_link(person: Person, tmp_path: Path) -> None:
    person.hand()
    other = tmp_path / "elsewhere.json"
    person.file.rename(other)
    person.file.symlink_to(other)
    assert "cannot be read" in person.fails("ls", "/")


def test_a_state_directory_that_cannot_be_written(person: Person, tmp_path: Path) -> None:
    """A file stands where the directory should: as root nothing else stops us."""
    person.home.state.write_text("")
    with person.begin() as login:
        visit(login.consent())
        line = login.failed()
    assert "cannot be kept" in line
    assert "DMFS_STATE_DIR" in line


def test_a_disk_without_room_costs_no_session(person: Person) -> None:
    """The refresh token is not spent before there is room for its successor."""
    sign_in = person.hand(expired=True)
    # a file may grow to 8 KiB: room for a short write, not for the whole
    done = person.home.tool(
        "prlimit", "--fsize=8192", *dmfs_command(), "ls", "/", "--set", "cache_size=0"
    )
    assert done.returncode == 1
    assert b"cannot be kept" in done.stderr
    assert person.status(sign_in.refresh_token)["honoured"]
    assert person.dmfs("ls", "/")[0] == 0


@pytest.mark.parametrize("hour", [-3600, 3600])
def test_a_clock_that_is_wrong_by_an_hour(
    person: Person, emulator: EmulatorProcess, hour: int
) -> None:
    """People's sign-ins go on (the service has the last word); doctor says what is wrong."""
    person.hand()
    emulator.settings(date_offset_s=hour)
    assert person.dmfs("ls", "/")[0] == 0
    status, out, _ = person.dmfs("doctor", "--json")
    clock = next(each for each in json.loads(out) if each["check"] == "clock")
    assert status == 1
    assert clock["level"] == "error"
    assert ("60 min slow" if hour > 0 else "60 min fast") in clock["what"]
    assert "timedatectl" in clock["remedy"]


def test_a_clock_that_was_wrong_when_it_was_stored(
    person: Person, emulator: EmulatorProcess
) -> None:
    """An access token said to live for an hour too long: a 401 puts that right."""
    person.hand(access_expires_s=time.time() + 9999)
    emulator.expire_tokens()
    assert person.dmfs("ls", "/")[0] == 0


def test_tokens_go_to_their_own_service_alone(person: Person, tmp_path: Path) -> None:
    person.hand(api_url="https://developer.api.autodesk.com")
    assert "another service" in person.fails("ls", "/")
    assert person.emulator.counts()["token"] == 0


def test_tokens_of_another_app(person: Person) -> None:
    person.hand(client_id="emulator-web")
    line = person.fails("ls", "/")
    assert "another app (emulator-web)" in line


@pytest.mark.parametrize("name", ["../x", ".hidden", "a/b", "a b", "x" * 65, "-x"])
def test_profile_names_name_files(name: str) -> None:
    with pytest.raises(SetupError, match="profile name"):
        load_settings("", {"DMFS_PROFILE": name}, {})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[profiles.work]\nclientid = 'x'\n", "client_id"),
        ("[profile.work]\n", "expected a text"),
        ("profiles = 3\n", "profiles are tables"),
        ("[profiles.work]\nttl = '5m'\n", "unknown key 'ttl'"),
        ("[profiles.work]\nsign_in = 'magic'\n", "service-account"),
        ("token_store = 'cloud'\n", "keyring"),
    ],
)
def test_profiles_in_the_configuration(text: str, says: str) -> None:
    with pytest.raises(SetupError) as caught:
        load_settings(text, {}, {})
    assert says in caught.value.message + caught.value.hint


def test_an_app_of_a_profile_does_not_get_the_default_app_s_secret() -> None:
    text = 'client_id = "a"\nclient_secret = "s"\n[profiles.work]\nclient_id = "b"\n'
    loaded = load_settings(text, {}, {"profile": "work"})
    assert (loaded.client_id, loaded.client_secret) == ("b", "")
    assert load_settings(text, {}, {}).client_secret == "s"
    assert load_settings(text, {"DMFS_CLIENT_ID": "c"}, {}).client_secret == ""
    assert load_settings(text, {"DMFS_CLIENT_ID": "a"}, {}).client_secret == "s"


def test_a_login_without_an_answer(person: Person) -> None:
    """Five minutes, shortened."""
    assert PATIENCE_S == 300
    settings = Settings(
        api_url=person.emulator.api_url, client_id="emulator-desktop", callback=person.callback,
        state_dir=person.home.state,
    )  # fmt: skip
    person.home.environ["BROWSER"] = "true"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("webbrowser.open", lambda _: True)
        with pytest.raises(DeadlineError, match="nobody signed in"):
            trio.run(login, settings, Choices(patience_s=0.3))
    with socket.socket() as probe:  # and the port is free again
        probe.bind(("127.0.0.1", person.port))

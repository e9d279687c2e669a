"""``dmfs login``, ``whoami``, ``logout``: over real sockets, with the real command."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from dmfs.cli.login import PASTES
from dmfs.emulator.process import EmulatorProcess
from tests.auth.person import Person, visit
from tests.support.mounts import wait_until


def test_a_public_app_signs_in_by_pkce_and_lists_the_personal_hub(person: Person) -> None:
    with person.begin() as login:
        query = {key: value[0] for key, value in parse_qs(urlsplit(login.url).query).items()}
        assert query["code_challenge_method"] == "S256"
        assert len(query["code_challenge"]) == 43
        assert query["state"].isalnum()
        assert len(query["state"]) >= 30
        assert query["redirect_uri"] == person.callback
        assert "prompt" not in query
        status, page = visit(login.consent())
        assert status == 200
        assert "close this page" in page
        assert login.wait() == 0
    assert "Signed in as Ada Emulated" in login.said
    assert person.dmfs("ls", "/Ada's Hub")[:2] == (0, "My First Project\n")
    assert person.file.stat().st_mode & 0o777 == 0o600
    assert person.file.parent.stat().st_mode & 0o777 == 0o700


def test_a_confidential_app_signs_in_with_its_secret(person: Person) -> None:
    person.be_confidential()
    person.login()
    # at boot there is no environment: the sign-in knows its app
    without = {"DMFS_CLIENT_ID": None, "DMFS_CLIENT_SECRET": None}
    person.emulator.expire_tokens()
    assert "Ada's Hub" in person.dmfs("ls", "/", environ=without)[1]
    assert person.stored()["client_id"] == "emulator-web"


def test_prompt_login_switches_accounts(person: Person) -> None:
    person.login("--prompt-login")
    with person.begin("--prompt-login") as login:
        assert parse_qs(urlsplit(login.url).query)["prompt"] == ["login"]
        visit(login.consent(user="BOBEMU000002"))
        assert login.wait() == 0
    assert "Bob Emulated" in person.dmfs("whoami")[1]


@pytest.mark.parametrize(
    ("pasted", "says"),
    [
        ("http://www.example.com/not/it", "not the callback URL"),
        ("{callback}?code=of-another&state=wrong", "wrong state"),  # an older tab is still open
    ],
)
def test_without_a_browser_the_address_is_pasted(person: Person, pasted: str, says: str) -> None:
    with person.begin("--no-browser") as login:
        login.paste(pasted.format(callback=person.callback))
        wait_until(lambda: says in login.said, 10)
        login.paste(login.consent())
        assert login.wait() == 0
    assert person.dmfs("whoami")[0] == 0


def test_wrong_addresses_end_the_login_in_the_end(person: Person) -> None:
    with person.begin("--no-browser") as login:
        for _ in range(PASTES):
            login.paste(f"{person.callback}?code=of-another&state=wrong")
        assert "wrong state" in login.failed()
    assert login.said.count("use the page above") == PASTES - 1


def test_a_callback_elsewhere_is_pasted_as_well(person: Person) -> None:
    """What only another machine can answer is never listened for."""
    elsewhere = "https://app.example.com/signed-in"
    person.emulator.control(
        "POST", "app", {"client_id": "emulator-desktop", "callbacks": [elsewhere]}
    )
    with person.begin("--callback", elsewhere) as login:
        back = person.emulator.consent(login.url)
        assert back.startswith(elsewhere)
        login.paste(back)
        assert login.wait() == 0


def test_nothing_pasted(person: Person) -> None:
    with person.begin("--no-browser") as login:
        assert login.process.stdin is not None
        login.process.stdin.close()
        assert "nothing was pasted" in login.failed()


def test_the_listener_is_on_loopback_alone_and_turns_strangers_away(person: Person) -> None:
    with person.begin() as login:
        listening = [
            line.split()[1]
            for table in ("tcp", "tcp6")
            for line in Path(f"/proc/{login.process.pid}/net/{table}").read_text().splitlines()[1:]
            if line.split()[1].endswith(f":{person.port:04X}") and line.split()[3] == "0A"
        ]
        assert listening == [f"0100007F:{person.port:04X}"]
        idle = socket.create_connection(("127.0.0.1", person.port))  # says nothing, as browsers do
        origin = f"http://localhost:{person.port}"
        assert visit(f"{origin}/favicon.ico")[0] == 404
        assert visit(f"{origin}/callback")[0] == 404
        with socket.create_connection(("127.0.0.1", person.port)) as rude:
            rude.sendall(b"nonsense\r\n\r\n")
        assert visit(login.consent())[0] == 200
        idle.close()
        assert login.wait() == 0


def test_login_profiles_stand_side_by_side(person: Person) -> None:
    person.login()
    person.login("--profile", "bob", "--prompt-login", user="BOBEMU000002")
    assert "Ada Emulated" in person.dmfs("whoami")[1]
    assert "Bob Emulated" in person.dmfs("whoami", "--profile", "bob")[1]
    assert "Bob Emulated" in person.dmfs("whoami", environ={"DMFS_PROFILE": "bob"})[1]
    assert person.dmfs("logout", "--profile", "bob")[0] == 0
    assert "Ada Emulated" in person.dmfs("whoami")[1]
    assert "run dmfs login --profile bob" in person.fails("ls", "/", "--profile", "bob")


def test_whoami_for_programs(person: Person) -> None:
    person.login()
    status, out, _ = person.dmfs("whoami", "--json")
    shown = json.loads(out)
    assert status == 0
    assert shown["user"] == {
        "id": "ADAEMU000001", "name": "Ada Emulated", "email": "ada@emulator.invalid"
    }  # fmt: skip
    assert shown["app"] == "emulator-desktop"
    assert shown["scopes"] == ["data:read", "user-profile:read"]
    assert shown["access_token"]["expires"] < shown["refresh_token"]["expires"]
    assert "Ada's Hub" in shown["hubs"]
    assert shown["warnings"] == []  # regions without a hub of hers refuse: that is normal
    assert "warning" not in person.dmfs("whoami")[1]
    stored = person.stored()
    assert stored["refresh_token"] not in out
    assert stored["access_token"] not in out


def test_whoami_without_a_sign_in(person: Person) -> None:
    status, out, _ = person.dmfs("whoami", "--json")
    shown = json.loads(out)
    assert (status, shown["signed_in"], shown["user"]) == (1, False, None)
    assert "run dmfs login" in shown["warnings"][0]


def test_logout_revokes_and_forgets(person: Person) -> None:
    person.login()
    token = person.stored()["refresh_token"]
    assert person.status(token)["honoured"]
    assert person.dmfs("logout")[0] == 0
    assert not person.status(token)["session_alive"]
    assert not person.file.exists()
    assert "nobody is signed in" in person.fails("ls", "/")
    assert person.dmfs("logout")[0] == 0


def test_logout_forgets_even_when_the_service_is_down(person: Person) -> None:
    person.hand()
    line = person.fails("logout", environ={"DMFS_API_URL": "http://127.0.0.1:9"})
    assert "not revoked" in line
    assert not person.file.exists()


@pytest.mark.parametrize("with_session", [False, True])
def test_an_app_with_a_secret_and_no_sign_in_is_two_legged(
    person: Person, emulator: EmulatorProcess, with_session: bool
) -> None:
    """As ever; another app's sign-in in the profile does not change that."""
    if with_session:
        person.hand()
    app = {"DMFS_CLIENT_ID": "emulator-strict", "DMFS_CLIENT_SECRET": "strict-secret"}
    out = person.dmfs("ls", "/", environ=app)[1]
    assert "Emulated Europe" in out
    assert "Ada's Hub" not in out

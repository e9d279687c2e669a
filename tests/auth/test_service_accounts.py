"""Servers: service accounts (JWT bearer) and two-legged with x-user-id."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from dmfs.emulator.process import EmulatorProcess
from tests.auth.person import SECRETS, Person
from tests.support.mounts import toml

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PEM = KEY.private_bytes(
    Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()
).decode()  # fmt: skip


@pytest.fixture
def server(person: Person, emulator: EmulatorProcess) -> Person:
    """A profile with a key file, as the service gave it."""
    SECRETS.add(PEM.splitlines()[3])
    numbers = KEY.public_key().public_numbers()
    emulator.control("POST", "service_account", {
        "client_id": "emulator-app", "account_id": "SA-EMU-1", "key_id": "key-1",
        "n": f"{numbers.n:x}", "e": f"{numbers.e:x}",
    })  # fmt: skip
    key_file = person.home.directory / "key.json"
    key_file.write_text(json.dumps({"kid": "key-1", "privateKey": PEM}))
    key_file.chmod(0o600)
    person.home.environ |= {
        "DMFS_CLIENT_ID": "emulator-app", "DMFS_CLIENT_SECRET": "emulator-secret",
        "DMFS_PROFILE": "server",
    }  # fmt: skip
    profile(person, key_file=str(key_file), account_id="SA-EMU-1")
    return person


def profile(person: Person, **keys: str) -> None:
    person.home.config.write_text("[profiles.server]\n" + toml(keys))


def test_a_service_account_signs_in(server: Person) -> None:
    out = server.dmfs("ls", "/")[1]
    assert "Emulated Europe" in out
    assert "Ada's Hub" not in out  # not for Fusion hubs
    shown = json.loads(server.dmfs("whoami", "--json")[1])
    assert shown["sign_in"] == "service-account"
    assert shown["user"]["id"] == "SA-EMU-1"
    assert shown["refresh_token"] is None


def test_a_key_in_pem(server: Person) -> None:
    pem = server.home.directory / "key.pem"
    pem.write_text(PEM)
    pem.chmod(0o600)
    profile(server, key_file=str(pem), key_id="key-1", account_id="SA-EMU-1")
    assert server.dmfs("ls", "/")[0] == 0
    profile(server, key_file=str(pem), account_id="SA-EMU-1")
    assert "key_id" in server.fails("ls", "/")


def test_a_key_that_others_may_read(server: Person) -> None:
    (server.home.directory / "key.json").chmod(0o644)
    line = server.fails("ls", "/")
    assert "readable by others" in line
    assert "chmod 600" in line


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("nonsense", "no private key in PEM"),
        ("{}", "not the JSON"),
        ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", "not a usable RSA"),
    ],
)
def test_a_key_that_is_none(server: Person, text: str, says: str) -> None:
    (server.home.directory / "key.json").write_text(text)
    if not text.startswith("{"):
        profile(server, key_file=str(server.home.directory / "key.json"), key_id="key-1",
                account_id="SA-EMU-1")  # fmt: skip
    assert says in server.fails("ls", "/")


def test_a_key_that_is_not_there(server: Person) -> None:
    profile(server, key_file="/nowhere/key.pem", account_id="SA-EMU-1")
    assert "/nowhere/key.pem cannot be read" in server.fails("ls", "/")


def test_another_account(server: Person) -> None:
    profile(server, key_file=str(server.home.directory / "key.json"), account_id="SA-EMU-2")
    line = server.fails("ls", "/")
    assert "iss or sub" in line
    assert "account_id" in line


def test_another_key(server: Person, emulator: EmulatorProcess) -> None:
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
    emulator.control("POST", "service_account", {
        "client_id": "emulator-app", "account_id": "SA-EMU-1", "key_id": "key-1",
        "n": f"{other.public_numbers().n:x}", "e": "10001",
    })  # fmt: skip
    assert "signature is wrong" in server.fails("ls", "/")


@pytest.mark.parametrize("hour", [3600, -3600])
def test_a_clock_that_is_wrong_by_an_hour(
    server: Person, emulator: EmulatorProcess, hour: int
) -> None:
    emulator.settings(date_offset_s=hour)
    line = server.fails("ls", "/")
    assert "this machine's clock" in line
    assert "dmfs doctor" in line


def test_login_makes_no_sense_here(server: Person) -> None:
    server.home.config.write_text('[profiles.server]\nsign_in = "app"\n')
    assert "signs in by itself" in server.fails("login")


def test_x_user_id_goes_with_project_and_data_calls(
    person: Person, emulator: EmulatorProcess, tmp_path: Path
) -> None:
    person.home.environ |= {
        "DMFS_CLIENT_ID": "emulator-app", "DMFS_CLIENT_SECRET": "emulator-secret"
    }  # fmt: skip
    person.home.config.write_text('x_user_id = "ADAEMU000001"\n')
    path = "/Emulated Builders ／ Headquarters/Sample Project/Project Files/README.txt"
    assert person.dmfs("cat", path)[0] == 0
    log = emulator.calls()["log"]
    routes = {entry["route"]: entry["user_id"] for entry in log if entry["origin"] == "api"}
    assert routes.pop("token") is None
    assert routes.pop("sign") is None  # storage does not know it
    assert set(routes.values()) == {"ADAEMU000001"}
    assert {"hubs", "projects", "topFolders", "contents"} <= set(routes)


def test_x_user_id_with_a_person_s_sign_in(person: Person) -> None:
    person.home.config.write_text('x_user_id = "ADAEMU000001"\nsign_in = "user"\n')
    assert 'sign_in = "app"' in person.fails("ls", "/")

"""No secret in logs, caches, state, cores, command lines, errors, tracebacks."""

from __future__ import annotations

import resource
import threading
from pathlib import Path

import pytest

from dmfs.auth.authorization_code import new_attempt
from dmfs.auth.jwt_assertion import ServiceKey
from dmfs.auth.token_endpoint import App
from dmfs.auth.tokens import Grant, SignIn
from dmfs.cli import main as cli
from dmfs.config import Settings
from dmfs.emulator.process import EmulatorProcess
from dmfs.http.json_client import Call
from tests.auth.person import Person, found_in, secrets_of
from tests.support.mounts import Drive


class PollSchedule:
    """Reads every command line of this machine until it is stopped."""

    def __init__(self) -> None:
        self.seen: set[bytes] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> PollSchedule:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(10)

    def _run(self) -> None:
        while not self._stop.wait(0.02):
            for process in Path("/proc").iterdir():
                if process.name.isdigit():
                    try:
                        self.seen.add((process / "cmdline").read_bytes())
                    except OSError:
                        continue


@pytest.mark.mount
def test_a_whole_life_leaves_no_secret(
    person: Person, emulator: EmulatorProcess, tmp_path: Path
) -> None:
    """Sign in, mount with debug logs, refresh, fail, sign out; then look for every secret."""
    person.be_confidential()
    person.home.config.write_text("metadata_timeout = 2\n")
    log = tmp_path / "login.log"
    with PollSchedule() as watch:
        said = person.login("--log-level", "debug", "--log-file", str(log))
        said += "".join(map(str, person.dmfs("whoami", "--json", "--log-level", "debug")))
        with Drive(tmp_path, emulator, home=person.home) as drive:
            assert list(Path(drive.path("Ada's Hub", "My First Project")).iterdir())
            emulator.expire_tokens()
            assert list(Path(drive.path("Emulated Europe")).iterdir())  # refreshed
            emulator.fault("status", route="token", status=500, shape="gateway", times=None)
            emulator.expire_tokens()
            with pytest.raises(OSError):
                list(Path(drive.path("Twin Hub")).iterdir())
            emulator.clear_faults()
            emulator.control("POST", "end_sessions")
            said += "".join(map(str, person.dmfs("doctor", "--log-level", "debug")))
            said += "".join(map(str, person.dmfs("ls", "/", "--log-level", "debug")))
        said += "".join(map(str, person.dmfs("logout", "--log-level", "debug")))
    secrets = secrets_of(emulator)
    assert len(secrets) > 8
    assert "sign-in was refreshed" in drive.log()
    assert found_in(tmp_path, secrets) == []
    assert [secret for secret in secrets if secret in said] == []
    lines = b"\0".join(watch.seen)
    assert b"dmfs" in lines
    assert [secret for secret in secrets if secret.encode() in lines] == []


def test_the_search_would_find_one(tmp_path: Path, person: Person) -> None:
    sign_in = person.hand()
    assert found_in(tmp_path, {sign_in.refresh_token}) == []  # where it belongs
    (tmp_path / "core.123").write_bytes(b"\0\1" + sign_in.refresh_token.encode() + b"\0")
    assert len(found_in(tmp_path, {sign_in.refresh_token})) == 1
    (tmp_path / "core.123").unlink()  # the whole run is searched as well


@pytest.mark.parametrize(
    "thing",
    [
        SignIn(api_url="u", client_id="i", client_secret="S3CR3T", access_token="S3CR3T",
               refresh_token="S3CR3T"),
        Grant(access_token="S3CR3T", lifetime_s=1, refresh_token="S3CR3T"),
        Settings(client_secret="S3CR3T"),
        App("id", "S3CR3T"),
        ServiceKey("kid", "S3CR3T"),
        Call("w", "r", "POST", "/", form={"refresh_token": "S3CR3T"}, headers={"a": "S3CR3T"}),
    ],
)  # fmt: skip
def test_reprs_hold_no_secret(thing: object) -> None:
    assert "S3CR3T" not in repr(thing)


def test_an_attempt_shows_neither_state_nor_verifier() -> None:
    attempt = new_attempt("http://x", "id", "http://localhost/c", "s", prompt_login=False)
    assert attempt.verifier not in repr(attempt)
    assert attempt.verifier not in attempt.url


@pytest.mark.parametrize("words", [["help"], ["_complete", "zsh", "hel"]])
def test_no_core_files(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[tuple[int, tuple[int, int]]] = []
    monkeypatch.setattr(resource, "setrlimit", lambda *given: limits.append(given))
    assert cli.main(words) == 0
    assert [(what, soft) for what, (soft, _) in limits] == [(resource.RLIMIT_CORE, 0)]

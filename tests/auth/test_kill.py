"""kill -9 before every step of a refresh: no session is lost that the service still honours.

The one window that nothing closes lies between the service's taking the old token and our write of
the new one. The test finds out how wide it is: which lines of ours lie in it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.auth.person import Killer, Person
from tests.auth.test_keyring import use

WINDOW = {
    # the answer is here, not yet on its way to the disk
    "_decode", "is_token", "request_grant", "renewed", "useful_life_s", "_spend", "encode",
    "commit", "_write_all", "__init__",
    # to the keyring: in its hands only when it says so
    "set", "_run", "_guarded", "<lambda>",
}  # fmt: skip


STEPS = {
    "file": "user_session.py,token_store.py,token_file.py,token_endpoint.py",
    "keyring": "token_store.py,desktop_keyring.py",  # what is different there
}
"""tokens.py is pure: to die in it is to die in the step that called it."""
EVERY = int(os.environ.get("DMFS_SIGN_IN_KILLS_EVERY", "2"))
"""The nightly run takes every step."""


@pytest.fixture(params=STEPS)
def where(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def killer(where: str, person: Person) -> Iterator[Killer]:
    if where == "keyring":
        use(person, "Good")  # before the killer starts
    made = Killer(person, STEPS[where])
    yield made
    made.close()


def sign_in(person: Person, where: str) -> str:
    made = person.hand(expired=True)
    if where == "keyring":
        ring = Path(person.home.environ["FAKERING"])
        text = person.file.read_text().replace('"where": "file"', '"where": "keyring"')
        ring.write_text(json.dumps({f"dmfs/default {person.home.state}": text}))
        stub = json.loads(text)
        for name in ("access_token", "refresh_token", "client_secret"):
            stub.pop(name, None)
        person.file.write_text(json.dumps(stub))
    return made.refresh_token


@pytest.mark.slow
@pytest.mark.timeout(400)  # some hundred processes
def test_kill_before_every_step(where: str, person: Person, killer: Killer) -> None:
    lost: list[str] = []
    tried = survived = 0
    step = 1 - EVERY
    while True:
        step += EVERY
        token = sign_in(person, where)
        ended = killer.run(step)
        if ended["status"] == 0:
            break  # there is no such step any more
        tried += 1
        assert ended["status"] == -9, ended
        honoured = person.status(token)["honoured"]
        again = killer.run(0)
        if again["status"] == 0:
            survived += 1
            continue
        # Lost: then the old token was spent, and the new one was not yet ours.
        assert not honoured, f"a session that is honoured was lost at {ended['said']}"
        assert "no longer honours" in again["said"]
        lost.append(ended["said"])
    print(f"\n{where}: {tried} of {step} steps, {survived} survived, {len(lost)} in the window")
    assert step > 40
    outside = [each for each in lost if each.split(":")[1] not in WINDOW]
    assert not outside, outside
    assert lost, "the window must be there, or the sweep does not reach the service"
    files = [each.split(":")[0] for each in lost]
    assert files.count("token_file.py") <= 6  # nothing after the bytes are in the kernel

"""Once in a real browser: from ``dmfs login`` over the consent page to ``ls`` of a personal hub."""

from __future__ import annotations

import http.client
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.auth.person import Person, free_port
from tests.support.mounts import wait_until

pytestmark = pytest.mark.tool("chromium", "chromedriver")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--disable-default-apps",
)  # fmt: skip


class Browser:
    """As much of WebDriver as it takes to press a button."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        directory.mkdir()
        environ = {"PATH": "/usr/bin:/bin", "HOME": str(directory), "LANG": "C.UTF-8"}
        self._log = (directory / "chromedriver.log").open("wb")
        self._driver = subprocess.Popen(
            ["chromedriver", f"--port={self.port}"], env=environ, stdin=subprocess.DEVNULL,
            stdout=self._log, stderr=self._log,
        )  # fmt: skip
        wait_until(self._is_ready, 20, "chromedriver")
        options = {
            "binary": shutil.which("chromium"),
            "args": [*FLAGS, f"--user-data-dir={directory / 'profile'}"],
        }
        capabilities = {"alwaysMatch": {"browserName": "chrome", "goog:chromeOptions": options}}
        self._session = ""
        self._session = self.ask("POST", "", {"capabilities": capabilities})["sessionId"]

    def _is_ready(self) -> bool:
        try:
            return bool(self._raw("GET", "/status", None)["ready"])
        except OSError:
            return False

    def _raw(self, method: str, path: str, body: object) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            text = None if body is None else json.dumps(body)
            connection.request(method, path, text, {"Content-Type": "application/json"})
            value = json.loads(connection.getresponse().read())["value"]
        finally:
            connection.close()
        assert not (isinstance(value, dict) and "error" in value), value
        return value

    def ask(self, method: str, path: str, body: object = None) -> Any:
        where = f"/session/{self._session}" if self._session else "/session"
        return self._raw(method, where + path, body)

    def click(self, css: str) -> None:
        found = self.ask("POST", "/element", {"using": "css selector", "value": css})
        (element,) = found.values()
        self.ask("POST", f"/element/{element}/click", {})

    def close(self) -> None:
        try:
            if self._session:
                self._raw("DELETE", f"/session/{self._session}", None)
        finally:
            self._driver.terminate()
            self._driver.wait(10)
            self._log.close()


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    made = Browser(tmp_path / "browser")
    yield made
    made.close()


def test_a_person_signs_in_with_chromium(person: Person, browser: Browser) -> None:
    person.emulator.control("POST", "end_sessions")
    with person.begin("--prompt-login") as login:
        browser.ask("POST", "/url", {"url": login.url})
        assert browser.ask("GET", "/title") == "Autodesk emulator: sign in"
        browser.click('input[value="ADAEMU000001"]')
        browser.click("#allow")
        wait_until(lambda: browser.ask("GET", "/title") == "dmfs: Thank you", 20, "the last page")
        assert browser.ask("GET", "/url").startswith(person.callback)
        assert login.wait() == 0
    assert "Signed in as Ada Emulated" in login.said
    assert person.dmfs("ls", "/Ada's Hub/My First Project")[0] == 0
    assert "My First Project" in person.dmfs("ls", "/Ada's Hub")[1]

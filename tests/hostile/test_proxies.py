"""Behind a proxy and an authority of one's own: both planes of HTTP take the same ones, as the
environment names them, and no password of a proxy is ever told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from dmfs.emulator.process import EmulatorProcess
from tests.support.mounts import Home, start_emulator, stop_emulator
from tests.support.proxy import Proxy, running_proxy

PATH = "/Bench/Bench Project/Project Files/small/small-00000.txt"
WORLD = "small:files=1,min=20000,max=20000"
PASSWORD = "pr0xy-s3cret"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority that no system knows, and a certificate by it."""
    trustme = pytest.importorskip("trustme")
    place: Path = tmp_path_factory.mktemp("authority")
    ca = trustme.CA()
    cert = ca.issue_cert("127.0.0.1")
    ca.cert_pem.write_to_path(str(place / "ca.pem"))
    cert.private_key_pem.write_to_path(str(place / "key.pem"))
    (place / "cert.pem").write_bytes(b"".join(blob.bytes() for blob in cert.cert_chain_pems))
    return place


@pytest.fixture(scope="module", params=["https", "http"])
def emulator(request: pytest.FixtureRequest, authority: Path) -> Iterator[EmulatorProcess]:
    names = {"tls_cert": str(authority / "cert.pem"), "tls_key": str(authority / "key.pem")}
    started = start_emulator(world=WORLD, **(names if request.param == "https" else {}))
    yield started
    stop_emulator(started)


@pytest.fixture
def home(emulator: EmulatorProcess, authority: Path, tmp_path: Path) -> Home:
    made = Home(tmp_path / "user", emulator, {})
    made.environ["SSL_CERT_FILE"] = str(authority / "ca.pem")
    return made


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with running_proxy(user="someone", password=PASSWORD) as running:
        yield running


def named(proxy: Proxy, password: str = PASSWORD) -> dict[str, str]:
    # of plain http (this machine alone) libcurl takes the small name only, httpx both
    url = f"http://someone:{password}@{proxy.address}"
    return {"HTTPS_PROXY": url, "http_proxy": url}


def cat(home: Home, **environ: str) -> tuple[int, bytes, str]:
    done = home.run("cat", "--log-level", "debug", PATH, environ=environ)
    told = done.stderr.decode()
    assert "Traceback" not in told, told
    return done.returncode, done.stdout, told


def truth(emulator: EmulatorProcess) -> bytes:
    project: Any = emulator.world()["hubs"][0]["projects"][0]
    folders = project["folders"]
    while folders:
        folder = folders.pop()
        folders += folder["folders"]
        for item in folder["items"]:
            return emulator.bytes(item["versions"][-1]["storage"])
    raise AssertionError("no file")


def origins(emulator: EmulatorProcess) -> set[int]:
    """The ports of both planes."""
    ports = {urlsplit(url).port for url in (emulator.api_url, emulator.cdn_url)}
    assert len(ports) == 2
    return {port for port in ports if port}


def test_both_planes_go_through_the_proxy(
    emulator: EmulatorProcess, home: Home, proxy: Proxy
) -> None:
    status, data, told = cat(home, **named(proxy))
    assert (status, data) == (0, truth(emulator)), told
    assert proxy.ports() == origins(emulator)
    tunnels = {line.startswith("CONNECT ") for line in proxy.requests}
    assert tunnels == {emulator.api_url.startswith("https")}, "TLS is not the proxy's to see"
    for text in (told, *(path.read_text("utf-8") for path in home.state.rglob("*.log"))):
        assert PASSWORD not in text


def test_no_proxy_is_heeded_by_both_planes(
    emulator: EmulatorProcess, home: Home, proxy: Proxy
) -> None:
    status, data, told = cat(home, **named(proxy), NO_PROXY="elsewhere.example,127.0.0.1")
    assert (status, data) == (0, truth(emulator)), told
    assert proxy.requests == []


@pytest.mark.parametrize("plane", ["api", "cdn"])
def test_a_proxy_that_refuses_is_an_error_without_its_password(
    emulator: EmulatorProcess, home: Home, proxy: Proxy, plane: str
) -> None:
    url = emulator.api_url if plane == "api" else emulator.cdn_url
    proxy.refused = {urlsplit(url).port or 0}
    status, data, told = cat(home, **named(proxy))
    assert (status, data) == (1, b"")
    assert "407" in told
    assert PASSWORD not in told
    assert "someone" not in told


@pytest.mark.parametrize(
    "url",
    ["socks5://someone:{}@127.0.0.1:9", "gopher://someone:{}@127.0.0.1:9", "http://a:{}@[::1"],
)
def test_what_cannot_be_a_proxy_is_said_in_words(home: Home, url: str) -> None:
    # A traceback of httpx, which quotes the address
    status, _, told = cat(home, ALL_PROXY=url.format(PASSWORD))
    assert status == 1
    assert "proxy" in told
    assert PASSWORD not in told


def test_both_planes_believe_the_authority_that_the_environment_names(
    emulator: EmulatorProcess, home: Home, tmp_path: Path
) -> None:
    """``SSL_CERT_FILE`` is what makes the difference: without it nobody knows this authority."""
    if emulator.api_url.startswith("http:"):
        pytest.skip("no TLS here")
    status, data, told = cat(home)
    assert (status, data) == (0, truth(emulator)), told
    del home.environ["SSL_CERT_FILE"]
    status, data, told = cat(home, DMFS_CACHE_DIR=str(tmp_path / "nothing is known here"))
    assert (status, data) == (1, b"")
    assert "certificate" in told.lower()

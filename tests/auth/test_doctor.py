"""``dmfs doctor``: each finding says what, why and what to do."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dmfs.blocks.store.block_store import DIRECTORY
from dmfs.cli.doctor.machine import check_here
from dmfs.cli.doctor.service import clock_finding
from dmfs.config import Settings
from dmfs.emulator.process import EmulatorProcess
from dmfs.errors import SetupError
from dmfs.fuse.mountpoint import check_machine, parse_options
from tests.auth.person import Person


def findings(person: Person, **more: Any) -> tuple[int, list[dict[str, str]]]:
    status, out, _ = person.dmfs("doctor", "--json", **more)
    found = json.loads(out)
    for each in found:
        assert set(each) == {"check", "level", "what", "why", "remedy"}
        assert each["what"]
        if each["level"] == "error":
            assert each["why"], each
            assert each["remedy"], each
    return status, found


def of(found: list[dict[str, str]], check: str) -> list[dict[str, str]]:
    return [each for each in found if each["check"] == check]


def test_all_is_well(person: Person) -> None:
    person.hand()
    status, found = findings(person)
    service = [each for each in found if each["check"] in ("network", "clock", "sign-in", "hubs")]
    assert all(each["level"] == "ok" for each in service), service
    assert {each["check"] for each in found} >= {
        "fuse", "permissions", "kernel", "cache", "network", "clock", "sign-in", "hubs"
    }  # fmt: skip
    errors = [each for each in found if each["level"] == "error"]
    assert status == bool(errors)


def test_no_one_is_signed_in(person: Person) -> None:
    status, found = findings(person)
    assert status == 1
    (finding,) = of(found, "sign-in")
    assert finding["what"].startswith("signed out: run dmfs login")


def test_an_app_that_is_not_admitted(person: Person) -> None:
    app = {"DMFS_CLIENT_ID": "emulator-unadmitted", "DMFS_CLIENT_SECRET": "unadmitted-secret"}
    status, found = findings(person, environ=app)
    assert status == 1
    (finding,) = of(found, "hubs")
    assert "sees no hub" in finding["what"]
    for words in ("Custom Integrations", "Document Management", "emulator-unadmitted", "admin"):
        assert words in finding["remedy"]


def test_a_list_of_hubs_that_is_not_whole(person: Person) -> None:
    """The others are checked and named all the same."""
    person.hand()
    whole = json.loads(person.dmfs("whoami", "--json")[1])
    person.emulator.fault("rotten_row", route="hubs", at=0, how="no_id", times=None)
    _, found = findings(person)
    warning, *hubs = of(found, "hubs")
    assert warning["level"] == "warning"
    assert "unusable entries" in warning["what"]
    assert len(hubs) >= len(whole["hubs"]) - 1
    report = json.loads(person.dmfs("whoami", "--json")[1])
    assert report["hubs"] == whole["hubs"][1:]
    assert any("unusable entries" in line for line in report["warnings"])


def test_one_account_that_does_not_let_the_app_in(
    person: Person, emulator: EmulatorProcess
) -> None:
    person.hand()
    hub = next(h for h in emulator.world()["hubs"] if h["name"] == "Emulated Europe")
    emulator.fault("status", route="projects", contains=hub["id"].partition(".")[2],
                   status=403, shape="jsonapi", times=None)  # fmt: skip
    status, found = findings(person)
    bad = [each for each in of(found, "hubs") if each["level"] == "error"]
    assert status == 1
    assert len(bad) == 1
    assert "Emulated Europe" in bad[0]["remedy"]
    assert "client id emulator-desktop" in bad[0]["remedy"]


def test_an_app_alone_learns_what_it_cannot_see(person: Person) -> None:
    app = {"DMFS_CLIENT_ID": "emulator-strict", "DMFS_CLIENT_SECRET": "strict-secret"}
    _, found = findings(person, environ=app)
    assert any(each["remedy"].endswith("dmfs login") for each in of(found, "hubs"))


def test_no_network(person: Person) -> None:
    person.hand()
    status, found = findings(person, environ={"DMFS_API_URL": "http://127.0.0.1:9"})
    assert status == 1
    assert of(found, "network")[0]["level"] == "error"
    assert not of(found, "sign-in")  # nothing to say about that without


def test_permissions_and_a_damaged_cache(person: Person) -> None:
    person.hand()
    person.home.cache.mkdir()
    (person.home.cache / DIRECTORY).mkdir()
    (person.home.cache / DIRECTORY / "index.db").write_bytes(b"this is not a database" * 100)
    person.home.cache.chmod(0o755)
    _, found = findings(person)
    assert any("open to others" in each["what"] for each in of(found, "permissions"))
    assert of(found, "cache")[0]["level"] == "error"
    assert "remove" in of(found, "cache")[0]["remedy"]


def test_for_people(person: Person) -> None:
    _, out, _ = person.dmfs("doctor")
    assert "✗ sign-in: signed out: run dmfs login" in out
    assert "why it matters:" in out
    assert "what to do: run dmfs login" in out


@pytest.mark.parametrize(
    ("now_s", "level", "says"),
    [
        (1_000_000_000, "ok", "right"),
        (1_000_000_020, "ok", "right"),
        (1_000_000_060, "warning", "60 s fast"),
        (999_996_400, "error", "60 min slow"),
    ],
)
def test_the_clock(now_s: float, level: str, says: str) -> None:
    found = clock_finding("Sun, 09 Sep 2001 01:46:40 GMT", now_s)
    assert (found.level, says in found.what) == (level, True)


def test_no_clock_to_compare_with() -> None:
    assert clock_finding("", 0).level == "note"
    assert clock_finding("yesterday", 0).level == "note"


def test_no_fuse_and_a_full_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setattr("dmfs.fuse.mountpoint.FUSE_DEVICE", str(tmp_path / "nothing"))
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("U", (), {"free": 1, "total": 100}))
    found = check_here(Settings(cache_dir=tmp_path, state_dir=tmp_path / "state"), tmp_path / "no")
    by_check = {each.check: each for each in found}
    assert by_check["fuse"].level == "error"
    assert "/dev/fuse" in by_check["fuse"].remedy
    assert by_check["cache"].level == "warning"
    assert "DMFS_CACHE_DIR" in by_check["cache"].remedy


def test_a_device_that_is_not_ours_to_open(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setattr(
        "dmfs.fuse.mountpoint.FUSE_DEVICE", str(tmp_path)
    )  # as for an ordinary user
    with pytest.raises(SetupError, match="cannot be opened") as raised:
        check_machine(parse_options(""))
    assert "ask root" in raised.value.hint
    found = check_here(Settings(cache_dir=tmp_path, state_dir=tmp_path / "state"), tmp_path / "no")
    assert [each.level for each in found if each.check == "fuse"] == ["error"]


def test_directories_whose_names_are_too_long(tmp_path: Any) -> None:
    long = tmp_path / ("x" * 300)
    found = check_here(Settings(cache_dir=long, state_dir=long), tmp_path / "no")
    told = [each for each in found if each.level == "error" and "too long" in each.what]
    assert {each.check for each in told} == {"permissions", "cache"}

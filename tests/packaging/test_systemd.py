"""The systemd unit: accepted by systemd itself, and free of what would break mounting."""

import configparser
import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
UNIT = ROOT / "systemd" / "dmfs@.service"

# In a user's manager each of these implies NoNewPrivileges= or a mount namespace of the service's
# own; either one makes the drive impossible to mount or to see.
BREAKS_MOUNTING = (
    "NoNewPrivileges",
    "SystemCall",
    "Restrict",
    "MemoryDenyWriteExecute",
    "LockPersonality",
    "Private",
    "Protect",
    "ReadOnlyPaths",
    "ReadWritePaths",
    "InaccessiblePaths",
    "TemporaryFileSystem",
    "BindPaths",
    "RootDirectory",
    "DynamicUser",
    "User",
    "CapabilityBoundingSet",
)
BREAKS_NOTHING = ("RestartPreventExitStatus", "RestartSec")


def sections(text: str) -> configparser.ConfigParser:
    parsed = configparser.ConfigParser(strict=False, interpolation=None, delimiters=("=",))
    parsed.optionxform = str  # type: ignore[assignment,method-assign]
    parsed.read_string(text)
    return parsed


@pytest.fixture
def service() -> configparser.SectionProxy:
    return sections(UNIT.read_text())["Service"]


def verify(unit: Path) -> str:
    """What systemd has to say against a unit (it exits 0 even for keys that it does not know)."""
    result = subprocess.run(
        ["systemd-analyze", "--user", "verify", "--man=no", str(unit)],
        env=os.environ | {"XDG_RUNTIME_DIR": str(unit.parent), "SYSTEMD_LOG_LEVEL": "warning"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return result.stdout + result.stderr + ("" if result.returncode == 0 else "failed")


@pytest.mark.tool("systemd-analyze")
class TestVerify:
    @pytest.mark.parametrize("instance", ["Autodesk", r"Work-My\x20Projects"])
    def test_systemd_accepts_it(self, tmp_path: Path, instance: str) -> None:
        shutil.copy(UNIT, tmp_path)
        assert verify(tmp_path / f"dmfs@{instance}.service") == ""

    @pytest.mark.parametrize(
        ("good", "bad"),
        [("TimeoutStopSec=", "TimeuotStopSec="), ("/usr/bin/env dmfs", "/no/such/env dmfs")],
    )
    def test_verify_would_see_a_mistake(self, tmp_path: Path, good: str, bad: str) -> None:
        text = UNIT.read_text()
        assert good in text
        (tmp_path / UNIT.name).write_text(text.replace(good, bad))
        assert verify(tmp_path / "dmfs@Autodesk.service") != ""


def test_speaks_the_contract(service: configparser.SectionProxy) -> None:
    assert service["Type"] == "notify"
    assert service["ExecStart"] == (
        '/usr/bin/env dmfs mount --foreground -o ${DMFS_OPTIONS} ${DMFS_SOURCE} "%h/%I"'
    )
    assert service["EnvironmentFile"] == "-%E/dmfs/%i.env"
    assert service["Restart"] == "on-failure"
    assert service["RestartPreventExitStatus"] == "2"


def test_nothing_breaks_fusermount3(service: configparser.SectionProxy) -> None:
    breaking = [
        key
        for key in service
        if key.startswith(BREAKS_MOUNTING) and not key.startswith(BREAKS_NOTHING)
    ]
    assert breaking == []


def test_a_dead_mountpoint_does_not_stop_the_start(service: configparser.SectionProxy) -> None:
    # mkdir -p fails on a mountpoint whose filesystem has died; dmfs itself clears it.
    assert service["ExecStartPre"].startswith("-")


def test_a_loop_that_hangs_is_ended_and_started_anew(service: configparser.SectionProxy) -> None:
    # tests/cli/test_service_manager.py has the beats
    assert service["WatchdogSec"] == "60"
    assert service["NotifyAccess"] == "main"
    assert "WatchdogSignal" not in service, "SIGABRT, which faulthandler knows"

"""The system unit under a real systemd: ``python -m tests.packaging.booted``, as root.

Boots systemd in a container on a copy of this machine's root (an overlay in memory; nothing of it
stays), with the emulator outside, and lets the unit start, serve, be killed, be stopped, save and
fail. Exit status 77 where that cannot be done here. Some 30 s.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from tests.support.apt import install
from tests.support.mounts import start_emulator, stop_emulator
from tests.support.sample import SAMPLE

ROOT = Path(__file__).resolve().parents[2]
IMPOSSIBLE = 77
BOOT_S = 240
PYTHON = "/usr/bin/python3"
WELL = "all is well"
UNIT = "dmfs-system@srv-autodesk.service"
COMMANDS = {
    "dmfs": "dmfs.cli.main:main",
    "dmfs-mountfd": "dmfs.fuse.descriptor.command:main",
}
TARGET = """[Unit]
Requires=dbus.socket systemd-journald.service try.service
After=sysinit.target
"""
SERVICE = f"""[Unit]
DefaultDependencies=no
After=systemd-journald.service dbus.socket
[Service]
Type=oneshot
ExecStart={PYTHON} /root/inside.py
StandardOutput=file:/root/out.txt
StandardError=inherit
ExecStopPost=/bin/sh -c 'systemctl exit --force'
"""
INSIDE = f"""
import errno, os, subprocess, time
from pathlib import Path
POINT, SAMPLE = Path("/srv/autodesk"), {SAMPLE!r}
ENV = Path("/etc/dmfs/srv-autodesk.env")

def run(*words):
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout.strip() + done.stderr.strip()

def state(of):
    return run("systemctl", "show", "--value", "-p", of, {UNIT!r})[1]

def start():
    return run("systemctl", "start", {UNIT!r})[0]

def stop():
    assert run("systemctl", "stop", {UNIT!r})[0] == 0

def mounted():
    return " /srv/autodesk " in Path("/proc/self/mountinfo").read_text()

def until(what):
    end = time.monotonic() + 40
    while not what():
        assert time.monotonic() < end, "not in time"
        time.sleep(0.1)

def serves():
    assert start() == 0, run("journalctl", "-o", "cat", "-u", {UNIT!r})[1]
    assert state("ActiveState") == "active"
    who = ["setpriv", "--reuid=65534", "--clear-groups", "cat"]
    status, text = run(*who, str(POINT / SAMPLE / "README.txt"))
    assert status == 0 and "Welcome" in text, text
    assert "online" in run("dmfs", "status", str(POINT))[1]
    process = Path("/proc", state("MainPID"))
    fields = dict(line.split(":\\t", 1) for line in (process / "status").read_text().splitlines()
                  if ":\\t" in line)
    assert fields["Uid"].split()[0] not in ("0", "65534"), fields["Uid"]
    assert int(fields["CapEff"], 16) == 0 and int(fields["CapBnd"], 16) == 0
    assert (fields["NoNewPrivs"], fields["Seccomp"]) == ("1", "2")
    assert state("NFileDescriptorStore") == "0"

def is_unmounted_when_it_is_stopped():
    stop()
    assert not mounted() and list(POINT.iterdir()) == []
    assert state("Result") == "success"

def stays_dead_when_it_is_killed_and_comes_again():
    assert start() == 0
    run("systemctl", "kill", "-s", "KILL", "--kill-who=main", {UNIT!r})
    until(lambda: state("SubState") == "auto-restart")
    try:
        os.listdir(POINT)
    except OSError as error:
        assert error.errno == errno.ENOTCONN
    else:
        raise AssertionError("an empty directory in the place of a drive that was killed")
    until(lambda: state("ActiveState") == "active")
    assert os.listdir(POINT)

def ends_when_root_unmounts():
    assert run("umount", str(POINT))[0] == 0
    until(lambda: state("ActiveState") == "inactive")
    assert state("Result") == "success"

def saves():
    ENV.write_text("DMFS_OPTIONS=allow_other,shared_identity,rw\\n")
    assert start() == 0, run("journalctl", "-o", "cat", "-u", {UNIT!r})[1]
    path = POINT / SAMPLE / "from a unit.txt"
    path.write_bytes(b"saved")
    until(lambda: os.getxattr(path, "user.dmfs.state") == b"clean")
    assert "no process of its own" not in run("journalctl", "-o", "cat", "-u", {UNIT!r})[1]
    stop()

def says_what_is_wrong():
    for text, words in (
        ("DMFS_OPTIONS=allow_othr", "did you mean 'allow_other'?"),
        ("DMFS_SOURCE=/nowhere", "there is no 'nowhere'"),
    ):
        ENV.write_text(text + "\\n")
        assert start() != 0
        assert words in run("journalctl", "-o", "cat", "-u", {UNIT!r})[1]
        stop()
        assert not mounted() and list(POINT.iterdir()) == []
    ENV.unlink()
    Path("/etc/dmfs/srv-autodesk.toml").unlink()
    assert start() != 0
    assert "no client id is configured" in run("journalctl", "-o", "cat", "-u", {UNIT!r})[1]
    stop()

print(run("systemctl", "--version")[1].splitlines()[0], flush=True)
for each in (serves, is_unmounted_when_it_is_stopped, stays_dead_when_it_is_killed_and_comes_again,
             ends_when_root_unmounts, saves, says_what_is_wrong):
    each()
    print("ok:", each.__name__.replace("_", " "), flush=True)
print({WELL!r}, flush=True)
"""


def why_not() -> str:
    """Why this cannot be done here; '' if it can."""
    if os.geteuid() != 0:
        return "only root boots a container"
    if not Path("/dev/fuse").exists():
        return "there is no /dev/fuse"
    code = "import sysconfig; print(sysconfig.get_config_var('SOABI'))"
    done = subprocess.run([PYTHON, "-c", code], capture_output=True, text=True, check=False)
    if done.stdout.strip() != sysconfig.get_config_var("SOABI"):
        return f"{PYTHON} is another Python than ours, and the service cannot see ours"
    if shutil.which("systemd-nspawn") is None:
        install(["systemd-container"])
    return "" if shutil.which("systemd-nspawn") else "there is no systemd-nspawn"


def lay_out(root: Path, configuration: str) -> None:
    site = root / "usr/lib/dmfs-booted"
    shutil.copytree(sysconfig.get_path("purelib"), site, symlinks=True)
    shutil.copytree(ROOT / "dmfs", site / "dmfs", dirs_exist_ok=True)
    for name, entry in COMMANDS.items():
        module, _, function = entry.partition(":")
        path = root / "usr/local/bin" / name
        path.unlink(missing_ok=True)
        path.write_text(
            f"#!{PYTHON} -P\nimport sys; sys.path.insert(0, '/usr/lib/dmfs-booted')\n"
            f"from {module} import {function}\nsys.exit({function}())\n"
        )
        path.chmod(0o755)
    units, own = root / "etc/systemd/system", root / "etc/dmfs"
    units.mkdir(parents=True, exist_ok=True)
    own.mkdir(exist_ok=True)
    shutil.copy(ROOT / "systemd/dmfs-system@.service", units)
    (units / "try.target").write_text(TARGET)
    (units / "try.service").write_text(SERVICE)
    (own / "srv-autodesk.toml").write_text(configuration)
    (own / "srv-autodesk.toml").chmod(0o600)
    (root / "root/inside.py").write_text(INSIDE)
    (root / "etc/machine-id").unlink(missing_ok=True)
    (root / "etc/machine-id").write_text("1" * 32 + "\n")


def boot(configuration: str) -> int:
    """In a mount namespace of its own, which takes all that it mounts away with it."""
    work = Path(tempfile.mkdtemp(prefix="dmfs-booted-"))
    try:
        subprocess.run(["mount", "-t", "tmpfs", "none", work], check=True)
        for name in ("upper", "work", "root"):
            (work / name).mkdir()
        layers = f"lowerdir=/,upperdir={work}/upper,workdir={work}/work"
        mounted = ["mount", "-t", "overlay", "overlay", "-o", layers, f"{work}/root"]
        if subprocess.run(mounted, check=False).returncode != 0:
            print("this kernel mounts no overlay over its root")
            return IMPOSSIBLE
        root = work / "root"
        lay_out(root, configuration)
        words = ["systemd-nspawn", "-q", "--keep-unit", "--register=no", "-D", str(root)]
        console = subprocess.run(
            ["timeout", "-k", "5", str(BOOT_S), *words, "--bind=/dev/fuse", "--boot",
             "systemd.unit=try.target"],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        )  # fmt: skip
        out = root / "root/out.txt"
        if not out.exists():
            print(console.stdout[-2000:], console.stderr[-2000:])
            print("systemd does not boot in a container here")
            return IMPOSSIBLE
        print(out.read_text("utf-8", "replace"), end="")
        return 0 if WELL in out.read_text("utf-8", "replace").splitlines() else 1
    finally:
        subprocess.run(["umount", "-R", "-l", work], check=False, capture_output=True)
        work.rmdir()


def main() -> int:
    reason = why_not()
    if reason:
        print(reason)
        return IMPOSSIBLE
    emulator = start_emulator()
    try:
        configuration = (
            f'api_url = "{emulator.api_url}"\nclient_id = "{emulator.client_id}"\n'
            f'client_secret = "{emulator.client_secret}"\nany_spool_disk = true\n'
            'upload_delay = "1s"\nscopes = "data:read data:create data:write"\n'
        )
        own = [
            "unshare",
            "--mount",
            "--propagation",
            "private",
            sys.executable,
            "-m",
            __spec__.name,
        ]
        done = subprocess.run([*own, "boot"], input=configuration, text=True, check=False, cwd=ROOT)
        return done.returncode
    finally:
        stop_emulator(emulator)


if __name__ == "__main__":
    sys.exit(boot(sys.stdin.read()) if sys.argv[1:] == ["boot"] else main())

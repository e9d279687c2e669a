"""``dmfs doctor`` on updatedb, AppArmor and the desktop: findings whose remedies remedy."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest

from dmfs.cli.doctor import updatedb
from dmfs.cli.doctor.findings import as_text
from dmfs.cli.doctor.surroundings import TYPES, apparmor_findings, desktop_findings
from dmfs.cli.parser import parse
from dmfs.fuse.confinement.apparmor import Profile, lines_for
from dmfs.system.mountinfo import Mount

DEBIAN = """PRUNE_BIND_MOUNTS="yes"
# PRUNENAMES=".git .bzr .hg .svn"
PRUNEPATHS="/tmp /var/spool /media /var/lib/os-prober /var/lib/ceph"
PRUNEFS="NFS afs autofs binfmt_misc cifs fuse.glusterfs fuse.sshfs fusectl nfs nfs4 proc tmpfs udf"
"""
FEDORA = """PRUNE_BIND_MOUNTS = "yes"
PRUNEFS = "9p afs cifs fuse.glusterfs fuse.sshfs nfs nfs4"
PRUNENAMES = ".git .hg .svn"
PRUNEPATHS = "/afs /media /mnt /tmp"
"""


def mount(at: str, owner: int, *options: str, kind: str = "fuse.dmfs") -> Mount:
    return Mount(1, "0:1", at, kind, "dmfs", owner, frozenset(options))


def test_a_drive_that_root_sees_is_walked() -> None:
    table = [
        mount("/srv/all", 1000, "allow_other"), mount("/srv/roots", 0), mount("/srv/ada", 1000),
        mount("/media/x", 0), mount("/srv/other", 0, kind="fuse.sshfs"),
    ]  # fmt: skip
    found = updatedb.finding(DEBIAN, table)
    assert (found.level, found.what) == ("warning", "updatedb will walk /srv/all, /srv/roots")
    assert updatedb.finding(DEBIAN, table[2:]).level == "note"


@pytest.mark.process
@pytest.mark.parametrize(
    "text", [DEBIAN, FEDORA, '  PRUNEFS = ""\n', "", '# PRUNEFS="nfs"\nPRUNEPATHS="/tmp"\n']
)
def test_its_remedy_remedies_and_leaves_the_rest(tmp_path: Path, text: str) -> None:
    conf = tmp_path / "updatedb.conf"
    conf.write_text(text)
    found = updatedb.finding(text, [])
    assert found.remedy.startswith("as root: ")
    command = found.remedy.removeprefix("as root: ").replace("/etc/updatedb.conf", str(conf))
    subprocess.run(["sh", "-c", command], check=True)
    after = conf.read_text()
    assert updatedb.finding(after, []).level == "ok"
    before = updatedb.pruned(text)
    assert {**updatedb.pruned(after), "PRUNEFS": None} == {**before, "PRUNEFS": None}
    assert set(before.get("PRUNEFS", [])) | {"fuse.dmfs"} == set(updatedb.pruned(after)["PRUNEFS"])


def test_a_machine_without_it_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(updatedb, "is_installed", lambda: True)
    monkeypatch.setattr(updatedb, "CONF", tmp_path / "none")
    assert [each.level for each in updatedb.check([])] == ["note"]
    (tmp_path / "none").mkdir()
    assert "not readable" in updatedb.check([])[0].what
    monkeypatch.setattr(updatedb, "is_installed", lambda: False)
    assert updatedb.check([mount("/srv/all", 0)]) == []


PROFILE = Profile(
    "profile fusermount3 /usr/bin/fusermount3 {\n"
    "  mount fstype=fuse.* options=(nosuid,nodev) options in (ro,rw) -> /mnt/{,**/},\n"
    "  include if exists <local/fusermount3>\n}\n"
)


def test_a_place_that_apparmor_forbids() -> None:
    (found,) = apparmor_findings(PROFILE, "/srv/autodesk")
    assert found.level == "error"
    for line in lines_for("/srv/autodesk"):
        assert line in as_text([found])
    assert [each.level for each in apparmor_findings(PROFILE, "/mnt/autodesk")] == ["ok"]
    (found,) = apparmor_findings(PROFILE, None)
    assert (found.level, "/mnt/{,**/}" in found.what) == ("note", True)
    assert apparmor_findings(None, "/srv/autodesk") == []


def test_a_desktop_without_our_types(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _: "/usr/bin/gio")
    own, system = tmp_path / "own", tmp_path / "system"
    environ = {"XDG_DATA_HOME": str(own), "XDG_DATA_DIRS": f"/nowhere:{system}"}
    assert desktop_findings(environ) == [], "no desktop"
    environ["WAYLAND_DISPLAY"] = "wayland-0"
    (found,) = desktop_findings(environ)
    assert (found.level, found.remedy) == ("note", "dmfs desktop install --user")
    (system / TYPES).parent.mkdir(parents=True)
    (system / TYPES).touch()
    assert [each.level for each in desktop_findings(environ)] == ["ok"]
    monkeypatch.setattr("shutil.which", lambda _: None)
    assert desktop_findings(environ) == []


def test_doctor_takes_a_mountpoint() -> None:
    assert parse(["doctor"])[0].mountpoint is None
    assert parse(shlex.split("doctor --json '/srv/my drive'"))[0].mountpoint == "/srv/my drive"

"""LibreOffice itself saves on a real mount, where it is installed (14 s with a busy machine)."""

from __future__ import annotations

import os
import subprocess
import zipfile
from pathlib import Path

import pytest

from tests.support.mounts import wait_until
from tests.write.saves import office
from tests.write.saves.place import SEEN_S, Folder, sha256

pytestmark = [pytest.mark.mount, pytest.mark.tool("soffice")]
PYTHON = "/usr/bin/python3"
"""The system's, which has ``uno``."""


def test_a_spreadsheet_is_saved_twice(folder: Folder, tmp_path: Path) -> None:
    if subprocess.run([PYTHON, "-c", "import uno"], capture_output=True, check=False).returncode:
        pytest.skip("python3-uno is not installed")
    path = folder / "table.ods"
    first, versions = ["made"], []
    for words in (first, ["once", "again"]):
        with subprocess.Popen(
            [PYTHON, office.__file__, str(path), str(tmp_path / "profile"), f"dmfs{os.getpid()}",
             *words],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
            env=folder.drive.home.environment(),
        ) as program:  # fmt: skip
            assert program.stdin is not None
            assert program.stdout is not None
            for word in words:
                assert program.stdout.readline() == f"saved {word}\n"
                data = path.read_bytes()
                assert word.encode() in zipfile.ZipFile(path).read("content.xml")
                versions.append(data)
                told = path.stat()
                wanted = [sha256(each) for each in versions]
                wait_until(lambda wanted=wanted: folder.sums().get("table.ods") == wanted, SEEN_S)
                after = path.stat()
                assert (after.st_ino, after.st_mtime_ns) == (told.st_ino, told.st_mtime_ns)
                program.stdin.write("go on\n")
            assert program.wait(60) == 0
        assert folder.names() == ["table.ods"]
    folder.comes_to_all({"table.ods": versions})
    assert folder.emulator.violations() == {}

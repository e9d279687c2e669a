"""dmfs where pyfuse3 is not installed: all but the mount works, and that says what is missing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.mounts import Home

PROJECT = "/Emulated Builders \uff0f Headquarters/Sample Project"
README = f"{PROJECT}/Project Files/README.txt"
ABSENT = """
import sys
class Without:
    "A finder that knows all but one package."
    def __init__(self, finder):
        self.finder = finder
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "pyfuse3":
            return None
        return self.finder.find_spec(name, path, target)
    def __getattr__(self, name):
        return getattr(self.finder, name)
sys.meta_path[:] = map(Without, sys.meta_path)
"""
RUN = """
from dmfs.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


def dmfs(home: Home, words: list[str], how: str = ABSENT) -> subprocess.CompletedProcess[bytes]:
    done = home.tool(sys.executable, "-c", how + RUN, *words)
    assert b"Traceback" not in done.stderr, done.stderr
    return done


def test_what_needs_no_mount_needs_no_pyfuse3(home: Home) -> None:
    asked = [
        (["ls", "/"], "Emulated Builders"),
        (["stat", README], "README.txt"),
        (["cat", README], "Welcome"),
        (["find", PROJECT, "-name", "README*"], "Project Files/README.txt"),
        (["versions", README], "1"),
    ]
    each = """
import json
from dmfs.cli.main import main
for words in json.loads(sys.argv[1]):
    print("[", main(words), "]")
assert "pyfuse3" not in sys.modules
"""
    commands = json.dumps([words for words, _ in asked])
    done = home.tool(sys.executable, "-c", ABSENT + each, commands)
    answers = done.stdout.decode().split("[ 0 ]\n")
    assert (len(answers), done.returncode) == (len(asked) + 1, 0), done.stderr
    for (words, seen), answer in zip(asked, answers, strict=False):
        assert seen in answer, words


@pytest.mark.parametrize("words", [["mount", "/", "{point}"], ["demo"]], ids=["mount", "demo"])
def test_what_needs_it_says_in_one_line_what_to_install(
    home: Home, tmp_path: Path, words: list[str]
) -> None:
    (tmp_path / "point").mkdir()
    done = dmfs(home, [word.format(point=tmp_path / "point") for word in words])
    assert done.returncode == 1
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("dmfs: mounting needs pyfuse3, which is not installed — ")
    assert 'pip install "dmfs[mount]"' in line


def test_doctor_names_it(home: Home) -> None:
    done = dmfs(home, ["doctor"])
    assert b'pip install "dmfs[mount]"' in done.stdout


@pytest.mark.mount
def test_a_library_that_cannot_be_loaded_is_told_with_its_own_words(
    home: Home, tmp_path: Path
) -> None:
    reason = "libfuse3.so.3: cannot open shared object file"
    (tmp_path / "pyfuse3.py").write_text(f"raise ImportError({reason!r}, path=__file__)\n")
    (tmp_path / "point").mkdir()
    shadowed = f"import sys; sys.path.insert(0, {str(tmp_path)!r})"
    words = ["mount", "--foreground", "/", str(tmp_path / "point")]
    done = dmfs(home, words, shadowed)
    assert done.returncode == 1
    (line,) = done.stderr.decode().splitlines()
    assert f"pyfuse3, which cannot be loaded: {reason}" in line

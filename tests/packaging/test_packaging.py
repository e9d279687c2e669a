"""What we ship: the wheel, the locks, the scripts, and what no committed file may say."""

import re
import stat
import subprocess
import sys
import tomllib
import zipfile
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

LOCKS = sorted((ROOT / "scripts/requirements").glob("*.lock"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

# Put together here so that this file does not name them itself.
REGISTRY_HOSTS = [
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("files", "pythonhosted", "org"),
        ("pythonhosted", "org"),
        ("deb", "debian", "org"),
        ("security", "debian", "org"),
        ("archive", "ubuntu", "com"),
        ("registry", "npmjs", "org"),
        ("proxy", "golang", "org"),
        ("static", "crates", "io"),
    )
]
OUTSIDE = ["/" + "work/", "../" + "shared"]
# May look at what lies beside a checkout, since they skip where it does not.
MAY_LOOK_OUTSIDE = re.compile(r"^tests/.*\.py$")


@cache
def committed() -> tuple[str, ...]:
    """Every file that is committed or would be by `git add .`; all of them without git."""
    git = ["git", "-C", str(ROOT), "-c", f"safe.directory={ROOT}"]
    try:
        listed = subprocess.run(
            [*git, "ls-files", "-coz", "--exclude-standard"],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout.split("\0")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    return tuple(name for name in listed if name and (ROOT / name).is_file())


def text_of(name: str) -> str:
    """The file as text; binary files give what of them reads as ASCII."""
    return (ROOT / name).read_bytes().decode("ascii", errors="ignore")


# --- the wheel --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.Path:
    out = tmp_path_factory.mktemp("wheel")
    options = "--quiet --disable-pip-version-check --no-deps --no-build-isolation"
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            *options.split(),
            "--wheel-dir",
            str(out),
            str(ROOT),
        ],
        timeout=100,
        check=True,
    )
    (built,) = out.glob("*.whl")
    return zipfile.Path(zipfile.ZipFile(built))


def test_wheel_holds_the_packages_and_their_data(wheel: zipfile.Path) -> None:
    for name in [
        "dmfs/__init__.py",
        "dmfs/cli/main.py",
        "dmfs/py.typed",
        "dmfs/help/semantics.md",
        "dmfs/emulator/__init__.py",
        "dmfs/emulator/__main__.py",
    ]:
        assert wheel.joinpath(name).is_file(), name


def test_wheel_holds_every_source_file_and_nothing_else(wheel: zipfile.Path) -> None:
    sources = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "dmfs").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    names = [name for name in wheel.root.namelist() if not name.endswith("/")]
    packed = {name for name in names if ".dist-info/" not in name}
    assert packed == sources


def test_wheel_has_both_commands_and_the_licence(wheel: zipfile.Path) -> None:
    names = wheel.root.namelist()
    (entry_points,) = [name for name in names if name.endswith("entry_points.txt")]
    text = wheel.joinpath(entry_points).read_text()
    assert "dmfs = dmfs.cli.main:main" in text
    assert "mount.dmfs = dmfs.cli.main:mount_helper" in text
    assert "dmfs-mountfd = dmfs.fuse.descriptor.command:main" in text
    assert any(name.endswith("/LICENSE") for name in names)


def test_entry_points_are_there() -> None:
    for target in PROJECT["scripts"].values():
        module, name = target.split(":")
        code = f"import {module}; assert callable({module}.{name})"
        subprocess.run([sys.executable, "-c", code], timeout=60, check=True)


def test_changelog_knows_this_version() -> None:
    assert f"\n## [{PROJECT['version']}]" in (ROOT / "CHANGELOG.md").read_text()


# --- the locks --------------------------------------------------------------------------------


def requirements(lock: Path) -> dict[str, str]:
    """Name → everything the lock says of it, continuation lines joined."""
    found = {}
    for line in lock.read_text().replace("\\\n", " ").splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            found[re.split(r"[=<>! ]", line, maxsplit=1)[0]] = line
    return found


def canonical(requirement: str) -> str:
    name = re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]
    return re.sub(r"[-_.]+", "-", name).lower()


def test_there_are_locks() -> None:
    assert {lock.stem for lock in LOCKS} >= {"build", "run", "dev"}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
class TestLock:
    def test_every_requirement_is_pinned_and_hashed(self, lock: Path) -> None:
        assert requirements(lock)
        for name, line in requirements(lock).items():
            assert re.match(r"[a-z0-9-]+==[^ ]+ ", line), f"{name} is not pinned"
            assert re.search(r"--hash=sha256:[0-9a-f]{64}\b", line), f"{name} has no hash"

    def test_says_nothing_of_where_from(self, lock: Path) -> None:
        text = lock.read_text()
        assert "://" not in text
        assert "file:" not in text
        assert not re.search(r"^\s*(-i|-f|--(extra-)?index-url|--find-links)\b", text, re.MULTILINE)


def test_locks_agree_on_versions() -> None:
    pins: dict[str, set[str]] = {}
    for lock in LOCKS:
        for name, line in requirements(lock).items():
            pins.setdefault(name, set()).add(line.split()[0])
    assert {name: pin for name, pin in pins.items() if len(pin) > 1} == {}


def test_locks_cover_what_the_project_asks_for() -> None:
    extras = PROJECT["optional-dependencies"]
    for lock, wanted in [
        ("run", PROJECT["dependencies"] + extras["mount"]),
        ("dev", PROJECT["dependencies"] + extras["mount"] + extras["dev"]),
        ("bench", PROJECT["dependencies"] + extras["mount"] + extras["bench"]),
    ]:
        locked = requirements(ROOT / "scripts/requirements" / f"{lock}.lock")
        assert {canonical(one) for one in wanted} <= set(locked), f"run scripts/lock ({lock})"


# --- the scripts ------------------------------------------------------------------------------


def shebang(name: str) -> str:
    with (ROOT / name).open("rb") as file:
        first = file.readline(200).decode("utf-8", errors="replace")
    return first if first.startswith("#!") else ""


def scripts() -> list[str]:
    everything = [*(ROOT / "scripts").rglob("*"), *(ROOT / "packaging").rglob("*")]
    found = [path for path in everything if "__pycache__" not in path.parts]
    found.append(ROOT / ".ci" / "run")
    return sorted(path.relative_to(ROOT).as_posix() for path in found if path.is_file())


def is_shell(name: str) -> bool:
    return name.endswith(".sh") or bool(re.search(r"\b(ba|da)?sh\b", shebang(name)))


SHELL_SCRIPTS = [name for name in scripts() if is_shell(name)]


@pytest.mark.parametrize("name", scripts())
def test_a_script_with_a_shebang_is_executable_and_no_other_file_is(name: str) -> None:
    executable = bool((ROOT / name).stat().st_mode & stat.S_IXUSR)
    assert executable == bool(shebang(name))


@pytest.mark.parametrize("name", SHELL_SCRIPTS)
def test_shell_script_parses(name: str) -> None:
    subprocess.run(["bash", "-n", str(ROOT / name)], timeout=60, check=True)


@pytest.mark.parametrize("name", [name for name in SHELL_SCRIPTS if "bash" in shebang(name)])
def test_shell_script_is_strict(name: str) -> None:
    # .ci/run goes on after a failed step, so that one run shows all of them: no -e there.
    assert re.search(r"^set -e?uo pipefail$", text_of(name), re.MULTILINE)


@pytest.mark.tool("shellcheck")
def test_shellcheck_finds_nothing() -> None:
    result = subprocess.run(
        ["shellcheck", "--external-sources", *SHELL_SCRIPTS],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert result.stdout + result.stderr == ""


# --- what no file says ------------------------------------------------------------------------


def test_no_file_names_a_registry() -> None:
    names = re.compile("|".join(re.escape(host) for host in REGISTRY_HOSTS), re.IGNORECASE)
    assert [name for name in committed() if names.search(text_of(name))] == []


def test_no_file_needs_what_lies_outside_the_checkout() -> None:
    outside = re.compile("|".join(re.escape(path) for path in OUTSIDE))
    found = [
        name
        for name in committed()
        if not MAY_LOOK_OUTSIDE.match(name) and outside.search(text_of(name))
    ]
    assert found == []


def test_a_test_that_looks_outside_skips_where_nothing_is() -> None:
    looking = [
        name
        for name in committed()
        if MAY_LOOK_OUTSIDE.match(name) and any(path in text_of(name) for path in OUTSIDE)
    ]
    assert [name for name in looking if "skip" not in text_of(name)] == []


def test_no_secret_or_rubbish_is_committed() -> None:
    rubbish = re.compile(r"(^|/)(__pycache__|\.venv|\.env|[^/]+\.egg-info|\.DS_Store)(/|$)|\.pyc$")
    assert [name for name in committed() if rubbish.search(name)] == []

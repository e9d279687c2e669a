"""What packages, images and examples say: files that are there, commands that dmfs understands."""

from __future__ import annotations

import configparser
import gzip
import hashlib
import importlib.util
import io
import json
import os
import re
import shlex
import subprocess
import tarfile
import tomllib
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from dmfs.cli.parser import parse
from dmfs.config import DECLARED, load_settings
from dmfs.fuse.descriptor.command import _parsed
from dmfs.fuse.mountpoint import parse_options

ROOT = Path(__file__).resolve().parents[2]
PACKAGING = ROOT / "packaging"
EXAMPLES = PACKAGING / "examples"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
IMAGE = f"dmfs:{PROJECT['version']}"


def module(name: str) -> ModuleType:
    """A file of ``packaging``, which is no package: there is a library of that name."""
    spec = importlib.util.spec_from_file_location(f"recipe_{name}", PACKAGING / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def understood(words: list[str]) -> None:
    """SystemExit or an error where dmfs, or the helper that becomes dmfs, would refuse them."""
    if words[0] == "dmfs-mountfd":
        options, words = _parsed(words[1:])
        parse_options(",".join(options.options))
    assert words.pop(0) == "dmfs"
    options, _ = parse(words)
    if options.command == "mount":
        parse_options(",".join(options.options))


# --- the packages -----------------------------------------------------------------------------


def recipe() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((PACKAGING / "nfpm.yaml").read_text("utf-8"))
    return loaded


def test_the_recipe_names_files_that_are_there_and_may_be_run() -> None:
    scripts = recipe()["scripts"]
    assert set(scripts) == {"postinstall", "postremove"}
    for name in scripts.values():
        assert os.access(ROOT / name, os.X_OK), name
        subprocess.run(["sh", "-n", str(ROOT / name)], check=True)


def test_all_that_the_recipe_leaves_open_is_given_by_the_script() -> None:
    asked = set(re.findall(r"\$\{(\w+)\}", (PACKAGING / "nfpm.yaml").read_text("utf-8")))
    tree = (PACKAGING / "tree.sh").read_text("utf-8")
    call = tree[tree.index("TREE=$tree") : tree.index("/bin/nfpm")]
    assert asked <= set(re.findall(r"(\w+)=", call))


def test_both_packages_need_what_a_mount_needs() -> None:
    overrides = recipe()["overrides"]
    assert {"fuse3", "shared-mime-info", "python${PYTHON_MINOR}"} <= {*overrides["deb"]["depends"]}
    wanted = {"/usr/bin/fusermount3", "shared-mime-info", "/usr/bin/python${PYTHON_MINOR}"}
    assert wanted <= {*overrides["rpm"]["depends"]}


def package_sh(code: str) -> str:
    """Output of bash where the functions of the script are known."""
    before = f"locks={ROOT}/scripts/requirements; source {PACKAGING}/wheels.sh; "
    before += f"source {PACKAGING}/tree.sh; set -euo pipefail; "
    done = subprocess.run(
        ["bash", "-c", before + code], capture_output=True, text=True, timeout=30, check=True
    )
    return done.stdout


def test_a_tree_is_made_of_the_whole_lock_with_its_hashes() -> None:
    lock = (ROOT / "scripts/requirements/run.lock").read_text("utf-8")
    names = set(re.findall(r"^([a-z0-9-]+)==", lock, re.MULTILINE))
    taken = package_sh('pinned run.lock "$(names_of run.lock pyfuse3)"')
    assert set(re.findall(r"^([a-z0-9-]+)==", taken, re.MULTILINE)) == names - {"pyfuse3"}
    alone = package_sh("pinned run.lock pyfuse3")
    assert len(re.findall(r"--hash", taken + alone)) == len(re.findall(r"--hash", lock))
    assert re.match(r"prometheus-client==", package_sh('pinned dev.lock "$extras"'))


def test_every_command_of_the_wheel_is_kept_in_the_tree() -> None:
    kept = r"dmfs|dmfs-.*|mount\.dmfs"
    assert "dmfs | dmfs-* | mount.dmfs) sed" in (PACKAGING / "tree.sh").read_text("utf-8")
    assert [name for name in PROJECT["scripts"] if not re.fullmatch(kept, name)] == []


def test_each_unit_goes_where_it_belongs() -> None:
    code = 'cd {}; tree=$(mktemp -d); put_units; cd "$tree"; find . -type f; rm -r "$tree"'
    put = package_sh(code.format(shlex.quote(str(ROOT)))).split()
    assert "./usr/lib/systemd/user/dmfs@.service" in put
    assert {Path(name).name for name in put} == {
        path.name for path in (ROOT / "systemd").rglob("*") if path.is_file()
    }
    assert all("system/dmfs@" not in name for name in put)


# --- the script -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "code"), [([], 1), (["dbe"], 2), (["deb", "rpm"], 2), (["--help"], 0)]
)
def test_the_script_says_in_a_line_what_it_does_not_know(words: list[str], code: int) -> None:
    done = subprocess.run(
        [str(ROOT / "scripts/package"), *words], capture_output=True, text=True, check=False,
        timeout=30,
    )  # fmt: skip
    assert done.returncode == code
    assert len((done.stderr or "\n").splitlines()) == 1
    assert ("scripts/package wheel" in done.stdout) == (code == 0)


def test_a_trial_needs_root_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "id").write_text("#!/bin/sh\necho 1000\n")
    (tmp_path / "id").chmod(0o755)
    done = subprocess.run(
        [str(ROOT / "scripts/package"), "check", str(PACKAGING / "nfpm.yaml")],
        env=os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (77, "")
    assert done.stderr.startswith("package: needs root")


def test_a_notice_is_entered_in_the_wheel_s_list_of_files(tmp_path: Path) -> None:
    wheel = tmp_path / "thing-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as made:
        made.writestr("thing.py", "x = 1\n")
        made.writestr("thing-1.dist-info/RECORD", "thing.py,sha256=x,6\n")
    (tmp_path / "a.notice").write_text("libfuse3 @VERSION@\n")
    notice = module("notice")
    words = [str(tmp_path / "a.notice"), "3.14.0", str(wheel)]
    assert notice.main(words) == 0
    with zipfile.ZipFile(wheel) as seen:
        name = "thing-1.dist-info/licenses/a.notice"
        assert seen.read(name) == b"libfuse3 3.14.0\n"
        record = seen.read("thing-1.dist-info/RECORD").decode().splitlines()
        assert record[0] == "thing.py,sha256=x,6"
        assert re.fullmatch(re.escape(name) + r",sha256=[\w-]{43},16", record[1])
    with pytest.raises(ValueError, match="already"):
        notice.main(words)


# --- the image and its examples -----------------------------------------------------------------


def test_the_image_is_what_its_recipe_says(tmp_path: Path) -> None:
    root = tmp_path / "root.tar"
    with tarfile.open(root, "w") as tar:
        tar.addfile(tarfile.TarInfo("hello"), io.BytesIO())
    oci = module("oci")
    packed, plain = oci.write_image(
        root, tmp_path / "i.tar", IMAGE, "amd64", "2026-01-01T00:00:00Z"
    )
    assert plain == root.stat().st_size
    with tarfile.open(tmp_path / "i.tar") as tar:
        files = {one.name: tar.extractfile(one).read() for one in tar}  # type: ignore[union-attr]
    for name, content in files.items():
        if name.startswith("blobs/"):
            assert name.endswith(hashlib.sha256(content).hexdigest())

    def blob(entry: dict[str, Any]) -> bytes:
        content: bytes = files["blobs/sha256/" + entry["digest"].removeprefix("sha256:")]
        assert len(content) == entry["size"]
        return content

    manifest = json.loads(blob(json.loads(files["index.json"])["manifests"][0]))
    layer = blob(manifest["layers"][0])
    assert (len(layer), gzip.decompress(layer)) == (packed, root.read_bytes())
    config = json.loads(blob(manifest["config"]))
    assert config["rootfs"]["diff_ids"] == [
        f"sha256:{hashlib.sha256(root.read_bytes()).hexdigest()}"
    ]
    assert config["config"]["User"] == "1000:1000"
    assert config["config"]["Entrypoint"] == ["/usr/bin/dmfs"]


def test_the_containerfile_copies_files_that_are_there() -> None:
    text = (PACKAGING / "Containerfile").read_text("utf-8")
    (copied,) = re.findall(r"^COPY dist/dmfs_\*\.deb (\S+) /build/$", text, re.MULTILINE)
    assert os.access(ROOT / copied, os.X_OK)


def test_compose_s_commands_are_understood() -> None:
    services = yaml.safe_load((EXAMPLES / "compose.yaml").read_text("utf-8"))["services"]
    for service in services.values():
        assert service["image"] == IMAGE
        understood(["dmfs", *service["command"]])
    understood(services["drive"]["healthcheck"]["test"][1:])
    assert services["drive"]["devices"] == ["/dev/fuse"]


def test_podman_s_commands_are_understood() -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.read(EXAMPLES / "dmfs.container", "utf-8")
    container = unit["Container"]
    assert container["Image"] == f"localhost/{IMAGE}"
    understood(["dmfs", *shlex.split(container["Exec"])])
    understood(json.loads(container["HealthCmd"]))


def test_kubernetes_s_commands_are_understood() -> None:
    _, pod = yaml.safe_load_all((EXAMPLES / "kubernetes.yaml").read_text("utf-8"))
    (drive,) = pod["spec"]["initContainers"]
    assert drive["image"] == IMAGE
    assert drive["command"][-1] == "/dev/fd/3"
    understood(list(drive["command"]))
    understood(drive["startupProbe"]["exec"]["command"])
    volumes = {volume["name"] for volume in pod["spec"]["volumes"]}
    for container in (drive, *pod["spec"]["containers"]):
        assert {mount["name"] for mount in container["volumeMounts"]} <= volumes


def test_kubernetes_s_job_has_no_right_and_a_configuration_that_is_understood() -> None:
    text = (EXAMPLES / "kubernetes-job.yaml").read_text("utf-8")
    secret, config, job = yaml.safe_load_all(text)
    settings = load_settings(config["data"]["config.toml"], {"HOME": "/"}, {})
    assert (settings.cache_size, settings.memory_budget) == (8 << 30, 64 << 20)
    pod = job["spec"]["template"]["spec"]
    (worker,) = pod["containers"]
    rights = worker["securityContext"]
    assert rights["capabilities"] == {"drop": ["ALL"]}
    assert not rights["allowPrivilegeEscalation"]
    assert pod["securityContext"]["runAsNonRoot"]
    read = {declared.environment for declared in DECLARED.values()} | {"DMFS_CONFIG"}
    assert {*secret["stringData"], *(each["name"] for each in worker["env"])} <= read
    places = {mount["name"] for mount in worker["volumeMounts"]}
    assert places == {volume["name"] for volume in pod["volumes"]}


def test_wheels_of_a_release_are_for_every_python_that_we_say() -> None:
    build = tomllib.loads((PACKAGING / "cibuildwheel.toml").read_text("utf-8"))
    pythons = build["tool"]["cibuildwheel"]["build"]
    said = [re.search(r":: 3\.(\d+)$", word) for word in PROJECT["classifiers"]]
    wanted = {f"cp3{minor[1]}-*" for minor in said if minor is not None}
    assert len(wanted) >= 2
    assert wanted <= set(pythons.split() if isinstance(pythons, str) else pythons)


# --- the pages ----------------------------------------------------------------------------------


def test_the_page_of_installing_names_what_is_there() -> None:
    page = (ROOT / "docs/install.md").read_text("utf-8")
    for extra in re.findall(r"dmfs\[(\w+)\]", page):
        assert extra in PROJECT["optional-dependencies"]
    for link in re.findall(r"\]\(([^)#]+)\)", page):
        assert (ROOT / "docs" / link).exists(), link
    for code in re.findall(r"`(dmfs [a-z-][^`\[]*)`", page):
        understood(shlex.split(code.replace("SOURCE", "/")))

"""One program, on the drive and in a plain directory: results, counts and seconds."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from dmfs.emulator.process import EmulatorProcess
from tests.desktop.tools.documents import DOCUMENTS, made_whole
from tests.desktop.tools.programs import Program, made
from tests.desktop.tools.rows import Row
from tests.support.fixtures import running_emulator
from tests.support.mounts import Drive, Home, dmfs_command

LINK = {"api_latency_ms": 150, "cdn_latency_ms": 40, "cdn_bytes_per_s": 20e6}
"""As at the trial of the desktop; rate limits as published."""
HUB = "/Emulated Builders ／ Headquarters/Sample Project/Project Files"
FOLDER = f"{HUB}/Large Files"
ARCHIVE = "Site scan.zip"
"""1 GiB that the emulator has as a formula."""
ARCHIVE_S = 900
"""A gigabyte of hashes on a busy machine: where it takes longer it is left out, not cut."""
PROGRAM_S = 180


@contextmanager
def world(directory: Path) -> Iterator[EmulatorProcess]:
    """An emulator with the documents in a folder; the archive there goes to the plain directory."""
    with running_emulator(world="sample", start_timeout_s=60.0) as emulator:
        home = Home(directory / "putting", emulator, {"scopes": "data:read data:create data:write"})
        for each in sorted(DOCUMENTS.iterdir()):
            if each.name != ARCHIVE:
                done = home.run("put", str(each), f"{FOLDER}/{each.name}", timeout_s=120)
                assert done.returncode == 0, done.stderr
        made_whole(ARCHIVE, partial(_archive, home))
        emulator.settings(rate_limits="published", **LINK)
        yield emulator


def _archive(home: Home, path: Path) -> None:
    with path.open("wb") as target:
        words = [*dmfs_command(), "cat", f"{FOLDER}/{ARCHIVE}"]
        subprocess.run(words, env=home.environment(), stdout=target, timeout=ARCHIVE_S, check=True)


def proven(program: Program, emulator: EmulatorProcess) -> Row:
    """Once on the drive with an empty cache and the folder listed, once (then again, for what a
    first start costs) in the plain directory."""
    with tempfile.TemporaryDirectory(prefix="dmfs-tool-", dir="/var/tmp") as at:
        directory = Path(at)
        plain = DOCUMENTS / program.document
        environ = {
            **os.environ, "HOME": str(directory / "home"), "QT_QPA_PLATFORM": "offscreen",
            "LC_ALL": "C.UTF-8",
        }  # fmt: skip
        (directory / "home").mkdir()
        _run(program, plain, directory / "first", environ)
        expected, plain_s = _run(program, plain, directory / "plain", environ)
        with Drive(directory / "drive", emulator, config={"rates": ""}, log_level="info") as drive:
            document = Path(drive.path(FOLDER.lstrip("/"), program.document))
            size_bytes = document.stat().st_size
            emulator.reset()
            found, mount_s = _run(program, document, directory / "by_drive", environ)
            counts = emulator.counts()
            fetched = emulator.calls()["cdn_bytes"]
    assert expected, f"{program.name} gives nothing in a plain directory"
    return Row(
        program.name, program.document, size_bytes, found == expected, counts["contents"],
        counts["sign"], counts["cdn_get"], fetched, round(mount_s, 2), round(plain_s, 2),
        program.bytes_max, "" if found == expected else _short(expected, found),
    )  # fmt: skip


def _run(
    program: Program, document: Path, out: Path, environ: Mapping[str, str]
) -> tuple[bytes, float]:
    out.mkdir()
    started = time.monotonic()
    done = subprocess.run(
        program.words(document, out), env=environ, stdin=subprocess.DEVNULL, capture_output=True,
        timeout=PROGRAM_S, cwd=out, check=False,
    )  # fmt: skip
    took_s = time.monotonic() - started
    if done.returncode:
        return b"status %d: %s" % (done.returncode, done.stderr[-300:]), took_s
    if program.drawn:
        page = ["pdftoppm", "-r", "40", str(out / program.drawn), str(out / "drawn")]
        subprocess.run(page, capture_output=True, timeout=PROGRAM_S, check=False)
        return made("drawn*")(b"", out), took_s
    return program.result(done.stdout, out), took_s


def _short(expected: bytes, found: bytes) -> str:
    return f"{found[:120]!r} instead of {expected[:120]!r}"

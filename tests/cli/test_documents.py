"""Man pages say all that the parsers take, and every reader of man pages accepts them."""

from __future__ import annotations

import argparse
import re
import subprocess
from pathlib import Path

import pytest

from dmfs.cli.documents.command import documents
from dmfs.cli.documents.grammar_page import positionals
from dmfs.cli.documents.pages import pages
from dmfs.cli.documents.roff import escaped, inline
from dmfs.cli.main import COMMANDS, main
from dmfs.cli.parser import parsers
from dmfs.config import DECLARED
from dmfs.emulator.command_line import command_line
from dmfs.fuse.descriptor.command import command_line as descriptor_command_line
from dmfs.fuse.mount_options import FLAGS, VALUED

DATE = "2026-05-01"
SEMANTICS = Path(__file__).parents[2] / "dmfs/help/semantics.md"
PAGES = pages(DATE)


def plain(name: str) -> str:
    """A page without fonts, one space between words."""
    text = re.sub(r"\\f[BIR]", "", PAGES[name])
    return " ".join(text.replace(r"\-", "-").split())


def every_parser() -> dict[str, argparse.ArgumentParser]:
    return {**parsers()[1], "emulator": command_line()}


def test_every_command_has_a_page() -> None:
    expected = {f"dmfs-{name}.1" for name in (*COMMANDS, "emulator")}
    assert set(PAGES) == expected | {
        "dmfs.1", "dmfs-config.5", "dmfs-semantics.7", "mount.dmfs.8",
        "dmfs-mountfd.8",
    }  # fmt: skip
    for name in (*COMMANDS, "emulator"):
        assert f"dmfs-{name}(1)" in plain("dmfs.1"), name


PAGE_OF = {f"dmfs-{name}.1": parser for name, parser in every_parser().items()}
PAGE_OF["dmfs-mountfd.8"] = descriptor_command_line()


@pytest.mark.parametrize("page", PAGE_OF)
def test_every_option_of_every_parser_is_in_its_page(page: str) -> None:
    parser, text = PAGE_OF[page], plain(page)
    for action in parser._actions:
        shown = action.help is not argparse.SUPPRESS
        for word in action.option_strings:
            assert bool(re.search(rf"(?<![-\w]){re.escape(word)}(?![-\w])", text)) == shown
    for action in positionals(parser):
        assert escaped(str(action.metavar)).replace(r"\-", "-") in text


def test_values_are_spelled_as_they_are_typed() -> None:
    for name, first in (
        ("mount", "debug, info"), ("offline", "on, or off"), ("emulator", "sample, empty"),
        ("emulator", "off, published"),
    ):  # fmt: skip
        assert first in plain(f"dmfs-{name}.1")
        assert first.capitalize() not in plain(f"dmfs-{name}.1")
    assert "Stay, and log to stderr" in plain("dmfs-mount.1")


def test_the_page_of_mount_knows_descriptors() -> None:
    assert "/dev/fd/N" in plain("dmfs-mount.1")
    assert "dmfs-mountfd(8)" in plain("dmfs-mount.1").partition("SEE ALSO")[2]


@pytest.mark.parametrize("command", every_parser())
def test_every_command_has_prose_examples_and_a_purpose(command: str) -> None:
    text = PAGES[f"dmfs-{command}.1"]
    assert re.search(r"^dmfs\\-\S+ \\- \w", text, re.MULTILINE)
    described = text.partition(".SH DESCRIPTION\n")[2].partition(".SH ")[0]
    assert len(described) > 40, "write it in dmfs/help/commands.md"
    assert f"\ndmfs {command}" in text.partition(".SH EXAMPLES")[2].replace(r"\-", "-")


def test_every_mount_option_and_every_setting_has_its_lines() -> None:
    mount, config = PAGES["dmfs-mount.1"], PAGES["dmfs-config.5"]
    for name in (*FLAGS, *VALUED):
        assert re.search(rf"^\.TP\n\\fB{name}\b", mount, re.MULTILINE), name
    for key, declared in DECLARED.items():
        assert (f"\n\\fB{key}\\fR = " in config) != declared.hidden, key
        if declared.environment and not declared.hidden:
            assert f"\\fB{declared.environment}\\fR" in config


def test_every_promise_is_in_the_page_of_semantics() -> None:
    promises = re.findall(r"^- `(\w+)`:", SEMANTICS.read_text("utf-8"), re.MULTILINE)
    assert len(promises) > 100
    for promise in promises:
        assert f".TP\n\\fB{promise}\\fR\n" in PAGES["dmfs-semantics.7"], promise


def test_the_same_dmfs_writes_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    assert main(["documents", str(tmp_path / "a")]) == 0
    assert main(["documents", str(tmp_path / "b")]) == 0
    made = documents("")
    for directory in ("a", "b"):
        files = [each for each in (tmp_path / directory).rglob("*") if each.is_file()]
        assert {
            str(each.relative_to(tmp_path / directory)): each.read_text("utf-8") for each in files
        } == made
    assert not any(re.search(r"\b20\d\d-\d\d-\d\d\b", line) for text in made.values()
                   for line in text.splitlines() if line.startswith(".TH"))  # fmt: skip
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1777593600")
    assert main(["documents", str(tmp_path / "a")]) == 0
    assert (
        (tmp_path / "a/man/man1/dmfs.1")
        .read_text("utf-8")
        .startswith(f'.TH DMFS 1 "{DATE}" "dmfs ')
    )
    capsys.readouterr()
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "tomorrow")
    assert main(["documents", str(tmp_path / "a")]) == 2
    assert "SOURCE_DATE_EPOCH 'tomorrow'" in capsys.readouterr().err


def test_a_directory_that_cannot_be_written_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert main(["documents", str(tmp_path / "file")]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_words_come_out_as_they_are_written() -> None:
    assert escaped(r"--no-browser ~/a\b `x` …") == r"\-\-no\-browser \(ti/a\eb \(gax\(ga \[u2026]"
    assert inline("see `ls -l`, **not** *PATH* or [the page](https://a.b/c)") == (
        r"see \fBls \-l\fR, \fBnot\fR \fIPATH\fR or the page (https://a.b/c)"
    )
    assert all(text.isascii() for text in PAGES.values())
    for name, text in PAGES.items():
        assert max(map(len, text.splitlines())) <= 95, name
        assert not re.search(r"^'", text, re.MULTILINE), name


@pytest.mark.parametrize(
    "reader",
    [
        pytest.param(["mandoc", "-Tlint"], marks=pytest.mark.tool("mandoc")),
        pytest.param(["groff", "-man", "-Tutf8", "-ww", "-z"], marks=pytest.mark.tool("groff")),
    ],
    ids=["mandoc", "groff"],
)
def test_readers_of_man_pages_have_nothing_to_complain_of(
    tmp_path: Path, reader: list[str]
) -> None:
    for name, text in PAGES.items():
        (tmp_path / name).write_text(text, "ascii")
    done = subprocess.run(
        [*reader, *sorted(PAGES)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stdout + done.stderr == ""
    assert done.returncode == 0

"""Every ``dmfs …`` that a page tells to type is one that the parser takes.

Blocks that are marked as tested are run as well (``tests/mount/test_readme.py``); this looks at all
the others, too: at a login in a browser, at what takes an hour, at what needs a real account.
"""

from __future__ import annotations

import functools
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from dmfs.cli.parser import parse, parsers

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "dmfs/help").glob("*.md")),
]  # fmt: skip
FENCED = re.compile(r"^ *```\w*\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`(dmfs(?: [^`]*)?)`")
ENDS = {"|", "||", "&&", ";", "&", "(", ")", "|&"}
REDIRECTS = (">", "<", ">>", ">|", "<<<")
_MEANT_AS_EXAMPLE = re.compile("[\u2026\u00b7]|\\.\\.\\.|\\[|^[A-Z]+\\|")


def commands_in(line: str) -> Iterator[list[str]]:
    """The simple commands of a line of shell that are dmfs, those in ``$(…)`` too."""
    text = re.sub(" {3,}.*", "", line.removeprefix("$ "))  # what it does stands in a column
    for inner in re.findall(r"\$\((dmfs [^()]*)\)", text):
        yield from commands_in(inner)
    lexer = shlex.shlex(re.sub(r"\$\([^()]*\)", "VALUE", text), posix=True, punctuation_chars=True)
    lexer.commenters = ""
    lexer.whitespace_split = True
    words: list[str] = []
    skipped = False
    try:
        tokens = [*lexer, ";"]
    except ValueError:  # half a line, such as of a here-document
        return
    for token in tokens:
        if token.startswith("#"):
            break
        if token in ENDS:
            if words and words[0] == "dmfs":
                yield words
            words = []
        elif token in REDIRECTS:
            skipped = True
        elif skipped:
            skipped = False
        elif words or not re.fullmatch(r"\w+=.*|sudo|if|then|while|!|exec", token):
            words.append(token)
    if words and words[0] == "dmfs":
        yield words


def typed_on(page: Path) -> list[list[str]]:
    text = page.read_text("utf-8")
    lines = [
        line.strip() for block in FENCED.findall(text)
        for line in re.sub(r"\\\n\s*", " ", block).splitlines()
    ]  # fmt: skip
    return [words for line in lines if "dmfs" in line for words in commands_in(line)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_tells_to_type_is_understood(
    page: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in typed_on(page):
        shown = " ".join(words)
        if any(_MEANT_AS_EXAMPLE.search(word) for word in words):
            check_names(shown)
            continue
        assert (shown, status_of(words[1:]), capsys.readouterr().err) == (shown, 0, "")


def status_of(words: list[str]) -> int:
    try:
        parse(words)
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_and_options_that_a_page_names_exist(page: Path) -> None:
    for text in INLINE.findall(page.read_text("utf-8")):
        check_names(text)


every_parser = functools.cache(parsers)


def check_names(text: str) -> None:
    """The command of ``dmfs COMMAND …``, and its long options."""
    top, commands = every_parser()
    _, *words = [*text.split(), ""]
    command = next((word for word in words if not word.startswith("-")), "")
    if re.fullmatch(r"[a-z]+", command) is None:
        return  # of COMMAND itself
    assert command in commands, text
    known = {*commands[command].options(), *top.options()}
    for option in re.findall(r"(?<![\w-])--[a-z][a-z-]*", text):
        assert option in known or command == "emulator", text


ELSEWHERE = {
    "scripts/demo": ("tests/cli/test_demo.py", '"demo", "--check"'),
    "apt install ./dmfs_": ("packaging/try-package", 'apt install "$given/dmfs.deb"'),
    "pipx install": ("packaging/try-package", "/tmp/venv/bin/pip -q install"),
    "export DMFS_CLIENT_ID": ("tests/auth/test_login.py", '"DMFS_CLIENT_ID"'),
    "cp systemd/": ("tests/packaging/test_systemd.py", "shutil.copy(UNIT, tmp_path)"),
    "systemctl --user": ("tests/packaging/test_systemd.py", "dmfs@Autodesk.service"),
    "/  /": ("packaging/try-package", "echo '/  /mnt/autodesk  dmfs"),
}
"""Beginnings of lines of the README → the file that does the same in its own way, and its words for
it. (systemd only verifies the unit; nothing enables it.)"""


def test_every_line_of_the_readme_is_run_or_parsed_somewhere() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    others = re.sub(r"<!-- tested -->\n```sh\n.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    used = set()
    for block in FENCED.findall(others):
        for line in map(str.strip, block.splitlines()):
            where = next((each for each in ELSEWHERE if line.startswith(each)), None)
            used.add(where)
            assert where or list(commands_in(line)), line
    assert used - {None} == set(ELSEWHERE)
    for path, words in ELSEWHERE.values():
        assert words in (ROOT / path).read_text("utf-8"), path


def test_commands_are_found_in_lines_of_shell() -> None:
    assert list(commands_in('page=$(dmfs url "/a b") && dmfs ls / | wc # dmfs no')) == [
        ["dmfs", "url", "/a b"], ["dmfs", "ls", "/"],
    ]  # fmt: skip
    assert list(commands_in("$ sudo dmfs umount ~/x > /dev/null; echo dmfs x")) == [
        ["dmfs", "umount", "~/x"]
    ]
    assert sum(len(typed_on(page)) for page in PAGES) > 130


def test_the_pictures_and_pages_that_pages_lead_to_are_there() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#\s:]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"

"""Half a command line is read as the shell will read it."""

from __future__ import annotations

import shlex
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmfs.cli.completion.shell_words import bash_words, fish_word, quoted_for_bash

BREAKS = " \t\n\"'@><=;|&(:"
"""COMP_WORDBREAKS of bash."""
NAMES = st.text(st.sampled_from("aB \"'\\$`/=:@é図~#(…"), max_size=12)


@pytest.mark.parametrize(
    ("line", "words", "cut"),
    [
        ("dmfs ", ["dmfs", ""], 0),
        ("dmfs  ls   /A", ["dmfs", "ls", "/A"], 0),
        (r"dmfs ls /A\ B", ["dmfs", "ls", "/A B"], 0),
        ('dmfs ls "/A B', ["dmfs", "ls", "/A B"], 0),
        ('dmfs ls /A/"B C', ["dmfs", "ls", "/A/B C"], 3),
        ('dmfs ls "/A B"/C', ["dmfs", "ls", "/A B/C"], 0),
        ("dmfs ls '/A\\ B", ["dmfs", "ls", "/A\\ B"], 0),
        ('dmfs ls "a\\"b\\c', ["dmfs", "ls", 'a"b\\c'], 0),
        ("dmfs --profile=wo", ["dmfs", "--profile=wo"], 10),
        (r"dmfs ls /a\:b:c", ["dmfs", "ls", "/a:b:c"], 5),
        ("dmfs ls ''", ["dmfs", "ls", ""], 0),
        ("dmfs ls a\\", ["dmfs", "ls", "a"], 0),
        ("dmfs ls '' ", ["dmfs", "ls", "", ""], 0),
    ],
)
def test_the_words_of_a_line_and_what_readline_replaces(
    line: str, words: list[str], cut: int
) -> None:
    assert bash_words(line, BREAKS)[:2] == (words, cut)


@given(st.lists(NAMES, min_size=1, max_size=4))
def test_words_that_were_quoted_come_back(words: list[str]) -> None:
    assert bash_words(" ".join(map(shlex.quote, words)), BREAKS)[0] == words


@given(NAMES, st.integers(0, 30))
def test_half_a_word_is_its_beginning(word: str, end: int) -> None:
    """However it is quoted, wherever the cursor is: what is typed is a beginning of the word."""
    double = '"' + "".join(f"\\{each}" if each in '"\\$`' else each for each in word) + '"'
    single = "'" + word.replace("'", "x") + "'"
    plain = "".join(f"\\{each}" for each in word)
    for line, whole in ((double, word), (plain, word), (single, word.replace("'", "x"))):
        half, cut, _ = bash_words(f"dmfs {line[: end + 1]}", BREAKS)
        assert len(half) == 2
        assert whole.startswith(half[1].rstrip("\\") if line is double else half[1])
        assert 0 <= cut <= len(half[1])


@given(NAMES, st.sampled_from(["", "'", '"']))
def test_what_is_quoted_is_read_as_it_was(name: str, mark: str) -> None:
    line = f"dmfs {mark}{quoted_for_bash(name, mark)}"
    assert bash_words(line, BREAKS)[0] == ["dmfs", name]
    if name and mark != '"':  # shlex knows no backslash before a $ there
        assert shlex.split(line + mark) == ["dmfs", name]


@given(NAMES)
def test_no_line_is_too_bad(line: str) -> None:
    words, cut, _ = bash_words(line, BREAKS)
    assert words
    assert cut <= len(words[-1])
    fish_word(line)


@pytest.mark.parametrize(
    ("token", "word"),
    [
        (r"/A\ B", "/A B"), ("'/A B", "/A B"), ('"/A B"/C', "/A B/C"), (r"'a\'b", "a'b"),
        (r'"a\$b', "a$b"), (r"'a\nb", r"a\nb"), ("", ""), ("a\\", "a"),
    ],
)  # fmt: skip
def test_a_word_of_fish(token: str, word: str) -> None:
    assert fish_word(token) == word


@pytest.mark.tool("bash")
def test_bash_itself_reads_the_same_words() -> None:
    lines = [r"a\ b 'c d' \"e", '"a\'b" \'c"d\' e"f g"h', r'"a\\b\c" x\\y', "図\\ 面 '…'"]
    for line in lines:
        done = subprocess.run(
            ["bash", "-c", f"printf '%s\\n' {line}"], capture_output=True, check=True, text=True
        )
        assert bash_words(line, BREAKS)[0] == done.stdout.splitlines()

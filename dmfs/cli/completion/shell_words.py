"""The words of a command line that is still being typed, as its shell will read them. Pure."""

from __future__ import annotations

_ESCAPED_IN_DOUBLE = '"\\$`\n'
_SPECIAL = frozenset("\"'\\$` \t|&;()<>*?[]{}!#~^=")


def bash_words(line: str, word_breaks: str) -> tuple[list[str], int, str]:
    """The words of a line up to the cursor, without their quotes; the last one is being typed.

    Also how many characters of the last one stand before what readline replaces: it takes a word
    to begin anew behind each of ``word_breaks`` (COMP_WORDBREAKS: ``=``, ``:``) and behind an open
    quotation mark, and the whole of a word whose quotation marks are closed. Last the mark that is
    open, or ''.
    """
    words: list[str] = []
    word: list[str] = []
    is_word, prefix_length, at, still_open = False, 0, 0, ""
    while at < len(line):
        letter = line[at]
        if letter in "'\"":
            end, inner = _quoted(line, at)
            is_word = True
            if end < 0:  # still open
                prefix_length, still_open = len(word), letter
                at = len(line)
            else:
                at = end
            word += inner
        elif letter == "\\":
            word += line[at + 1 : at + 2].replace("\n", "")
            is_word, at = True, at + 2
        elif letter in " \t\n":
            if is_word:
                words.append("".join(word))
            word, is_word, prefix_length, at = [], False, 0, at + 1
        else:
            word.append(letter)
            is_word, at = True, at + 1
            if letter in word_breaks:
                prefix_length = len(word)
    return [*words, "".join(word)], prefix_length, still_open


def quoted_for_bash(text: str, still_open: str) -> str:
    """The rest of a word as it is typed behind an open quotation mark, or behind none."""
    if still_open == "'":
        return text.replace("'", "'\\''")
    special = '"\\$`' if still_open else _SPECIAL
    return "".join(f"\\{letter}" if letter in special else letter for letter in text)


def fish_word(token: str) -> str:
    """One word as fish holds it, its quotation marks perhaps still open."""
    word: list[str] = []
    at = 0
    while at < len(token):
        if token[at] in "'\"":
            end, inner = _quoted(token, at, "'\\" if token[at] == "'" else _ESCAPED_IN_DOUBLE)
            word += inner
            at = end if end >= 0 else len(token)
        elif token[at] == "\\":
            word += token[at + 1 : at + 2]
            at += 2
        else:
            word.append(token[at])
            at += 1
    return "".join(word)


def _quoted(line: str, start: int, escaped: str = "") -> tuple[int, list[str]]:
    """Where the text in quotation marks ends (behind the second one; -1: nowhere), and its
    characters. ``escaped``: before which a backslash means the character itself."""
    mark = line[start]
    if mark == '"':
        escaped = escaped or _ESCAPED_IN_DOUBLE
    inner: list[str] = []
    at = start + 1
    while at < len(line):
        if line[at] == mark:
            return at + 1, inner
        if line[at] == "\\" and line[at + 1 : at + 2] and line[at + 1] in escaped:
            at += 1
        inner.append(line[at])
        at += 1
    return -1, inner

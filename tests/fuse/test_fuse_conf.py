"""What root writes into /etc/fuse.conf, as fusermount3 takes it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmfs.fuse import mountpoint
from dmfs.fuse.mountpoint import user_allow_other

WORD = b"user_allow_other"


@pytest.fixture
def conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(mountpoint, "FUSE_CONF", tmp_path / "fuse.conf")
    return tmp_path / "fuse.conf"


@pytest.mark.parametrize(
    "text",
    [
        WORD, WORD + b"\n", b"  \t" + WORD + b" \t\n", WORD + b"\r\n", b"\r\n" + WORD + b"\r\n",
        WORD + b" # for all\n", WORD + b"#\n", b"# comment\n\n" + WORD, b"mount_max = 9\n" + WORD,
        b"\0\xff\xfe\n" + WORD + b"\n", WORD + b"\n" + WORD,
    ],
)  # fmt: skip
def test_the_word_on_a_line_of_its_own_allows(conf: Path, text: bytes) -> None:
    conf.write_bytes(text)
    assert user_allow_other() is True


@pytest.mark.parametrize(
    "text",
    [
        b"", b"\n", b"#" + WORD, b" # " + WORD + b"\n", WORD + b"s", b"no_" + WORD, b"x " + WORD,
        WORD + b" x", WORD + b" = 1", WORD.upper(), WORD + b"\0", b"\0" + WORD, WORD[:-1],
        b"user_allow\n_other", "\u00a0".encode() + WORD, WORD + "\u3000".encode(),
        "\ufeff".encode() + WORD, WORD.decode().encode("utf-16"), b"mount_max = 1000\n",
    ],
)  # fmt: skip
def test_anything_else_does_not(conf: Path, text: bytes) -> None:
    conf.write_bytes(text)
    assert user_allow_other() is False


def test_a_file_that_is_missing_allows_nothing_and_one_that_is_not_ours_tells_nothing(
    conf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert user_allow_other() is False
    conf.mkdir()
    assert user_allow_other() is False

    def refused(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refused)
    assert user_allow_other() is None


LINES = st.lists(
    st.tuples(
        st.sampled_from([b"", b" ", b"\t ", b"x", b"\xa0", b"\0", b"#"]),
        st.sampled_from([WORD, b"", b"mount_max = 1"]),
        st.sampled_from([b"", b" ", b"\r", b"x", b"\xff", b"\0", b"# why", b" #" + WORD]),
    )
)


@given(LINES)
def test_one_good_line_among_any_others(lines: list[tuple[bytes, bytes, bytes]]) -> None:
    good = {b"", b" ", b"\t "}, {b"", b" ", b"\r", b"# why", b" #" + WORD}
    expected = any(
        word == WORD and before in good[0] and behind in good[1] for before, word, behind in lines
    )
    text = b"\n".join(b"".join(line) for line in lines)
    assert mountpoint._allows_other(text) is expected

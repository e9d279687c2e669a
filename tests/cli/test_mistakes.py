"""What is said of a mistyped command line: one line in plain words, on stderr, status 2."""

from __future__ import annotations

import re

import pytest

from dmfs.cli.main import main
from dmfs.cli.parser import COMMANDS, MORE, parse, parsers
from dmfs.fuse.mount_options import FLAGS, VALUED
from dmfs.fuse.mountpoint import parse_options

PARSER_WORDS = (
    "invalid choice", "unrecognized", "arguments are required", "expected one argument",
    "ignored explicit", "argument COMMAND", "choose from", "positional",
)  # fmt: skip
MISTAKES = {
    "moutn / /x": "there is no command 'moutn' — did you mean 'mount'?",
    "xyzzy": "there is no command 'xyzzy' — known are: cat, demo,",
    "--profile": "a command is missing after --profile",
    "--profile work": "a command is missing after --profile work",
    "--profil work ls": "there is no option --profil — did you mean '--profile'?",
    "--foreground mount / /x": "--foreground comes after the command: dmfs mount --foreground",
    "-x ls": "there is no option -x",
    "mount": "SOURCE and MOUNTPOINT are missing: dmfs mount [options] SOURCE MOUNTPOINT",
    "mount /": "MOUNTPOINT is missing: dmfs mount",
    "mount / /x -o": "-o needs a value",
    "mount / /x y": "'y' is too much: dmfs mount [options] SOURCE MOUNTPOINT",
    "mount / EMPTY": "MOUNTPOINT: it is empty",
    "ls EMPTY": "PATH: it is empty",
    "umount": "MOUNTPOINT is missing: dmfs umount",
    "--profile x umount /x": "there is no option --profile here, but dmfs mount has one",
    "ls --jsn": "there is no option --jsn — did you mean '--json'?",
    "ls --json=x": "--json takes no value ('x')",
    "ls -la": "there is no option -a",
    "ls -x": "there is no option -x",
    "ls --offset 3": "there is no option --offset here, but dmfs cat has one",
    "ls --log-level loud": "--log-level cannot be 'loud' — known are: debug, error, info, warning",
    "--log-level=inf ls": "--log-level cannot be 'inf' — did you mean 'info'?",
    "ls --set": "--set needs a value",
    "stat": "PATH is missing: dmfs stat [options] PATH",
    "cat x --length": "--length needs a value",
    "cat x --offset ten": "--offset: 'ten' is not a whole number of bytes",
    "login --p": "--p may be any of --profile, --prompt-login",
    "logout now": "'now' is too much: dmfs logout [options]",
    "whoami --jso=1": "--json takes no value ('1')",
    "doctor --fix": "there is no option --fix",
    "demo a b": "'b' is too much: dmfs demo [options] [MOUNTPOINT]",
    "help confg": "TOPIC cannot be 'confg' — did you mean 'config'?",
}


@pytest.mark.parametrize("line", MISTAKES)
def test_a_mistake_is_said_in_one_plain_line(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["" if word == "EMPTY" else word for word in line.split()])
    out, err = capsys.readouterr()
    assert (ended.value.code, out) == (2, "")
    assert MISTAKES[line] in err
    assert err.startswith("dmfs")
    assert err.count("\n") == 1
    assert not [words for words in PARSER_WORDS if words in err]


@pytest.mark.parametrize("command", parsers()[1])
def test_no_mistake_with_any_command_is_told_in_the_words_of_the_parser(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if command == "emulator":
        return  # its own parser: tests/emulator
    options = [word for word in parsers()[1][command].options() if word not in ("-h", "--help")]
    mistakes = [["--nonsense"], ["-q"], ["a", "b", "c"], ["--", "a", "b", "c"]]
    mistakes += [[word] for word in options] + [[f"{word}=\u5efa\n"] for word in options]
    for words in mistakes:
        status: object = 0
        try:
            parse([command, *words])
        except SystemExit as ended:
            status = ended.code
        out, err = capsys.readouterr()
        assert (status, out) in ((0, ""), (2, ""))
        assert err.startswith(f"dmfs {command}: ") == (status == 2)
        assert not [each for each in PARSER_WORDS if each in err], err


# Options in front of the command


@pytest.mark.parametrize(
    ("line", "same"),
    [
        ("--profile x ls", "ls --profile x"),
        ("--profile=x ls -l /a", "ls --profile=x -l /a"),
        ("--set a=5 --set b=0 --log-level debug cat /a",
         "cat --set a=5 --set b=0 --log-level debug /a"),
        ("--config /c mount / /x -o ro", "mount --config /c / /x -o ro"),
        ("--profile ls ls", "ls --profile ls"),
    ],
)  # fmt: skip
def test_options_that_every_command_has_may_stand_in_front(line: str, same: str) -> None:
    options, ordered = parse(line.split())
    assert options == parsers()[0].parse_args(same.split())
    assert ordered == same.split()  # what starts a background mount has its command first


# Help


def test_the_commands_are_listed_in_plain_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    text = capsys.readouterr().out
    assert main(["help"]) == 0
    assert capsys.readouterr().out == text
    for words in (["-h"], ["--help"]):
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert ended.value.code == 0
        assert capsys.readouterr().out == text
    assert max(map(len, text.splitlines())) <= 80
    listed = [*(name for group in COMMANDS.values() for name in group), *MORE]
    assert sorted([*listed, "help"]) == sorted(parsers()[1])
    assert all(f"\n  {name} " in text for name in [*listed, "help"])
    assert not [words for words in (*PARSER_WORDS, "{", "exit\n") if words in text]


@pytest.mark.parametrize("command", parsers()[1])
def test_each_command_is_explained_by_help_too(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    if command == "emulator":
        return
    assert main(["help", command]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"usage: dmfs {command} ")
    assert max(map(len, text.splitlines())) <= 80
    assert not [words for words in PARSER_WORDS if words in text]
    for action in parsers()[1][command]._actions:
        assert action.help, f"{command}: {action.dest} is not explained"


def test_the_mount_options_are_listed_as_they_are_accepted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each listed one is taken, and none besides."""
    lists = []
    for words in (["mount", "-o", "help"], ["mount", "/", "/x", "-o", "help"], ["mount", "--help"]):
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert ended.value.code == 0
        lists.append(capsys.readouterr().out)
    for text in lists:
        for name in (*FLAGS, *VALUED):
            assert re.search(rf"^ *{name}(=[A-Z]+)?  +\w", text, re.MULTILINE), name
    listed = [line.split()[0] for line in lists[0].splitlines()]
    assert sorted(each.partition("=")[0] for each in listed) == sorted((*FLAGS, *VALUED))
    values = {"NUMBER": "7", "OCTAL": "022", "NAME": "x", "HOW": "copy", "TIME": "7d"}
    for each in listed:
        name, equals, value = each.partition("=")
        servers = ",allow_other" if name == "export" else ""
        parse_options(name + equals + values.get(value, "") + servers)

"""A parser as lines of man(7): its synopsis, and all that may be typed. Pure."""

# ruff: noqa: SLF001 - argparse shows its parts to nobody
from __future__ import annotations

import argparse
from collections.abc import Iterator

from dmfs.cli.documents.roff import bold, escaped, filled, italic, section, subsection, tagged


def synopsis(parser: argparse.ArgumentParser) -> list[str]:
    """``dmfs mount [options] SOURCE MOUNTPOINT``."""
    words = [bold(parser.prog), rf"[\fI{escaped('options')}\fR]"]
    words += [_placed(action) for action in positionals(parser)]
    return filled(" ".join(words))


def arguments_and_options(parser: argparse.ArgumentParser) -> list[str]:
    """The sections ARGUMENTS and OPTIONS."""
    return [*section("arguments", _arguments(parser)), *section("options", _options(parser))]


def positionals(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """What has its place instead of a name."""
    return [action for action in _actions(parser) if not action.option_strings]


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    return (each for each in parser._actions if each.help is not argparse.SUPPRESS)


def _placed(action: argparse.Action) -> str:
    name = italic(str(action.metavar or action.dest))
    many = r"\ \[u2026]"
    forms = {"?": f"[{name}]", "*": f"[{name}{many}]", "+": name + many}
    return forms.get(str(action.nargs), name)


def _arguments(parser: argparse.ArgumentParser) -> list[str]:
    lines = []
    for action in positionals(parser):
        lines += tagged(italic(str(action.metavar or action.dest)), help_of(parser, action))
    return lines


def _options(parser: argparse.ArgumentParser) -> list[str]:
    """Those of the command itself, then each group of others below its title."""
    lines: list[str] = []
    groups = parser._action_groups
    for group in groups:
        own = group in (parser._positionals, parser._optionals)
        body = []
        for action in group._group_actions:
            if action.option_strings and action.help is not argparse.SUPPRESS:
                body += tagged(_spelled(action), help_of(parser, action))
        lines += body if own else subsection(_sentence(group.title or ""), body)
    return lines


def help_of(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    """One sentence: with its default filled in."""
    text = action.help or ""
    if "%" in text:
        text = parser._get_formatter()._expand_help(action)
    first = text.partition(" ")[0].rstrip(",:;")
    if first in {*map(str, action.choices or ()), str(action.default)}:
        return text  # what may be typed stays as it is typed
    return _sentence(text)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _spelled(action: argparse.Action) -> str:
    """``-o FILE, --output FILE``."""
    words = []
    for name in sorted(action.option_strings, key=lambda each: each.startswith("--")):
        value = ""
        if action.nargs != 0:
            value = " " + italic(str(action.metavar or action.dest.upper()))
        words.append(bold(name) + value)
    return ", ".join(words)

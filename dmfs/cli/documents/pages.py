"""The man pages: one a command, from the parser that reads its arguments. Pure."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path

import dmfs.help
from dmfs import __version__
from dmfs.cli.documents.grammar_page import arguments_and_options, synopsis
from dmfs.cli.documents.markdown import as_sections, blocks, code_of, rendered, sections
from dmfs.cli.documents.roff import (
    bold,
    escaped,
    example,
    filled,
    page,
    paragraph,
    section,
    subsection,
    tagged,
)
from dmfs.cli.documents.settings_page import environment_of, settings_sections
from dmfs.cli.parser import COMMANDS, HELP_TEXT, MORE, parsers
from dmfs.emulator.command_line import command_line as emulator_command_line
from dmfs.fuse.descriptor.command import command_line as descriptor_command_line
from dmfs.fuse.mount_options import FLAGS, FSTAB, VALUED

SOURCE = f"dmfs {__version__}"
COMMON_ENVIRONMENT = ("DMFS_CLIENT_ID", "DMFS_CLIENT_SECRET", "DMFS_PROFILE", "DMFS_CONFIG")
FILES = {
    "~/.config/dmfs/config.toml": "The settings; see dmfs-config(5).",
    "~/.cache/dmfs": "Blocks and listings, readable by you alone.",
    "~/.local/state/dmfs": "Sign-ins, pins, what waits to go up, and the logs of mounts (`log/`).",
}
"""Of every command; in dmfs(1)."""
SEE_ALSO = {
    "mount": "dmfs-umount(1) dmfs-status(1) dmfs-config(5) dmfs-semantics(7) mount.dmfs(8)"
    " dmfs-mountfd(8)",
    "umount": "dmfs-mount(1) dmfs-uploads(1) fusermount3(1)",
    "find": "find(1) dmfs-ls(1) dmfs-refresh(1)",
    "uploads": "dmfs-mount(1) dmfs-put(1) dmfs-semantics(7)",
    "versions": "dmfs-semantics(7) dmfs-ls(1)",
    "pin": "dmfs-unpin(1) dmfs-warm(1) dmfs-offline(1)",
    "warm": "dmfs-pin(1) dmfs-evict(1)",
    "status": "dmfs-top(1) dmfs-events(1)",
    "doctor": "dmfs-whoami(1) dmfs-login(1)",
    "login": "dmfs-logout(1) dmfs-whoami(1) dmfs-doctor(1)",
}
"""Beside dmfs(1)."""
STATUS = {
    "0": "It is done.",
    "1": "It failed; one line on stderr says why, and what to do.",
    "2": "The command line is wrong.",
    "130": "It was interrupted.",
}


def pages(date: str) -> dict[str, str]:
    """Name of the file (``dmfs-mount.1``) → its text. ``date``: ISO 8601, or ''."""
    top, commands = parsers()
    texts = sections(_text("commands.md"))
    purposes = _purposes()
    found = {"dmfs.1": _main_page(date, top, texts["dmfs"], purposes)}
    for name, parser in (commands | {"emulator": emulator_command_line()}).items():
        purpose = purposes.get(name) or parser.description or ""
        found[f"dmfs-{name}.1"] = _command_page(date, name, parser, purpose, texts.get(name, ""))
    found["dmfs-config.5"] = page("dmfs-config", 5, date, SOURCE, [
        *_name("dmfs-config", "settings of dmfs"), *settings_sections(), *_see("dmfs(1)"),
    ])  # fmt: skip
    found["dmfs-semantics.7"] = page("dmfs-semantics", 7, date, SOURCE, [
        *_name("dmfs-semantics", "what the drive promises, and what not"),
        *as_sections(_text("semantics.md")), *_see("dmfs(1) dmfs-mount(1)"),
    ])  # fmt: skip
    found["mount.dmfs.8"] = _helper_page(date)
    found["dmfs-mountfd.8"] = _descriptor_page(date, texts["dmfs-mountfd"])
    return found


def _text(name: str) -> str:
    return (Path(dmfs.help.__file__).parent / name).read_text("utf-8")


def _purposes() -> dict[str, str]:
    found = {name: text for group in COMMANDS.values() for name, text in group.items()}
    return {**found, **MORE, "help": HELP_TEXT}


def _main_page(
    date: str, top: argparse.ArgumentParser, text: str, purposes: Mapping[str, str]
) -> str:
    lines: list[str] = []
    for group, names in {**COMMANDS, "More": ("help", *MORE)}.items():
        body = [
            line for name in names
            for line in tagged(f"{bold(f'dmfs-{name}')}(1)", f"{purposes[name]}.")
        ]  # fmt: skip
        lines += subsection(group, body)
    body, examples = _parts(text)
    return page("dmfs", 1, date, SOURCE, [
        *_name("dmfs", "Autodesk cloud storage as a Linux drive"),
        *section("synopsis", [rf"{bold('dmfs')} \fICOMMAND\fR [\fIargument\fR \[u2026]]", ".br",
                              bold("dmfs --version")]),
        *section("description", body),
        *section("commands", lines),
        *arguments_and_options(top_options_only(top)),
        *_ending(STATUS, environment_of(()), examples),
        *section("files", [line for at, what in FILES.items() for line in tagged(bold(at), what)]),
        *_see("dmfs-mount(1) dmfs-login(1) dmfs-config(5) dmfs-semantics(7) mount.dmfs(8)"),
    ])  # fmt: skip


def top_options_only(top: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """The options in front of a command, without the commands."""
    plain = argparse.ArgumentParser(prog=top.prog, add_help=False)
    for action in top._actions:  # noqa: SLF001 - argparse shows them to nobody
        if action.option_strings:
            plain._add_action(action)  # noqa: SLF001
    return plain


def _command_page(
    date: str, name: str, parser: argparse.ArgumentParser, purpose: str, text: str
) -> str:
    body, examples = _parts(text)
    has_settings = any("--profile" in each.option_strings for each in parser._actions)  # noqa: SLF001
    environment = environment_of(COMMON_ENVIRONMENT) if has_settings else []
    also = [*SEE_ALSO.get(name, "").split(), "dmfs(1)"]
    lines = [
        *_name(f"dmfs-{name}", purpose.removeprefix(f"dmfs {name}: ").rstrip(".")),
        *section("synopsis", synopsis(parser)),
        *section("description", body or paragraph(f"{purpose}.")),
        *arguments_and_options(parser),
    ]
    if name == "mount":
        lines += section("mount options", _mount_options())
    elif parser.epilog:
        lines += section("forms", example(parser.epilog))
    lines += _ending(STATUS, environment, examples)
    return page(f"dmfs-{name}", 1, date, SOURCE, [*lines, *_see(" ".join(also))])


def _parts(text: str) -> tuple[list[str], list[str]]:
    """The prose of a command, and its examples."""
    found = list(blocks(text))
    prose = "\n\n".join(each for each in found if not each.startswith("```"))
    code = [line for each in found if each.startswith("```") for line in example(code_of(each))]
    return rendered(prose), code


def _name(name: str, purpose: str) -> list[str]:
    return [".SH NAME", *filled(f"{escaped(name)} \\- {escaped(purpose)}")]


def _ending(
    statuses: Mapping[str, str], environment: list[str], examples: list[str]
) -> Iterator[str]:
    body = [line for status, words in statuses.items() for line in tagged(bold(status), words)]
    yield from section("exit status", body)
    yield from section("environment", environment)
    yield from section("examples", examples)


def _see(names: str) -> list[str]:
    words = []
    for each in names.split():
        name, _, number = each.partition("(")
        words.append(f"{bold(name)}({number}")
    return section("see also", filled(", ".join(words)))


def _mount_options() -> Iterator[str]:
    yield from filled(escaped("After -o, with commas between them."))
    for name, text in FLAGS.items():
        yield from tagged(bold(name), _sentence(text))
    for name, (value, text) in VALUED.items():
        yield from tagged(rf"{bold(f'{name}=')}\fI{escaped(value)}\fR", _sentence(text))
    yield from paragraph(
        "What fstab alone needs is taken without effect: "
        + ", ".join(f"`{word}`" for word in sorted(FSTAB)) + "."
    )  # fmt: skip


def _descriptor_page(date: str, text: str) -> str:
    parser = descriptor_command_line()
    body, examples = _parts(text)
    forms = [line.removeprefix("usage:").strip() for line in (parser.usage or "").splitlines()]
    return page("dmfs-mountfd", 8, date, SOURCE, [
        *_name("dmfs-mountfd", "mount a drive that another process serves"),
        *section("synopsis", example(forms)),
        *section("description", body),
        *arguments_and_options(parser),
        *_ending(STATUS, [], examples),
        *_see("dmfs-mount(1) systemd.service(5)"),
    ])  # fmt: skip


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _helper_page(date: str) -> str:
    usage = rf"{bold('mount.dmfs')} \fISOURCE\fR \fIMOUNTPOINT\fR [\fB\-sfnv\fR]"
    return page("mount.dmfs", 8, date, SOURCE, [
        *_name("mount.dmfs", "mount an Autodesk drive by mount(8) and fstab(5)"),
        *section("synopsis", [*filled(rf"{usage} [\fB\-o\fR \fIoptions\fR]")]),
        *section("description", [
            *paragraph("mount(8) runs it for a filesystem of the type `dmfs`; it is "
                       "`dmfs mount` with the options in the order of mount(8)."),
            *paragraph("mount(8) puts `rw` in front of all options. The drive is read-only all the "
                       "same, unless `rw` stands in the line of fstab."),
        ]),
        *section("options", [
            *tagged(bold("-o") + r" \fIoptions\fR", "The mount options of dmfs-mount(1)."),
            *tagged(bold("-f"), "Nothing is mounted."),
            *tagged(", ".join(map(bold, ("-s", "-n", "-v"))), "Taken without effect."),
        ]),
        *_ending(STATUS, [], example(
            "/  /mnt/autodesk  dmfs  _netdev,nofail,allow_other,uid=1000,gid=1000  0  0\n"
            "/  /home/ada/Autodesk  dmfs  _netdev,noauto,user,rw  0  0"
        )),
        *_see("dmfs-mount(1) mount(8) fstab(5)"),
    ])  # fmt: skip

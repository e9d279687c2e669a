"""dmfs-config(5): every setting, from its declaration. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from dmfs.cli.documents.roff import bold, example, filled, inline, paragraph, section, tagged
from dmfs.config import DECLARED, PROFILE_KEYS
from dmfs.help.topics import facts_of, visible

OTHER_VARIABLES = {
    "DMFS_CONFIG": "The configuration file, instead of `~/.config/dmfs/config.toml`.",
    "XDG_CONFIG_HOME": "Where configurations are, instead of `~/.config`.",
    "XDG_CACHE_HOME": "Where caches are, instead of `~/.cache`.",
    "XDG_STATE_HOME": "Where programs keep their state, instead of `~/.local/state`.",
}
"""Which no setting declares."""
_EXAMPLE = """\
ttl = "5m"
cache_size = "50G"

[profiles.work]
client_id = "..."
"""


def settings_sections() -> list[str]:
    """DESCRIPTION, SETTINGS, PROFILES, ENVIRONMENT and FILES."""
    return [
        *section("description", [
            *paragraph("A setting is taken from `--set KEY=VALUE`, else from the environment, else "
                       "from the configuration file, else it has its default. The file is a flat "
                       "table of TOML; an unknown key is an error."),
            *paragraph("Sizes are bytes, or numbers with `K`, `M`, `G`; durations are seconds, or "
                       "numbers with `s`, `m`, `h`, `d`. `dmfs help config` prints a file of all "
                       "defaults."),
        ]),
        *section("settings", _settings()),
        *section("profiles", paragraph(
            "Each account may have a profile. `--profile NAME` or `DMFS_PROFILE` picks one, and a "
            "table `[profiles.NAME]` may set: "
            + ", ".join(f"`{key}`" for key in PROFILE_KEYS) + "."
        )),
        *section("environment", environment_of(())),
        *section("files", tagged(bold("~/.config/dmfs/config.toml"),
                                 "The configuration file. Where it holds a secret, its mode "
                                 "should be 0600.")),
        *section("examples", example(_EXAMPLE.rstrip())),
    ]  # fmt: skip


def _settings() -> list[str]:
    lines = []
    for key, declared in visible():
        default, limits = facts_of(key, declared)
        lines += [".TP", f"{bold(key)} = {bold(default)}", *filled(inline(declared.help)), ".br",
                  *filled(inline(f"({limits})"))]  # fmt: skip
    return lines


def environment_of(names: Iterable[str]) -> list[str]:
    """What these variables do; all that there are, for none."""
    wanted = set(names)
    lines = []
    for key, declared in DECLARED.items():
        name = declared.environment
        if name and not declared.hidden and (not wanted or name in wanted):
            lines += tagged(bold(name), f"{declared.help} (The setting `{key}`.)")
    for name, text in OTHER_VARIABLES.items():
        if not wanted or name in wanted:
            lines += tagged(bold(name), text)
    return lines

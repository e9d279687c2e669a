"""AppArmor's profile of fusermount3 (Ubuntu from 24.10 on): where it lets ordinary users mount.

The profile allows some places and some sets of options; fusermount3 says *Permission denied* of all
others, whoever owns the directory. Root mounts without fusermount3, and is not confined by it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from dmfs.system.mountinfo import FILESYSTEM

PROFILE = Path("/etc/apparmor.d/fusermount3")
LOCAL = Path("/etc/apparmor.d/local/fusermount3")
DISABLED = Path("/etc/apparmor.d/disable/fusermount3")
SWITCH = Path("/sys/module/apparmor/parameters/enabled")
PROFILE_MAX_BYTES = 1 << 20
RELOAD = f"apparmor_parser -r {PROFILE}"
VARIABLES = {
    "HOME": ("/home/*/", "/root/"),
    "HOMEDIRS": ("/home/",),
    "run": ("/run/", "/var/run/"),
    "uid": ("[0-9]*",),
}
"""As Ubuntu's tunables have them; what the profile sets itself comes before."""
USUAL = frozenset({"nosuid", "nodev"})
"""fusermount3 adds both to what ordinary users mount."""
_SET = re.compile(r"@\{(\w+)\}\s*\+?=\s*(.+)", re.ASCII)
_RULE = re.compile(
    r"(?P<deny>(?:audit\s+|allow\s+)*deny\s+)?(?:audit\s+|allow\s+)*mount\b(?P<rest>.*)"
)
_CONDITION = re.compile(r"(fstype|vfstype|options|option)\s*(=|\bin\b)\s*(\([^)]*\)|[^\s(]+)")
_VARIABLE = re.compile(r"@\{(\w+)\}", re.ASCII)
_EXPANSIONS_MAX = 200


@dataclass(frozen=True, slots=True)
class Rule:
    """``mount fstype=… options=(…) options in (…) -> …``"""

    denies: bool
    fstypes: tuple[str, ...]
    """Patterns; empty for any."""
    exactly: frozenset[str] | None
    """Options that have to be there, and no others but those of ``maybe``; None: any."""
    maybe: frozenset[str]
    places: tuple[str, ...]
    """Patterns of the mountpoint with a slash at its end; empty for any."""

    def covers(self, place: str, options: frozenset[str]) -> bool:
        """Whether a mount of ours is one of this rule's. ``rw`` is the absence of ``ro``."""
        fits = self.exactly is None or self.exactly <= options <= self.exactly | self.maybe
        of_type = not self.fstypes or any(_matches(each, FILESYSTEM) for each in self.fstypes)
        return fits and of_type and (not self.places or self.covers_place(place))

    def covers_place(self, place: str) -> bool:
        return any(_matches(each, place) for each in self.places)


class Profile:
    """The text of a profile with its local addition. Pure."""

    def __init__(self, text: str, local: str = "") -> None:
        self._text = re.sub(r"(?m)(^|\s)#(?!include).*$", r"\1", f"{text}\n{local}")
        self.takes_local = "local/fusermount3" in text
        header = re.search(r"(?m)^\s*profile\s+fusermount3\b([^{]*(?:\{[^}]*\}[^{]*)?)\{\s*$", text)
        flags = header[1] if header else ""
        self.is_enforced = not re.search(r"\b(complain|unconfined|default_allow)\b", flags)

    @cached_property
    def rules(self) -> list[Rule]:
        """Those for mounts; what is not understood is left out."""
        variables: dict[str, tuple[str, ...]] = dict(VARIABLES)
        for name, values in _SET.findall(self._text):
            variables[name] = tuple(_words(values))
        found = []
        for statement in _statements(self._text):
            match = _RULE.fullmatch(statement)
            if match:
                found.append(_rule(bool(match["deny"]), match["rest"], variables))
        return found

    def permits(self, mountpoint: str, options: Iterable[str]) -> bool:
        """Whether an ordinary user may mount there; ``options`` are such as ``ro``, ``noatime``."""
        place, wanted = f"{mountpoint.rstrip('/')}/", USUAL | (set(options) - {"rw"})
        hits = [rule.denies for rule in self.rules if rule.covers(place, wanted)]
        return bool(hits) and not any(hits)

    def places(self) -> list[str]:
        """The patterns of where a drive may be mounted at all, for people."""
        found = [each for rule in self.rules if not rule.denies for each in rule.places
                 if rule.covers(_example(each), USUAL | {"ro"})]  # fmt: skip
        return list(dict.fromkeys(found))


def profile_in_force(*, is_root: bool) -> Profile | None:
    """The profile that confines this user's mounts; None where AppArmor, or the profile, is off."""
    try:
        if is_root or not SWITCH.read_text("ascii").startswith("Y") or os.path.lexists(DISABLED):
            return None
        profile = Profile(_read(PROFILE), _read(LOCAL, missing=""))
    except (OSError, ValueError):
        return None
    return profile if profile.is_enforced else None


def lines_for(mountpoint: str) -> tuple[str, str]:
    """The two lines for the local addition that permit one mountpoint."""
    path = re.sub(r"([\\\"*?\[\]{}^@])", r"\\\1", mountpoint.rstrip("/")) + "/"
    quoted = path if re.fullmatch(r"[\w./+-]+", path, re.ASCII) else f'"{path}"'
    options = "options=(nosuid,nodev) options in (ro,rw,noatime,noexec)"
    return f"mount fstype={FILESYSTEM} {options} -> {quoted},", f"umount {quoted},"


def remedy(mountpoint: str, profile: Profile) -> str:
    """What root does, in one line."""
    first, second = lines_for(mountpoint)
    where = LOCAL if profile.takes_local else f"the block of {PROFILE}"
    return f"as root add to {where} the lines `{first}` and `{second}`, then {RELOAD}"


def hint_of_refusal(mountpoint: str, options: Iterable[str]) -> str:
    """What to say where fusermount3 did not mount: '' unless the profile is the reason."""
    profile = profile_in_force(is_root=os.geteuid() == 0)
    if profile is None or profile.permits(mountpoint, options):
        return ""
    return f"AppArmor's profile of fusermount3 forbids it there: {remedy(mountpoint, profile)}"


def _read(path: Path, missing: str | None = None) -> str:
    try:
        with path.open("rb") as file:
            return file.read(PROFILE_MAX_BYTES).decode("utf-8", "replace")
    except FileNotFoundError:
        if missing is None:
            raise
        return missing


def _statements(text: str) -> Iterator[str]:
    """Rules end with a comma at the end of a line, and may go over several."""
    held: list[str] = []
    for line in text.splitlines():
        word = line.strip()
        if not held and not re.match(r"(audit|allow|deny|mount)\b", word):
            continue
        held.append(word)
        if word.endswith(","):
            yield " ".join(held)[:-1].strip()
            held.clear()
        elif not word or word in "{}":
            held.clear()


def _rule(denies: bool, rest: str, variables: Mapping[str, tuple[str, ...]]) -> Rule:
    conditions, arrow, place = rest.partition("->")
    fstypes: list[str] = []
    exactly: set[str] | None = None
    maybe: set[str] = set()
    for name, how, value in _CONDITION.findall(conditions):
        words = set(re.split(r"[\s,]+", value.strip("()").strip())) - {""}
        if name.endswith("fstype"):
            fstypes += [
                each for word in _words(value.strip("()")) for each in _expand(word, variables)
            ]
        elif how == "in":
            maybe |= words
        else:
            exactly = (exactly or set()) | words
    if maybe and exactly is None:
        exactly = set()
    places = _expand(_words(place)[0], variables) if arrow and place.strip() else ()
    return Rule(
        denies, tuple(fstypes), None if exactly is None else frozenset(exactly - {"rw"}),
        frozenset(maybe - {"rw"}), tuple(re.sub("/+", "/", each) for each in places),
    )  # fmt: skip


def _words(text: str) -> list[str]:
    """Words of a line; one in double quotes may have blanks."""
    found = re.findall(r'"((?:\\.|[^"\\])*)"|((?:\{[^{}]*\}|\\.|[^\s"])+)', text)
    return [quoted or bare for quoted, bare in found] or [""]


def _expand(word: str, variables: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """All values of a word with variables; one that is not known stays, and matches nothing."""
    todo, done = [word], list[str]()
    while todo and len(todo) + len(done) < _EXPANSIONS_MAX:
        at = todo.pop(0)
        match = next((m for m in _VARIABLE.finditer(at) if m[1] in variables), None)
        if match is None:
            done.append(at)
        else:
            todo += [
                at[: match.start()] + value + at[match.end() :] for value in variables[match[1]]
            ]
    return tuple(done)


def _example(pattern: str) -> str:
    """A place that a pattern covers: for telling which kinds of mounts may be there."""
    flat = re.sub(r"\{([^{},]*)(?:,[^{}]*)*\}", r"\1", re.sub(r"\[(.)[^\]]*\]", r"\1", pattern))
    return re.sub("/+", "/", flat.replace("**", "x").replace("*", "x").replace("?", "x"))


def _matches(pattern: str, text: str) -> bool:
    try:
        return re.fullmatch(_regex(pattern), text) is not None
    except re.error:
        return False


def _regex(pattern: str) -> str:
    """AppArmor's globbing: ``**`` passes slashes, ``*`` does not, and neither is empty where it
    is all of a name."""
    found, at, depth = "", 0, 0
    while at < len(pattern):
        char = pattern[at]
        if char == "\\" and at + 1 < len(pattern):
            found += re.escape(pattern[at + 1])
            at += 1
        elif char == "*":
            stars = len(pattern) - at - len(pattern[at:].lstrip("*"))
            after_slash = at > 0 and pattern[at - 1] == "/"
            rest = pattern[at + stars : at + stars + 1]
            whole = after_slash and rest in ("", "/", ",", "}")
            some = "[^/]" if whole or (after_slash and stars > 1) else ""
            found += some + (".*" if stars > 1 else "[^/]*")
            at += stars - 1
        elif char == "?":
            found += "[^/]"
        elif char == "[":
            end = pattern.find("]", at + 1)
            if end < 0:
                return r"(?!)"
            found += "[" + pattern[at + 1 : end].replace("\\", r"\\") + "]"
            at = end
        elif char == "{":
            found, depth = found + "(?:", depth + 1
        elif char == "}" and depth:
            found, depth = found + ")", depth - 1
        elif char == "," and depth:
            found += "|"
        else:
            found += re.escape(char)
        at += 1
    return found if depth == 0 else r"(?!)"

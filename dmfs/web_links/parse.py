"""From a pasted text to what it names.

What people paste is seldom a clean link: it comes in brackets, cut into lines, encoded twice, or as
the whole text of a shortcut. ``parse`` reads all of that. Hosts serve to tell whose page it is;
nothing is ever sent to them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from dmfs.errors import SetupError
from dmfs.web_links.link import WebLink, from_base64, team_of
from dmfs.web_links.pages import ACC_HOST, B360_HOST, TEAM_DOMAIN

TEXT_MAX_CHARS = 64 * 1024
DECODINGS_MAX = 4
"""Mail gateways and chats encode what is encoded; more than twice was never seen."""

URN_IN_BASE64 = "dXJu"
SHARE_HOST = "a360.co"
"""Short forms of links that share something."""

_GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_URN = re.compile(
    r"urn:adsk\.(?P<realm>[\w-]+):(?:"
    r"(?P<folder>(?:fs|dm)\.folder:[\w.~-]+)|"
    r"(?P<item>dm\.lineage:[\w.~-]+)|"
    r"(?P<version>fs\.file:vf\.[\w.~-]+(?:\?version=\d{1,9})?)|"
    r"(?P<storage>os\.object:[^/\s]+/\S+))",
    re.IGNORECASE,
)
_KINDS = ("folder", "item", "version", "storage")
_A_ID = re.compile(r"a\.[A-Za-z0-9+/_-]{8,}={0,2}")
_ACC = re.compile(r"acc(?:\.[a-z]{2,4})?\.autodesk\.[a-z]{2,3}")
_B360 = re.compile(r"[a-z-]+\.b360(?:\.[a-z]{2,4})?\.autodesk\.[a-z]{2,3}")
_TEAM = re.compile(r"([a-z0-9-]+)\.autodesk360\.[a-z]{2,3}")
_HOST = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,12}", re.IGNORECASE)
_SHORTCUT = re.compile(r"^\s*URL(?:\[[^\]]*\])?\s*=\s*(\S.*?)\s*$", re.MULTILINE | re.IGNORECASE)
_MARKDOWN = re.compile(r"\[[^\]]*\]\(\s*(\S+?)\s*\)")
_LINK_START = re.compile(
    r"(?:https?:|urn[:%]|dXJu|[ab]\.|//|[\w-]+(?:\.[\w-]+)+/|https?%)", re.IGNORECASE
)
_OPENING = "<([{'\"`«»‹›“”„‘’*_ \t\r\n\ufeff\u200b\u00a0"
_CLOSING = ">)]}'\"`«»‹›“”„‘’*,.;:! \t\r\n\ufeff\u200b\u00a0"


def parse(text: str) -> WebLink:
    """What a pasted text names. SetupError with the reason for a text that names nothing."""
    if len(text) > TEXT_MAX_CHARS:
        raise SetupError("this is too long for a link", hint=_HINT)
    shortcut = _SHORTCUT.search(text) if "[" in text else None
    hosts: list[str] = []
    for candidate in _candidates(shortcut[1] if shortcut else text):
        found = _read(candidate, hosts)
        if found is not None:
            return found
    raise _complaint(text, hosts)


_HINT = (
    "paste the address of a file, folder or project as the browser shows it, or an id (urn:adsk.…)"
)


def _candidates(text: str) -> Iterator[str]:
    """Texts that may be the link, the likeliest first."""
    for marked in _MARKDOWN.findall(text):
        yield from _decodings(marked)
    trimmed = _trimmed(text)
    words = trimmed.split()
    if len(words) <= 1:
        yield from _decodings(trimmed)
        return
    if _LINK_START.match(trimmed) and not re.search(r"[ \t]", trimmed):
        yield from _decodings("".join(words))  # a mail program broke it into lines
    for word in words:
        if _LINK_START.match(_trimmed(word)):
            yield from _decodings(_trimmed(word))
    yield from _decodings("".join(words))


def _trimmed(text: str) -> str:
    """Without what surrounds a link in a sentence."""
    return text.lstrip(_OPENING).rstrip(_CLOSING)


def _decodings(text: str) -> Iterator[str]:
    """The text, then decoded again and again."""
    for _ in range(DECODINGS_MAX):
        yield text
        decoded = _trimmed(unquote(text))
        if decoded == text:
            return
        text = decoded


def _plain(text: str) -> str:
    """Decoded as often as it is encoded: no id of the service holds a ``%``."""
    for _ in range(DECODINGS_MAX):
        decoded = unquote(text)
        if decoded == text:
            break
        text = decoded
    return text


def _read(text: str, hosts: list[str]) -> WebLink | None:
    """What one text names; None for nothing. The host of a URL goes to ``hosts``."""
    urn = _urn_in(text)
    if urn:
        return WebLink(**urn)
    if text[:2].lower() == "b." and _GUID.fullmatch(text[2:]):
        return WebLink(hub_id=text.lower(), project_id=text.lower())
    if _A_ID.fullmatch(text) and team_of(text)[0]:
        return WebLink(hub_id=text, project_id=text)
    split = _split(text)
    if split is None:
        return None
    host = (split.hostname or "").lower()
    hosts.append(host)
    team = _TEAM.fullmatch(host)
    if team:
        found = _team_page(team[1], split)
    elif _ACC.fullmatch(host) or _B360.fullmatch(host):
        found = _account_page(split)
    else:
        return None
    return found if found != WebLink() else None


def _split(text: str) -> SplitResult | None:
    """The parts of a URL, with or without a scheme; None for another text."""
    if not re.match(r"https?://", text, re.IGNORECASE):
        text = "https://" + text.removeprefix("//")
    try:
        split = urlsplit(text)
        host = split.hostname or ""
    except ValueError:
        return None
    return split if _HOST.fullmatch(host) else None


def _urn_in(text: str) -> dict[str, str]:
    """The field that an id of the service belongs to, with the id; {} for another text. Ids also
    come in base64, as viewers and Fusion's pages have them."""
    text = (from_base64(text) if text.startswith(URN_IN_BASE64) else "") or text
    match = _URN.fullmatch(text)
    if match is None:
        return {}
    kind = next(each for each in _KINDS if match[each])
    head, colon, tail = text.rpartition(":")  # what is before the last part is all lower case
    return {f"{kind}_id": text if kind == "storage" else head.lower() + colon + tail}


def _account_page(split: SplitResult) -> WebLink:
    """A page of ACC or BIM 360: ``…/projects/GUID…``; ids in the path, the query, behind the #."""
    segments = _segments(split.path)
    found: dict[str, str] = {}
    for before, here in zip(["", *segments], segments, strict=False):
        if not _GUID.fullmatch(here):
            continue
        if before == "projects":
            found.setdefault("project_id", f"b.{here.lower()}")
        elif before in ("accounts", "admin"):
            found.setdefault("hub_id", f"b.{here.lower()}")
    queries = parse_qsl(split.query) + parse_qsl(split.fragment.rpartition("?")[2])
    _add_ids(found, [*segments, *(_plain(value) for _, value in queries)])
    number = dict(queries).get("version", "")
    if found.get("version_id", "?").find("?") < 0 and re.fullmatch(r"\d{1,9}", number):
        found["version_id"] += f"?version={number}"  # its own ? began the query
    return WebLink(**found)


def _team_page(team: str, split: SplitResult) -> WebLink:
    """A page of Fusion Team or BIM 360 Team: ``/g/data/BASE64``, ``/g/projects/NUMBER/data/…``."""
    segments = _segments(split.path)
    if "shares" in segments:
        return WebLink()
    found: dict[str, str] = {"team": team}
    for before, here in zip(["", *segments], segments, strict=False):
        if before == "projects" and re.fullmatch(r"\d{1,20}", here):
            found["project_number"] = here
    _, data, behind = "/".join(segments).partition("data/")
    # base64 of the common alphabet may hold a slash
    _add_ids(found, [behind, *segments] if data else segments)
    if "data" in segments and not any(f"{kind}_id" in found for kind in _KINDS):
        return WebLink()
    return WebLink(**found)


def _segments(path: str) -> list[str]:
    return [_plain(each) for each in path.split("/") if each]


def _add_ids(found: dict[str, str], texts: Iterable[str]) -> None:
    for text in texts:
        for key, value in _urn_in(text).items():
            found.setdefault(key, value)


def _complaint(text: str, hosts: list[str]) -> SetupError:
    """Why a text names nothing. It is not quoted: who knows what was on the clipboard."""
    ours = next((host for host in hosts if _is_ours(host)), "")
    if (ours and "/shares/" in _plain(text)) or SHARE_HOST in hosts:
        return SetupError(
            "a link that shares something does not say what it is",
            hint="open it in a browser, go to the file's own page, and paste the address of that",
        )
    if ours:
        return SetupError(f"this page of {ours} names no hub, project, folder or file", hint=_HINT)
    if hosts:
        sites = f"{ACC_HOST}, {B360_HOST} or TEAM.{TEAM_DOMAIN}"
        return SetupError(f"{hosts[0]} is not a site of the drive's files", hint=f"those: {sites}")
    if not text.strip():
        return SetupError("there is no link", hint=_HINT)
    hint = "dmfs url PATH tells the link of a path" if text.startswith("/") else _HINT
    return SetupError("this is neither a link nor an id of the service", hint=hint)


def _is_ours(host: str) -> bool:
    return any(site.fullmatch(host) for site in (_ACC, _B360, _TEAM))

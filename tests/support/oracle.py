"""What the mounted tree must be, from the emulator's raw facts and the contract's own words.

Imports nothing from dmfs, so that a misreading of the contract does not cancel itself out. Only
the two constants that the contract leaves open are taken from the golden files (reviewed by hand):
the hash of an id is SHA-256, and an empty name is ``(unnamed)``.
"""

from __future__ import annotations

import hashlib
import json
import re
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from urllib.parse import quote, urlencode

from dmfs.emulator.process import EmulatorProcess

Json = dict[str, Any]

FILTERED = {"TitleBlock", "ReviewDocument", "FDX", "Deleted"}
"""The services' own bookkeeping and tombstones: not there."""
WITHOUT_BYTES = {"Design", "Drawing", "Document"}
"""Never files of their own: exported by a job, or a page of another file."""
PAGE = 200
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass
class Entry:
    """One name in the tree."""

    path: str
    directory: bool
    mtime_ns: int = 0
    listed_size: int | None = 0
    """As the listing tells it: None where it says nothing."""
    real_size: int = 0
    body: bytes | None = None
    """Of a shortcut."""
    storage: str | None = None
    readable: bool = True
    facts: Json = field(default_factory=dict, repr=False)
    version: Json = field(default_factory=dict, repr=False)

    @property
    def first_size(self) -> int:
        """What stat shows before anybody has opened the file."""
        if self.listed_size is None:
            return self.real_size if self.readable else 0
        return self.listed_size

    @property
    def known_size(self) -> int:
        """What stat shows once it was opened."""
        return self.real_size if self.readable else self.first_size

    def line(self, *, known: bool) -> str:
        """As ``find -printf '%y %s %T@ %P'`` prints it, with all its nanoseconds."""
        size = 4096 if self.directory else self.known_size if known else self.first_size
        seconds, rest = divmod(abs(self.mtime_ns), 10**9)
        sign = "-" if self.mtime_ns < 0 else ""
        return f"{'d' if self.directory else 'f'} {size} {sign}{seconds}.{rest:09d}0 {self.path}"


@dataclass
class Cost:
    """Calls that a complete walk may cost."""

    counts: dict[str, int] = field(default_factory=dict)

    def add(self, route: str, n: int = 1) -> None:
        if n:
            self.counts[route] = self.counts.get(route, 0) + n


def time_ns(text: str | None) -> int | None:
    """Nanoseconds since the epoch, to the precision that is given; None where it is no time."""
    found = re.fullmatch(
        r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)", text or ""
    )
    if not found:
        return None
    zone = UTC if found[3] == "Z" else timezone(
        (1 if found[3][0] == "+" else -1)
        * timedelta(hours=int(found[3][1:3]), minutes=int(found[3][4:6]))
    )  # fmt: skip
    moment = datetime.strptime(found[1], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=zone)
    whole = (moment - EPOCH) // timedelta(seconds=1)
    return whole * 10**9 + int((found[2] or "0").ljust(9, "0")[:9])


def hash8(identifier: str) -> str:
    return hashlib.sha256(identifier.encode()).hexdigest()[:8]


def legal(name: str) -> str:
    """``/`` and NUL replaced, dots widened, a lone surrogate shows as one U+FFFD."""
    text = "".join("\ufffd" if 0xD800 <= ord(char) <= 0xDFFF else char for char in name)
    text = text.replace("/", "\uff0f").replace("\0", "\u2400")
    if text in (".", ".."):
        text = "\uff0e" * len(text)
    return text or "(unnamed)"


def with_hash(name: str, identifier: str) -> str:
    """`` ~`` and 8 hex digits before the extension, in 255 bytes."""
    at = name.rfind(".")
    has_extension = 0 < at < len(name) - 1 and len(name[at + 1 :].encode()) <= 32
    stem, extension = (name[:at], name[at:]) if has_extension else (name, "")
    tail = f" ~{hash8(identifier)}{extension}"
    while len((stem + tail).encode()) > 255:
        stem = stem[:-1]
    return stem + tail


@dataclass
class Raw:
    """A child before it is named: what the naming rules need of it."""

    id: str
    name: str
    created_ns: int | None
    entry: Entry
    below: Any = None
    changed: bool = False
    """Its name was made legal."""


def named(children: list[Raw]) -> list[tuple[str, Raw]]:
    """A name that is legal as it stands goes first, then the oldest (creation time, then id); an
    unknown time is youngest."""
    claims: dict[str, list[Raw]] = {}
    for child in children:
        name = legal(child.name)
        if len(name.encode()) > 255:
            name = with_hash(name, child.id)
        claims.setdefault(name, []).append(child)
    result = []
    for name, rivals in claims.items():
        for raw in rivals:
            raw.changed = raw.name != name
        rivals.sort(
            key=lambda raw: (raw.changed, raw.created_ns is None, raw.created_ns or 0, raw.id)
        )
        result.append((name, rivals[0]))
        result += [(with_hash(name, raw.id), raw) for raw in rivals[1:]]
    return result


class Oracle:
    """The expected tree of an emulator's world, and what walking it costs."""

    def __init__(self, emulator: EmulatorProcess, *, service_folders: bool = False) -> None:
        self._emulator = emulator
        self._service_folders = service_folders
        self._token = ""
        self.cost = Cost()
        self.entries: dict[str, Entry] = {}
        self.refused: set[str] = set()
        """Directories that may not be listed."""
        for entry in self._hubs(emulator.world()["hubs"]):
            assert entry.path not in self.entries, entry.path
            self.entries[entry.path] = entry

    @property
    def files(self) -> list[Entry]:
        return [entry for entry in self.entries.values() if not entry.directory]

    def lines(self, *, known: bool) -> list[str]:
        return sorted(entry.line(known=known) for entry in self.entries.values())

    def below(self, prefix: str) -> list[Entry]:
        return [entry for path, entry in self.entries.items() if path.startswith(prefix + "/")]

    def at(self, path: str) -> Entry:
        return self.entries[path]

    # The walk

    def _hubs(self, hubs: list[Json]) -> Iterator[Entry]:
        self.cost.add("hubs")
        raws = [Raw(hub["id"], hub["name"], None, Entry("", True, facts=hub), hub) for hub in hubs]
        yield from self._place("", raws, self._projects)

    def _place(self, prefix: str, raws: list[Raw], descend: Any) -> Iterator[Entry]:
        for name, raw in named(raws):
            raw.entry.path = prefix + name
            yield raw.entry
            if raw.below is not None:
                yield from descend(raw.entry.path + "/", raw.below)

    def _projects(self, prefix: str, hub: Json) -> Iterator[Entry]:
        shown = [
            project
            for project in hub["projects"]
            if project["active"] or project["name"] == "Just Archived Project"
        ]
        self.cost.add("projects", max(1, -(-len(shown) // PAGE)))
        raws = [
            Raw(project["id"], project["name"], None, Entry("", True, facts=project), project)
            for project in shown
        ]
        yield from self._place(prefix, raws, self._top)

    def _top(self, prefix: str, project: Json) -> Iterator[Entry]:
        root = project["folders"][0]
        if not project["id"].startswith("b."):
            yield from self._contents(prefix, project, root)
            return
        self.cost.add("topFolders")
        if not project["active"]:
            self.refused.add(prefix.rstrip("/"))
            return
        every = {folder["id"]: folder for folder in _all_folders(root)}
        top = [every[identifier] for identifier in project["top_folders"]]
        raws = [self._folder(project, folder) for folder in top if self._is_shown(folder)]
        yield from self._place(prefix, raws, lambda at, pair: self._contents(at, *pair))

    def _is_shown(self, folder: Json) -> bool:
        return not folder["hidden"] and (self._service_folders or not folder["service"])

    @staticmethod
    def _folder(project: Json, folder: Json) -> Raw:
        entry = Entry("", True, time_ns(folder["lastModifiedTime"]) or 0, facts=folder)
        made_ns = time_ns(folder["createTime"])
        return Raw(folder["id"], folder["name"], made_ns, entry, (project, folder))

    def _contents(self, prefix: str, project: Json, folder: Json) -> Iterator[Entry]:
        rows = len(folder["folders"]) + len(folder["items"])
        self.cost.add("contents", max(1, -(-rows // PAGE)))
        raws = [
            self._folder(project, below) for below in folder["folders"] if self._is_shown(below)
        ]
        for item in folder["items"]:
            raw = self._item(project, folder, item)
            if raw is not None:
                raws.append(raw)
                if raw.entry.listed_size is None:
                    self.cost.add("sign")
        yield from self._place(prefix, raws, lambda at, pair: self._contents(at, *pair))

    def _item(self, project: Json, folder: Json, item: Json) -> Raw | None:
        tip = item["versions"][-1]
        kinds = {kind.rpartition(":")[2] for kind in (item["type"], tip["type"])}
        if item["hidden"] or kinds & FILTERED:
            return None
        name = tip["name"] or item["displayName"] or ""
        entry = Entry("", False, time_ns(tip["createTime"]) or 0, facts=item, version=tip)
        if tip["storage"] is None or kinds & WITHOUT_BYTES:
            name = (name or "(unnamed)") + ".url"
            url = self._web_url(project, folder, item)
            entry.body = f"[InternetShortcut]\r\nURL={url}\r\n".encode()
            entry.listed_size = entry.real_size = len(entry.body)
        else:
            entry.storage = tip["storage"]
            entry.readable = tip["signs"]
            entry.listed_size, entry.real_size = tip["storageSize"], tip["size"]
        return Raw(item["id"], name, time_ns(item["createTime"]), entry)

    def _web_url(self, project: Json, folder: Json, item: Json) -> str:
        """The item's page, as the service links it; built from the ids where it does not."""
        answer = self.ask(f"/data/v1/projects/{quote(project['id'])}/items/{quote(item['id'])}")
        links = answer["data"]["links"]
        if "webView" in links:
            return str(links["webView"]["href"])
        query = urlencode({"folderUrn": folder["id"], "entityId": item["id"]}, quote_via=quote)
        return f"https://acc.autodesk.com/docs/files/projects/{project['id'][2:]}?{query}"

    def ask(self, path: str) -> Json:
        """One question to the service itself, as any client could ask it."""
        at = self._emulator
        if not self._token:
            form = {
                "grant_type": "client_credentials", "scope": "data:read",
                "client_id": at.client_id, "client_secret": at.client_secret,
            }  # fmt: skip
            url = f"{at.api_url}/authentication/v2/token"
            with urllib.request.urlopen(url, urlencode(form).encode(), timeout=20) as reply:
                self._token = json.load(reply)["access_token"]
        headers = {"Authorization": f"Bearer {self._token}"}
        request = urllib.request.Request(at.api_url + path, headers=headers)
        with urllib.request.urlopen(request, timeout=20) as reply:
            return json.load(reply)

    # Bytes

    def sha256(self, entry: Entry) -> str:
        if entry.body is not None:
            return hashlib.sha256(entry.body).hexdigest()
        assert entry.storage is not None
        return self._emulator.sha256(entry.storage)[0]

    def bytes(self, entry: Entry, offset: int = 0, length: int | None = None) -> bytes:
        if entry.body is not None:
            stop = None if length is None else offset + length
            return entry.body[offset:stop]
        assert entry.storage is not None
        return self._emulator.bytes(entry.storage, offset, length)


def _all_folders(folder: Json) -> Iterator[Json]:
    yield folder
    for below in folder["folders"]:
        yield from _all_folders(below)


FIND = ("-mindepth", "1", "-printf", r"%y %s %T@ %P\0")
"""Arguments of find that print what ``Entry.line`` predicts."""


def find_lines(output: bytes) -> list[str]:
    return sorted(filter(None, output.decode("utf-8", "surrogateescape").split("\0")))

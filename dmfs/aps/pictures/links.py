"""The links of pictures, as far as listings told them. Pure.

Each version of an answer names its own link, and within a project they differ by the version's id
alone: ``/modelderivative/v2/designdata/<id in base64>/thumbnail?scopes=b360project.…,O2tenant.…``.
So one pattern a project is kept, and 100 000 entries of listings carry nothing.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from dmfs.aps.json_values import Json, dig, text

PLACE = "{urn}"
RULE = f"/modelderivative/v2/designdata/{PLACE}/thumbnail"
"""What links look like, for projects that told none."""
REMEMBERED = 5000
"""Projects and hubs."""
_PATH = re.compile(r"/(modelderivative|viewingservice)/[\w./:@{}-]{1,500}", re.ASCII)
_REGION = re.compile(r"[A-Z]{2,8}")


class Pattern(NamedTuple):
    """A path on the API's own origin with ``PLACE`` in it, and its query."""

    path: str
    query: tuple[tuple[str, str], ...] = ()

    def of(self, version_id: str) -> tuple[str, dict[str, str]]:
        """Path and query for a version."""
        return self.path.replace(PLACE, urn64(version_id)), dict(self.query)


def urn64(version_id: str) -> str:
    """An id as it stands in links."""
    raw = version_id.encode("utf-8", "surrogatepass")
    return base64.urlsafe_b64encode(raw).decode("ascii").rstrip("=")


def pattern_of(version: Json) -> Pattern | None:
    """The pattern of a version's row; None where its link is none, or not made by its id.

    Scheme and host of the link are left out: no answer can send a token elsewhere.
    """
    href = text(version, "relationships", "thumbnails", "meta", "link", "href")
    urn = urn64(text(version, "id"))
    try:
        split = urlsplit(href)
        path = unquote(split.path).replace(f"/{urn}", f"/{PLACE}", 1)
        query = tuple(parse_qsl(split.query, keep_blank_values=True))
    except ValueError:
        return None
    pattern = Pattern(path, query)
    return pattern if urn and is_pattern(pattern) else None


def is_pattern(pattern: Pattern) -> bool:
    """Whether it may be asked with a token."""
    return (
        pattern.path.count(PLACE) == 1
        and ".." not in pattern.path
        and _PATH.fullmatch(pattern.path) is not None
        and sum(len(key) + len(value) for key, value in pattern.query) <= 2000
    )


class PictureLinks:
    """What answers told, by project and by hub."""

    def __init__(self) -> None:
        self.projects: dict[str, Pattern] = {}
        self._refused: dict[str, Pattern] = {}
        """By project: the pattern that was forgotten last."""
        self.regions: dict[str, str] = {}
        """By hub."""
        self.revision = 0
        """Counts what was learned."""

    def learn(self, project_id: str, answer: Json) -> None:
        """From any answer that holds versions; of a known project nothing is looked at, unless its
        pattern was refused once."""
        known = self.projects.get(project_id)
        if known is not None and project_id not in self._refused:
            return
        if known is None and len(self.projects) >= REMEMBERED:
            return
        for rows in (answer.get("included"), answer.get("data")):
            for row in rows if isinstance(rows, list) else [rows]:
                if not isinstance(row, Mapping) or row.get("type") != "versions":
                    continue
                pattern = pattern_of(row)
                if pattern is not None:
                    if pattern != known:
                        self._put(project_id, pattern)
                    return

    def learn_regions(self, answer: Json) -> None:
        """From the list of hubs."""
        rows = answer.get("data")
        for row in rows if isinstance(rows, list) else []:
            hub_id, region = text(row, "id"), text(row, "attributes", "region")
            known = self.regions.get(hub_id)
            has_room = known is not None or len(self.regions) < REMEMBERED
            if hub_id and known != region and has_room and _REGION.fullmatch(region):
                self.regions[hub_id] = region
                self.revision += 1

    def forget(self, project_id: str) -> None:
        """Its pattern is refused: the next answer may tell another one. Where the service told the
        same one again, it is the version that is refused, and nothing is forgotten: of a project
        whose pictures are all forbidden each would cost a second call."""
        known = self.projects.get(project_id)
        if known is not None and self._refused.get(project_id) != known:
            self._refused[project_id] = known
            del self.projects[project_id]

    def region(self, hub_id: str) -> str:
        """That of a hub; '' for one that the list of hubs tells none of."""
        return self.regions.get(hub_id, "")

    def pattern(self, project_id: str) -> Pattern:
        """That of a project, or the usual one."""
        return self.projects.get(project_id) or Pattern(RULE)

    def suppose(self, project_id: str) -> None:
        """Its versions name no link, if no pattern is known now: it is the usual one, and not
        looked for again."""
        if project_id not in self.projects:
            self._put(project_id, Pattern(RULE))

    def _put(self, project_id: str, pattern: Pattern) -> None:
        self.projects[project_id] = pattern
        self.revision += 1

    def as_json(self) -> dict[str, Any]:
        """For the disk."""
        projects = {key: [each.path, *map(list, each.query)] for key, each in self.projects.items()}
        return {"projects": projects, "regions": dict(self.regions)}

    def add(self, stored: Mapping[str, Any]) -> None:
        """What an earlier run learned, as far as it makes sense and nothing newer is known."""
        projects, regions = dig(stored, "projects"), dig(stored, "regions")
        for key, row in projects.items() if isinstance(projects, Mapping) else ():
            pattern = _pattern_of_row(row)
            if pattern is not None and len(self.projects) < REMEMBERED:
                self.projects.setdefault(key, pattern)
        for key, region in regions.items() if isinstance(regions, Mapping) else ():
            fits = isinstance(region, str) and _REGION.fullmatch(region)
            if fits and len(self.regions) < REMEMBERED:
                self.regions.setdefault(key, region)


def _pattern_of_row(row: Any) -> Pattern | None:
    if not isinstance(row, list) or not row or not isinstance(row[0], str):
        return None
    pairs = [tuple(pair) for pair in row[1:] if isinstance(pair, list) and len(pair) == 2]
    if len(pairs) != len(row) - 1 or not all(isinstance(x, str) for pair in pairs for x in pair):
        return None
    pattern = Pattern(row[0], tuple((key, value) for key, value in pairs))
    return pattern if is_pattern(pattern) else None

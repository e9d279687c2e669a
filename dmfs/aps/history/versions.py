"""All versions of an item."""

from __future__ import annotations

from dataclasses import replace

from dmfs.aps.contents import version_leaf
from dmfs.aps.json_values import Json
from dmfs.aps.jsonapi import next_page
from dmfs.aps.paging import Query, all_pages, pages_expected
from dmfs.aps.signed_in import SignedIn, path_id
from dmfs.errors import BadResponseError
from dmfs.http.json_client import Call
from dmfs.model import Child, Leaf, Project, VersionList
from dmfs.names import printable


async def all_versions(service: SignedIn, source: VersionList) -> list[Child]:
    """All versions, deletions among them. One call for each 200. BadResponseError if one of them is
    no use: what is not here is not there, for ever."""
    tip = source.tip
    action = f"list the versions of {printable(tip.name)!r}"
    project = Project(tip.project_id, tip.hub_id, "")
    path = f"/data/v1/projects/{path_id(tip.project_id)}/items/{path_id(tip.item_id)}/versions"

    async def get_page(query: Query) -> tuple[list[Leaf], Query | None]:
        def decode(page: Json) -> tuple[list[Leaf], Query | None]:
            rows = page.get("data")
            if not isinstance(rows, list):
                raise BadResponseError(f"cannot {action}: the answer holds no versions")
            leaves = [_version(row, tip, action, project) for row in rows]
            return [each for each in leaves if each is not None], next_page(page, action, path)

        return await service.request(Call(action, "versions", "GET", path, query), decode)

    pages = await all_pages(action, get_page, pages_expected(tip.version_number))
    found: list[Child] = [each for page in pages for each in page]
    if not any(getattr(each, "version_id", None) == tip.version_id for each in found):
        raise BadResponseError(
            f"cannot {action}: the answer does not hold the version that its folder shows",
            hint="the service is asked again when the name is",
        )
    return found


def _version(row: Json, tip: Leaf, action: str, project: Project) -> Leaf | None:
    leaf = version_leaf(row, tip.item_id, action, project, tip)
    if leaf is None:
        return None
    if not leaf.version_id or leaf.version_number is None:
        raise BadResponseError(f"cannot {action}: the answer holds a version without a number")
    return replace(leaf, created_ns=tip.created_ns, name=leaf.name or tip.name)

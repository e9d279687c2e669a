"""The service, as the drive needs it: ``children``, ``sign``, ``schema``. Floor 1.

Owns the endpoints, ids in paths, paging, and which question answers what. Retries and JSON are
wire.py's, shapes answers.py's.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import trio

from dmfs.aps.json_values import Json
from dmfs.aps.jsonapi import (
    Contents,
    decode_contents,
    decode_hubs,
    decode_item,
    decode_projects,
    decode_warnings,
    next_page,
)
from dmfs.aps.paging import Query, all_pages, pages_expected
from dmfs.aps.signed_urls import bucket_and_key, decode_signed
from dmfs.auth.token_sources import TokenSource
from dmfs.errors import AccessError, BadResponseError, GoneError, TokenRefusedError
from dmfs.http.json_body import Decode, T
from dmfs.http.json_client import Call, JsonClient
from dmfs.model import (
    Child,
    Directory,
    File,
    Folder,
    FolderId,
    Hub,
    Leaf,
    Project,
    Root,
    SignedObject,
)

log = logging.getLogger(__name__)

ITEM_CALLS = 4
"""Tips asked for in parallel where a listing left them out."""
REFUSED_ITEM = frozenset({403, 404, 410, 423})
"""What says something about one item; 401 and the rest say something about us or the service."""


def path_id(identifier: str) -> str:
    """An id as a path segment: ``?version=1`` must become ``%3Fversion%3D1``."""
    return quote(identifier, safe="")


class Aps:
    """Autodesk Platform Services: Project, Data, OSS and Schema."""

    def __init__(
        self, wire: JsonClient, tokens: TokenSource, *, url_minutes: int, x_user_id: str = ""
    ) -> None:
        self._wire = wire
        self._tokens = tokens
        self._url_minutes = url_minutes
        self._x_user_id = x_user_id

    async def children(self, directory: Directory) -> tuple[list[Child], tuple[str, ...]]:
        """Everything in a directory, with warnings for people.

        Costs: hubs 1, projects 1 per page of 200, top folders of a ``b.`` project 1, folder
        contents 1 per page of 200, plus 1 per item whose tip the listing left out.
        """
        match directory:
            case Root():
                return await self._hubs()
            case Hub():
                return await self._projects(directory), ()
            case Project():
                return await self._top(directory), ()
            case Folder():
                # below the root the project's own root folder plays no part
                project = Project(directory.project_id, directory.hub_id, "")
                what = f"list folder {directory.name!r}"
                expected = pages_expected(directory.object_count)
                return await self._contents(project, directory.id, what, expected), ()

    async def sign(self, file: File) -> SignedObject:
        """URLs for a file's bytes, with the longest life the service gives. One call."""
        what = f"open {file.name!r}"
        bucket, key = bucket_and_key(file.storage_id)
        asked_at = trio.current_time()
        answer = await self._ask(
            what,
            "sign",
            f"/oss/v2/buckets/{path_id(bucket)}/objects/{path_id(key)}/signeds3download",
            {"minutesExpiration": str(self._url_minutes)},
        )
        return decode_signed(answer, what, asked_at + self._url_minutes * 60)

    async def schema(self, extension_type: str) -> dict[str, Any]:
        """What the Schema service says of an extension type (``items:autodesk.bim360:File``)."""
        name = f"{extension_type}-1.0"
        return await self._ask(
            f"look up the schema {extension_type}",
            "schema",
            f"/schema/v1/versions/{path_id(name)}",
            {},
        )

    async def _hubs(self) -> tuple[list[Child], tuple[str, ...]]:
        what = "list hubs"
        answer = await self._ask(what, "hubs", "/project/v1/hubs", {})
        hubs = decode_hubs(answer, what)
        warnings = decode_warnings(answer)
        if not hubs:
            reason = f"; the service says: {warnings[0]}" if warnings else ""
            raise AccessError(f"this app sees no hub{reason}", hint=ADMISSION_HINT)
        # A healthy user of one region gets a warning for each other region: no alarm.
        for line in warnings:
            log.debug("hubs: %s", line)
        return list(hubs), warnings

    async def _projects(self, hub: Hub) -> list[Child]:
        what = f"list projects of {hub.name!r}"
        path = f"/project/v1/hubs/{path_id(hub.id)}/projects"

        async def ask(query: Query) -> tuple[list[Project], Query | None]:
            page = await self._ask(what, "projects", path, query)
            return decode_projects(page, what, hub.id), next_page(page, what, path)

        return [project for page in await all_pages(what, ask) for project in page]

    async def _top(self, project: Project) -> list[Child]:
        what = f"list project {project.name!r}"
        if project.id.startswith("b."):
            path = (
                f"/project/v1/hubs/{path_id(project.hub_id)}"
                f"/projects/{path_id(project.id)}/topFolders"
            )
            answer = await self._ask(what, "topFolders", path, {"excludeDeleted": "true"})
            return decode_contents(answer, what, project).children
        if project.root_folder_id is None:
            raise BadResponseError(f"cannot {what}: the service named no root folder")
        return await self._contents(project, project.root_folder_id, what)

    async def _contents(
        self, project: Project, folder_id: FolderId, what: str, expected: int = 1
    ) -> list[Child]:
        path = f"/data/v1/projects/{path_id(project.id)}/folders/{path_id(folder_id)}/contents"

        def decode(page: Json) -> tuple[Contents, Query | None]:
            found = decode_contents(page, what, project)
            children = [_in_folder(child, folder_id) for child in found.children]
            return replace(found, children=children), next_page(page, what, path)

        async def ask(query: Query) -> tuple[Contents, Query | None]:
            return await self._ask_for(what, "contents", path, query, decode)

        pages = await all_pages(what, ask, expected)
        children = [child for page in pages for child in page.children]
        tipless = [leaf for page in pages for leaf in page.tipless]
        items = await self._items(project, tipless, what)
        return children + [_in_folder(child, folder_id) for child in items]

    async def _items(self, project: Project, tipless: list[Leaf], what: str) -> list[Child]:
        """Items one by one (300 a minute, ``items/:id/tip`` only 50), a few at a time.

        One that is refused shows as the listing told it, and cannot be opened: the rest of the
        folder does not fail for it, and it does not look deleted.
        """
        found: list[Child] = []
        slots = trio.CapacityLimiter(ITEM_CALLS)

        async def one(leaf: Leaf) -> None:
            async with slots:
                path = f"/data/v1/projects/{path_id(project.id)}/items/{path_id(leaf.item_id)}"
                try:
                    child = decode_item(await self._ask(what, "item", path, {}), what, project)
                except (AccessError, GoneError) as error:
                    if error.status not in REFUSED_ITEM:
                        raise
                    log.debug("%r is there, but: %s", leaf.name, error.message)
                    child = leaf
                if child is not None:
                    found.append(child)

        await _all_of([(one, leaf) for leaf in tipless])
        return found

    async def _ask(
        self, what: str, route: str, path: str, params: Mapping[str, str]
    ) -> dict[str, Any]:
        return await self._ask_for(what, route, path, params, lambda answer: answer)

    async def _ask_for(
        self, what: str, route: str, path: str, params: Mapping[str, str], decode: Decode[T]
    ) -> T:
        """A GET with the token; a 401 renews it once (it may mean a missing scope too: no loop)."""
        token = await self._tokens.token()
        # Project and Data take it; storage and folders/search do not know it
        takes_user = path.startswith(("/project/", "/data/")) and route != "search"
        user_id = self._x_user_id if takes_user else ""
        try:
            call = _get(what, route, path, params, token, user_id)
            return await self._wire.request(call, decode)
        except TokenRefusedError:
            token = await self._tokens.renew(token)
            call = _get(what, route, path, params, token, user_id)
            return await self._wire.request(call, decode)


ADMISSION_HINT = (
    "ask an account admin to add this app's client id under Account Admin → Settings → "
    "Custom Integrations, with access to Document Management"
)


def _get(
    what: str, route: str, path: str, params: Mapping[str, str], token: str, user_id: str = ""
) -> Call:
    headers = {"Authorization": f"Bearer {token}"}
    if user_id:
        headers["x-user-id"] = user_id
    return Call(action=what, route=route, method="GET", path=path, params=params, headers=headers)


def _in_folder(child: Child, folder_id: FolderId) -> Child:
    """Items of answers that leave out the parent get the folder that was asked for."""
    if not isinstance(child, Hub | Project | Folder) and not child.folder_id:
        return replace(child, folder_id=folder_id)
    return child


async def _all_of(tasks: list[tuple[Any, Any]]) -> None:
    """Run all; the first DriveError comes out bare, not wrapped in a group."""
    failures: list[Exception] = []

    async def guarded(work: Any, argument: Any, scope: trio.CancelScope) -> None:
        try:
            await work(argument)
        except Exception as error:  # noqa: BLE001 - handed on below
            failures.append(error)
            scope.cancel()

    async with trio.open_nursery() as nursery:
        for work, argument in tasks:
            nursery.start_soon(guarded, work, argument, nursery.cancel_scope)
    if failures:
        raise failures[0]

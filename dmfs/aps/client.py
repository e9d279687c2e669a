"""The service as the drive needs it: ``children``, ``sign``, ``schema``.

Knows the endpoints, the ids in their paths, and which request answers what. ``http.json_client``
retries and parses; ``jsonapi`` and ``contents`` decode.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import trio

from dmfs.aps.contents import Contents, decode_contents, decode_item
from dmfs.aps.history.deleted import without_hidden
from dmfs.aps.history.versions import all_versions
from dmfs.aps.hubs import decode_hubs, decode_projects
from dmfs.aps.json_values import Json
from dmfs.aps.jsonapi import decode_warnings, failed_parts, next_page
from dmfs.aps.page_shelf import KEEP_FROM_PAGES, Backing, PageShelf
from dmfs.aps.paging import Query, all_pages, pages_expected
from dmfs.aps.pictures.links import PictureLinks
from dmfs.aps.signed_in import SignedIn, path_id
from dmfs.aps.signed_urls import bucket_and_key, decode_signed
from dmfs.auth.token_sources import TokenSource
from dmfs.errors import (
    AccessError,
    BadResponseError,
    BusyError,
    DriveError,
    GoneError,
    GrantRefusedError,
    OfflineError,
    PartialAnswerError,
    SignedOutError,
    SpeculationDropped,
    TokenRefusedError,
    UnreachableError,
)
from dmfs.http.json_body import Decode, T
from dmfs.http.json_client import Call, JsonClient
from dmfs.model import (
    Child,
    Directory,
    File,
    Folder,
    FolderId,
    Hub,
    ItemId,
    Leaf,
    Project,
    Root,
    Shortcut,
    SignedObject,
    VersionList,
    WithDeleted,
    as_refused,
)
from dmfs.ratelimit.limits import WINDOW_S, Priority
from dmfs.ratelimit.priority import RequestPriority, at_priority, current_priority
from dmfs.system.concurrency import gather

log = logging.getLogger(__name__)

ITEM_CALLS = 4
"""Items requested in parallel if a listing left out their tips."""
ITEM_REFUSED = frozenset({403, 404, 410, 423})
"""Statuses by which the service refuses one item to this user."""
ITEMS_SHARE = 0.4
"""Of the time that is left for a listing: items that do not answer must not take all of it."""
BULK_FROM_PAGE = 20
_EVERYBODYS = BusyError, OfflineError, SignedOutError, TokenRefusedError, GrantRefusedError
"""Errors that concern the user or the service, never one item."""


class Aps:
    """Autodesk Platform Services: Project, Data, OSS and Schema."""

    def __init__(
        self,
        http: JsonClient,
        tokens: TokenSource,
        *,
        url_minutes: int,
        x_user_id: str = "",
        backing: Backing | None = None,
    ) -> None:
        """``url_minutes``: life of a signed URL. ``x_user_id``: the user that a two-legged app acts
        for; '' for the app itself. ``backing``: where pages of unfinished listings outlive it."""
        self.service = SignedIn(http, tokens, x_user_id)
        """For questions of packages beside this one."""
        self.picture_links = PictureLinks()
        self._url_minutes = url_minutes
        self._shelf = PageShelf(backing)

    async def children(self, directory: Directory) -> list[Child]:
        """All children of a directory.

        Calls: hubs 1, projects 1 per page of 200, top folders of a ``b.`` project 1, folder
        contents 1 per page of 200, and 1 per item whose tip the listing left out.
        PartialAnswerError if some of it cannot be told.
        """
        match directory:
            case Root():
                return await self._hubs()
            case Hub():
                return await self._projects(directory)
            case Project():
                return await self._top(directory)
            case VersionList():
                return await all_versions(self.service, directory)
            case WithDeleted(of=Project() as of):
                return await self._top(of, deleted=True)
            case WithDeleted(of=Folder() as of):
                project = Project(of.project_id, of.hub_id, "")
                action = f"list folder {of.name!r} with what was deleted"
                return await self._contents(project, of.id, action, deleted=True)
            case Folder():
                # only the top level of a project depends on its root folder
                project = Project(directory.project_id, directory.hub_id, "")
                action = f"list folder {directory.name!r}"
                expected = pages_expected(directory.object_count)
                return await self._contents(project, directory.id, action, expected)
        raise TypeError(f"{type(directory).__name__} is made here, the service has none")

    async def sign(self, file: File, minutes: int = 0) -> SignedObject:
        """Signed URLs of a file's bytes, which live so long; 0: as long as the drive's own. One
        call."""
        minutes = minutes or self._url_minutes
        action = f"open {file.name!r}"
        bucket, key = bucket_and_key(file.storage_id)
        sent_at = trio.current_time()
        answer = await self._get(
            action,
            "sign",
            f"/oss/v2/buckets/{path_id(bucket)}/objects/{path_id(key)}/signeds3download",
            {"minutesExpiration": str(minutes)},
        )
        return decode_signed(answer, action, sent_at + minutes * 60)

    async def schema(self, extension_type: str) -> dict[str, Any]:
        """The Schema service's JSON for an extension type (``items:autodesk.bim360:File``)."""
        name = f"{extension_type}-1.0"
        return await self._get(
            f"look up the schema {extension_type}",
            "schema",
            f"/schema/v1/versions/{path_id(name)}",
            {},
        )

    async def _hubs(self) -> list[Child]:
        action = "list hubs"
        answer = await self._get(action, "hubs", "/project/v1/hubs", {})
        lost: list[str] = []
        self.picture_links.learn_regions(answer)
        hubs: list[Child] = [*decode_hubs(answer, action, lost)]
        warnings, failed = decode_warnings(answer), failed_parts(answer)
        if not hubs and not failed:
            reason = f"; the service says: {warnings[0]}" if warnings else ""
            raise AccessError(f"this app sees no hub{reason}", hint=ADMISSION_HINT)
        for line in warnings:
            log.debug("hubs: %s", line)
        return _whole(action, hubs, lost, failed)

    async def _projects(self, hub: Hub) -> list[Child]:
        action = f"list projects of {hub.name!r}"
        path = f"/project/v1/hubs/{path_id(hub.id)}/projects"
        lost: list[str] = []
        failed: list[str] = []

        async def get_page(query: Query) -> tuple[list[Project], Query | None]:
            page = await self._get(action, "projects", path, query)
            failed.extend(failed_parts(page))
            return decode_projects(page, action, hub.id, lost), next_page(page, action, path)

        pages = await all_pages(action, get_page)
        return _whole(action, [project for page in pages for project in page], lost, failed)

    async def _top(self, project: Project, *, deleted: bool = False) -> list[Child]:
        action = f"list project {project.name!r}"
        if project.id.startswith("b."):
            path = (
                f"/project/v1/hubs/{path_id(project.hub_id)}"
                f"/projects/{path_id(project.id)}/topFolders"
            )
            query = {"excludeDeleted": _flag(not deleted)}
            answer = await self._get(action, "topFolders", path, query)
            lost: list[str] = []
            found = decode_contents(answer, action, project, lost, deleted=deleted)
            return _whole(action, [*found.children, *found.tipless], lost)
        if project.root_folder_id is None:
            raise BadResponseError(f"cannot {action}: the service named no root folder")
        return await self._contents(project, project.root_folder_id, action, deleted=deleted)

    async def _contents(
        self,
        project: Project,
        folder_id: FolderId,
        action: str,
        expected: int = 1,
        *,
        deleted: bool = False,
    ) -> list[Child]:
        path = f"/data/v1/projects/{path_id(project.id)}/folders/{path_id(folder_id)}/contents"

        def decode(page: Json) -> tuple[Contents, Query | None]:
            self.picture_links.learn(project.id, page)
            found = decode_contents(page, action, project, [], deleted=deleted)
            children = [_in_folder(child, folder_id) for child in found.children]
            return replace(found, children=children), next_page(page, action, path)

        async def get_page(query: Query) -> tuple[Contents, Query | None]:
            full_query = {**query, "includeHidden": "true"} if deleted else query
            with _bulk(query):
                page, following = await self._get_decoded(
                    action, "contents", path, full_query, decode
                )
            return page, without_hidden(following) if deleted else following

        shelf_id = FolderId(f"with deleted {folder_id}") if deleted else folder_id
        shelved = await self._shelf.take(project, shelf_id, get_page, expected)
        try:
            pages = await all_pages(action, get_page, expected, shelved)
        except (AccessError, BadResponseError, GoneError):
            raise
        except BaseException as error:
            count = self._shelf.put(shelf_id, shelved)
            await self._shelf.save(project, shelf_id)
            if count and isinstance(error, BusyError) and not isinstance(error, SpeculationDropped):
                raise _come_back(action, count, max(expected, count), error) from None
            raise
        if len(pages) >= KEEP_FROM_PAGES:
            await self._shelf.drop(project, shelf_id)
        lost = [each for page in pages for each in page.lost]
        children = [child for page in pages for child in page.children]
        tipless = [leaf for page in pages for leaf in page.tipless]
        items = await self._items(project, tipless, action, deleted=deleted)
        children += [_in_folder(child, folder_id) for child in items]
        return _whole(action, children, lost)

    async def _items(
        self, project: Project, tipless: list[Leaf], action: str, *, deleted: bool = False
    ) -> list[Child]:
        """Request items one by one (300 a minute, ``items/:id/tip`` only 50), a few at a time.

        An item that cannot be described, whatever the reason, shows as in the listing and ``open``
        fails: it neither fails the rest of the folder nor looks deleted. What fails for everybody
        (offline, rate limit, signed out) fails the folder; so does a network that answers for none.
        """
        found: dict[str, Child | None] = {}
        failures: list[DriveError] = []
        slots = trio.CapacityLimiter(ITEM_CALLS)

        async def one(leaf: Leaf) -> None:
            async with slots:
                path = f"/data/v1/projects/{path_id(project.id)}/items/{path_id(leaf.item_id)}"
                try:
                    answer = await self._get(action, "item", path, {})
                    found[leaf.item_id] = decode_item(answer, action, project, deleted=deleted)
                except _EVERYBODYS:
                    raise
                except DriveError as error:
                    log.debug("%r is there, but: %s", leaf.name, error.message)
                    if error.status in ITEM_REFUSED:
                        found[leaf.item_id] = as_refused(leaf)
                    else:
                        failures.append(error)

        left_s = trio.current_effective_deadline() - trio.current_time()
        with trio.move_on_after(left_s * ITEMS_SHARE):
            await gather([partial(one, leaf) for leaf in tipless])
        first = failures[0] if len(failures) == len(tipless) > 0 else None
        if isinstance(first, UnreachableError) and not first.status:
            raise first
        if deleted and len(found) < len(tipless):
            missing = len(tipless) - len(found)
            raise BadResponseError(f"cannot {action}: {missing} items are not described")
        shown = (found.get(leaf.item_id, leaf) for leaf in tipless)
        return [child for child in shown if child is not None]

    async def item(self, project: Project, item_id: ItemId) -> Child | None:
        """One item as a listing of its folder would have it; None for a hidden or deleted one."""
        action = "look for a pinned item"
        path = f"/data/v1/projects/{path_id(project.id)}/items/{path_id(item_id)}"
        return decode_item(await self._get(action, "item", path, {}), action, project)

    async def _get(
        self, action: str, route: str, path: str, params: Mapping[str, str]
    ) -> dict[str, Any]:
        return await self._get_decoded(action, route, path, params, lambda answer: answer)

    async def _get_decoded(
        self, action: str, route: str, path: str, params: Mapping[str, str], decode: Decode[T]
    ) -> T:
        call = Call(action=action, route=route, method="GET", path=path, params=params)
        return await self.service.request(call, decode)


ADMISSION_HINT = (
    "ask an account admin to add this app's client id under Account Admin → Settings → "
    "Custom Integrations, with access to Document Management"
)


@contextmanager
def _bulk(query: Query) -> Iterator[None]:
    """The first pages at the caller's priority: most folders have no more. The many pages of a huge
    folder leave a part of the rate to people."""
    large = int(query.get("page[number]", "0")) >= BULK_FROM_PAGE
    if large and current_priority().level < Priority.BULK:
        with at_priority(RequestPriority(Priority.BULK)):
            yield
    else:
        yield


def _come_back(action: str, count: int, expected: int, error: BusyError) -> BusyError:
    wait_s = error.retry_after_s or WINDOW_S
    found = BusyError(
        f"cannot {action} yet: {count} of about {expected} pages are here, and the rate limit asks"
        f" to wait {wait_s:.0f} s",
        hint=f"come back in {wait_s:.0f} s: only what is missing will be requested",
    )
    found.status, found.retry_after_s = error.status, wait_s
    return found


def _whole(
    action: str, children: list[Child], lost: list[str], failed: Sequence[str] = ()
) -> list[Child]:
    """The children; PartialAnswerError if rows beside them are lost, or parts of the service (one
    warning each) ``failed`` to say theirs; UnreachableError if no part said anything."""
    if failed:
        says = f"the service says: {failed[0]}"
        if not children:
            raise UnreachableError(f"cannot {action}: {says}")
        # what they hold has no name now, and may be anything
        nameless = [""] * len(failed)
        raise PartialAnswerError(f"cannot {action} to the end: {says}", children, lost + nameless)
    if lost:
        message = f"cannot {action} to the end: the answer holds {len(lost)} unusable entries"
        raise PartialAnswerError(message, children, lost)
    return children


def _flag(value: bool) -> str:
    return "true" if value else "false"


def _in_folder(child: Child, folder_id: FolderId) -> Child:
    """Give an item the folder that the request named, if the answer leaves out the parent."""
    if isinstance(child, File | Shortcut) and not child.folder_id:
        return replace(child, folder_id=folder_id)
    return child

"""Which path is which handler: names as they are counted, limits and scopes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from dmfs_emulator import api_data, api_oss, api_project, auth, cdn, commands, oauth, schema
from dmfs_emulator.wire import Answer

Handler = Callable[..., Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Route:
    """``limit`` is a bucket of ``limits``; an empty scope means the path needs no token."""

    name: str
    method: str
    pattern: tuple[str, ...]
    handler: Handler
    limit: str = ""
    scope: str = "data:read"

    def match(self, method: str, segments: list[str]) -> list[str] | None:
        """The values of the ``:x`` parts, or None."""
        if len(segments) != len(self.pattern) or method != self.method:
            return None
        args: list[str] = []
        for part, segment in zip(self.pattern, segments, strict=True):
            if part.startswith(":"):
                args.append(segment)
            elif part != segment:
                return None
        return args


def _route(name: str, path: str, handler: Handler, **extra: Any) -> Route:
    method, _, where = path.partition(" ")
    extra.setdefault("limit", name)
    return Route(name, method, tuple(where.split("/")[1:]), handler, **extra)


_HUB = "GET /project/v1/hubs/:h"
_PROJECT = f"{_HUB}/projects/:p"
_DATA = "GET /data/v1/projects/:p"
_OSS = "GET /oss/v2/buckets/:b/objects/:k"
API_ROUTES = (
    _route("token", "POST /authentication/v2/token", auth.token, limit="", scope=""),
    _route("authorize", "GET /authentication/v2/authorize", oauth.authorize, scope=""),
    _route("authorize", "POST /authentication/v2/authorize", oauth.decide, scope=""),
    _route("revoke", "POST /authentication/v2/revoke", oauth.revoke, scope=""),
    _route("introspect", "POST /authentication/v2/introspect", oauth.introspect, scope=""),
    _route("logout", "GET /authentication/v2/logout", oauth.logout, scope=""),
    _route(
        "openid", "GET /.well-known/openid-configuration", oauth.openid_configuration, scope=""
    ),
    _route("userinfo", "GET /userinfo", oauth.userinfo, scope="user-profile:read"),
    _route("hubs", "GET /project/v1/hubs", api_project.hubs),
    _route("hub", _HUB, api_project.hub),
    _route("projects", f"{_HUB}/projects", api_project.projects),
    _route("project", _PROJECT, api_project.project),
    _route("project_hub", f"{_PROJECT}/hub", api_project.project_hub),
    _route("topFolders", f"{_PROJECT}/topFolders", api_project.top_folders),
    _route("folder", f"{_DATA}/folders/:f", api_data.folder),
    _route("parent", f"{_DATA}/folders/:f/parent", api_data.parent),
    _route("contents", f"{_DATA}/folders/:f/contents", api_data.contents),
    _route("search", f"{_DATA}/folders/:f/search", api_data.search, scope="data:search"),
    _route("item", f"{_DATA}/items/:i", api_data.item),
    _route("item_parent", f"{_DATA}/items/:i/parent", api_data.item_parent),
    _route("tip", f"{_DATA}/items/:i/tip", api_data.tip),
    _route("versions", f"{_DATA}/items/:i/versions", api_data.versions),
    _route("version", f"{_DATA}/versions/:v", api_data.version),
    _route("version_item", f"{_DATA}/versions/:v/item", api_data.version_item),
    _route(
        "download_formats", f"{_DATA}/versions/:v/downloadFormats", api_data.download_formats
    ),
    *(
        _route("refs", f"{_DATA}/{kind}/:x/{tail}", api_data.relations)
        for kind in ("folders", "items", "versions")
        for tail in ("refs", "relationships/refs", "relationships/links")
    ),
    _route("commands", "POST /data/v1/projects/:p/commands", commands.commands),
    _route("schema", "GET /schema/v1/versions/:s", schema.schema),
    _route("sign", f"{_OSS}/signeds3download", api_oss.sign, limit="oss"),
    _route("details", f"{_OSS}/details", api_oss.details, limit="oss"),
    _route(
        "signed_resource", "GET /oss/v2/signedresources/:id", api_oss.signed_resource,
        limit="", scope="",
    ),
)  # fmt: skip
_CDN_GET = Route("cdn_get", "GET", (), cdn.get, scope="")
_CDN_HEAD = Route("cdn_head", "HEAD", (), cdn.get, scope="")


def find(origin: str, method: str, segments: list[str]) -> tuple[Route | None, list[str]]:
    """The route of a request and the values in its path."""
    if origin == "cdn":
        return {"GET": _CDN_GET, "HEAD": _CDN_HEAD}.get(method), []
    for route in API_ROUTES:
        args = route.match(method, segments)
        if args is not None:
            return route, args
    return None, []

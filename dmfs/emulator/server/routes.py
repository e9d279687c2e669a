"""Which path is which handler: names as they are counted, limits and scopes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from dmfs.emulator.api import cdn, commands, data, oss, project, schema
from dmfs.emulator.api.designs import downloads
from dmfs.emulator.api.relations import refs
from dmfs.emulator.api.searching import search
from dmfs.emulator.api.thumbnails import thumbnail
from dmfs.emulator.api.writing import folders, items, parts, signing, storage, versions
from dmfs.emulator.http.messages import Answer
from dmfs.emulator.sign_in import oauth, token_endpoint

Handler = Callable[..., Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Route:
    """``limit`` is a bucket of ``rate_limits``; an empty scope means the path needs no token;
    ``a b`` needs both, ``a|b`` one of them.

    ``signs_in``: the handler takes the sign-in service, otherwise the API's.
    """

    name: str
    method: str
    pattern: tuple[str, ...]
    handler: Handler
    limit: str = ""
    scope: str = "data:read"
    signs_in: bool = False

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


def _sign_in(name: str, path: str, handler: Handler, **extra: Any) -> Route:
    return _route(name, path, handler, **{"scope": "", "signs_in": True} | extra)


_HUB = "GET /project/v1/hubs/:h"
_PROJECT = f"{_HUB}/projects/:p"
_DATA = "GET /data/v1/projects/:p"
_OSS = "GET /oss/v2/buckets/:b/objects/:k"
_SIGN_IN_ROUTES = (
    _sign_in("token", "POST /authentication/v2/token", token_endpoint.token, limit=""),
    _sign_in("authorize", "GET /authentication/v2/authorize", oauth.authorize),
    _sign_in("authorize", "POST /authentication/v2/authorize", oauth.decide),
    _sign_in("revoke", "POST /authentication/v2/revoke", oauth.revoke),
    _sign_in("introspect", "POST /authentication/v2/introspect", oauth.introspect),
    _sign_in("logout", "GET /authentication/v2/logout", oauth.logout),
    _sign_in("openid", "GET /.well-known/openid-configuration", oauth.openid_configuration),
    _sign_in("userinfo", "GET /userinfo", oauth.userinfo, scope="user-profile:read"),
)
_CREATE = "data:create|data:write"
_UPLOAD = "data:create data:write"
_POST = _DATA.replace("GET", "POST")
_PATCH = _DATA.replace("GET", "PATCH")
_UPLOAD_URL = "/oss/v2/buckets/:b/objects/:k/signeds3upload"
_WRITING_ROUTES = (
    _route("storage", f"{_POST}/storage", storage.create, scope=_CREATE),
    _route("upload_urls", f"GET {_UPLOAD_URL}", signing.urls, limit="oss", scope=_UPLOAD),
    _route("complete", f"POST {_UPLOAD_URL}", signing.complete, limit="oss", scope=_UPLOAD),
    _route(
        "copyto", "PUT /oss/v2/buckets/:b/objects/:k/copyto/:n", signing.copyto,
        limit="oss", scope=_UPLOAD,
    ),
    _route("items_post", f"{_POST}/items", items.create, scope=_CREATE),
    _route("versions_post", f"{_POST}/versions", versions.create, scope=_CREATE),
    _route("folders_post", f"{_POST}/folders", folders.create, scope=_CREATE),
    _route("folder_patch", f"{_PATCH}/folders/:f", folders.change, scope="data:write"),
    _route("item_patch", f"{_PATCH}/items/:i", items.rename, scope="data:write"),
    _route("version_patch", f"{_PATCH}/versions/:v", versions.rename, scope="data:write"),
)  # fmt: skip
_DESIGN_ROUTES = (
    _route("download_formats", f"{_DATA}/versions/:v/downloadFormats", downloads.formats),
    _route("version_downloads", f"{_DATA}/versions/:v/downloads", downloads.of_version),
    # its scope is the handler's to check: there the answer can be a 403
    _route("downloads_post", f"{_POST}/downloads", downloads.create, scope="data:create|data:read"),
    _route("job", f"{_DATA}/jobs/:j", downloads.job),
    _route("download", f"{_DATA}/downloads/:d", downloads.download),
    _route("download_source", f"{_DATA}/downloads/:d/source", downloads.source, limit="download"),
)
_KINDS = ("folders", "items", "versions")
_RELATION_ROUTES = (
    _route("item_refs", f"{_DATA}/items/:x/refs", refs.related),
    *(_route("refs", f"{_DATA}/{kind}/:x/refs", refs.related) for kind in _KINDS),
    *(
        _route("refs", f"{_DATA}/{kind}/:x/relationships/{tail}", handler)
        for kind in _KINDS
        for tail, handler in (("refs", refs.relationships), ("links", refs.links))
    ),
)
API_ROUTES = (
    *_SIGN_IN_ROUTES,
    *_WRITING_ROUTES,
    _route("hubs", "GET /project/v1/hubs", project.hubs),
    _route("hub", _HUB, project.hub),
    _route("projects", f"{_HUB}/projects", project.projects),
    _route("project", _PROJECT, project.project),
    _route("project_hub", f"{_PROJECT}/hub", project.project_hub),
    _route("topFolders", f"{_PROJECT}/topFolders", project.top_folders),
    _route("folder", f"{_DATA}/folders/:f", data.folder),
    _route("parent", f"{_DATA}/folders/:f/parent", data.parent),
    _route("contents", f"{_DATA}/folders/:f/contents", data.contents),
    _route("search", f"{_DATA}/folders/:f/search", search.search, scope="data:search"),
    _route("item", f"{_DATA}/items/:i", data.item),
    _route("item_parent", f"{_DATA}/items/:i/parent", data.item_parent),
    _route("tip", f"{_DATA}/items/:i/tip", data.tip),
    _route("versions", f"{_DATA}/items/:i/versions", data.versions),
    _route("version", f"{_DATA}/versions/:v", data.version),
    _route("version_item", f"{_DATA}/versions/:v/item", data.version_item),
    *_DESIGN_ROUTES,
    *_RELATION_ROUTES,
    _route("commands", "POST /data/v1/projects/:p/commands", commands.commands),
    _route(
        "thumbnail", "GET /modelderivative/v2/designdata/:urn/thumbnail", thumbnail.thumbnail,
        scope="data:read|viewables:read",
    ),
    _route("schema", "GET /schema/v1/versions/:s", schema.schema),
    _route("sign", f"{_OSS}/signeds3download", oss.sign, limit="oss"),
    _route("details", f"{_OSS}/details", oss.details, limit="oss"),
    _route(
        "signed_resource", "GET /oss/v2/signedresources/:id", oss.signed_resource,
        limit="", scope="",
    ),
)  # fmt: skip
_CDN_GET = Route("cdn_get", "GET", (), cdn.get, scope="")
_CDN_HEAD = Route("cdn_head", "HEAD", (), cdn.get, scope="")
_CDN_PUT = Route("cdn_put", "PUT", (), parts.put, scope="")


def find(origin: str, method: str, segments: list[str]) -> tuple[Route | None, list[str]]:
    """The route of a request and the values in its path."""
    if origin == "cdn":
        return {"GET": _CDN_GET, "HEAD": _CDN_HEAD, "PUT": _CDN_PUT}.get(method), []
    for route in API_ROUTES:
        args = route.match(method, segments)
        if args is not None:
            return route, args
    return None, []

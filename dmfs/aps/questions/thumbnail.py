"""The picture of a version that the service made: some kilobytes, and no byte of the file."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from dmfs.aps.client import Aps
from dmfs.aps.json_values import Json
from dmfs.aps.signed_in import path_id
from dmfs.errors import AccessError, DriveError, TokenRefusedError
from dmfs.http.json_body import MIB
from dmfs.http.json_client import Call
from dmfs.model import HubId, ProjectId, VersionId

BODY_MAX_BYTES = MIB
SIZES = (200, 100)
"""Pixels, the one to be asked for first. (400 exists: few of those fit into 64 KiB.)"""
NONE_STATUSES = frozenset({*range(300, 400), 400, 403, 404, 405, 406, 409, 410, 415, 423})
"""By which the service says that it has none, or none for this user. A redirect is not followed:
the token is for the API's own origin."""
LOOK = "look where a picture is"
HUBS = "/project/v1/hubs"
BeforeSending = Callable[[], Awaitable[None]]
ACCEPT = "image/png, image/*;q=0.5"


class Subject(NamedTuple):
    """A version that a picture is wanted of."""

    version_id: VersionId
    project_id: ProjectId
    hub_id: HubId


class ThumbnailCalls:
    """Asks in the name of the drive's sign-in."""

    def __init__(self, aps: Aps) -> None:
        self._service = aps.service
        self.links = aps.picture_links

    async def learn_pattern(self, subject: Subject, before_sending: BeforeSending) -> None:
        """What links of the subject's project look like: of one whose listings were read before
        there were patterns, or whose pattern was refused. One call. DriveErrors."""
        where = f"/data/v1/projects/{path_id(subject.project_id)}/versions/"
        path = where + path_id(subject.version_id)
        call = Call(LOOK, "version", "GET", path, before_sending=before_sending)
        try:
            self.links.learn(subject.project_id, await self._service.request(call, _as_is))
        except DriveError as error:
            if error.status not in NONE_STATUSES or isinstance(error, TokenRefusedError):
                raise
        self.links.suppose(subject.project_id)

    async def learn_regions(self, before_sending: BeforeSending) -> None:
        """The regions of all hubs. One call. DriveErrors."""
        call = Call(LOOK, "hubs", "GET", HUBS, before_sending=before_sending)
        self.links.learn_regions(await self._service.request(call, _as_is))

    async def picture(self, subject: Subject, size: int, before_sending: BeforeSending) -> bytes:
        """What the service has for a version in ``size`` pixels, of whatever type; empty where it
        has none, or none yet. One call, by what was learned. ``before_sending`` as in ``Call``.

        DriveErrors: what is to be asked for again.
        """
        path, query = self.links.pattern(subject.project_id).of(subject.version_id)
        region = self.links.region(subject.hub_id)
        call = Call(
            "ask for a picture", "thumbnail", "GET", path, {"width": str(size)} | query,
            headers={"Accept": ACCEPT} | ({"region": region} if region else {}),
            raw_max_bytes=BODY_MAX_BYTES, before_sending=before_sending,
        )  # fmt: skip
        try:
            return await self._service.request(call, _body)
        except TokenRefusedError:
            raise
        except DriveError as error:
            if error.status not in NONE_STATUSES:
                raise
            if isinstance(error, AccessError):
                self.links.forget(subject.project_id)
            return b""


def _as_is(answer: dict[str, Any]) -> Json:
    return answer


def _body(answer: dict[str, Any]) -> bytes:
    return bytes(answer["body"]) if answer["status"] == 200 else b""

"""The service's jobs that make files of designs: formats, orders, how far they are, results.

Data Management alone: its jobs are free, where Model Derivative and the Manufacturing Data Model
take tokens of the account.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Literal, NamedTuple
from urllib.parse import unquote, urlsplit

from dmfs.aps.json_values import Json, dig, text
from dmfs.aps.sending import ANSWER_S, DATA_TYPE, Sending
from dmfs.aps.signed_in import path_id
from dmfs.aps.signed_urls import is_storage_id
from dmfs.errors import BadResponseError
from dmfs.http.json_client import Call
from dmfs.model import ProjectId, StorageId, VersionId

FORMATS_MAX = 64
_FORMAT = re.compile(r"[a-z0-9]{1,16}")
_JOB = re.compile(r"[\w.:+/=~@-]{1,512}", re.ASCII)


class JobState(NamedTuple):
    """How far a job is."""

    status: Literal["waiting", "failed", "done"]
    download_id: str = ""
    """Of one that is done."""
    words: str = ""
    """As the service has it: ``queued``, ``processing`` …"""


class ExportCalls(Sending):
    """Made like ``aps.client.Aps``, of the same JsonClient and source of tokens."""

    async def formats(self, project_id: ProjectId, version_id: VersionId) -> tuple[str, ...]:
        """The formats that the service makes of a version, in its order. One call."""
        action = "ask for the formats of a design"
        path = f"{_top(project_id)}/versions/{path_id(version_id)}/downloadFormats"
        return await self._get(action, "formats", path, {}, decode_formats)

    async def order(
        self, project_id: ProjectId, version_id: VersionId, file_type: str,
        before_sending: Callable[[], Awaitable[None]],
    ) -> str:  # fmt: skip
        """Start a job; its id. ``before_sending`` runs when all waits are over.

        After an unknown outcome nothing tells whether there is a job: the service has no way to
        look one up by its version.
        """
        action = f"order a {file_type} of a design"
        call = Call(
            action, "new_download", "POST", f"{_top(project_id)}/downloads",
            json=_order(version_id, file_type), content_type=DATA_TYPE, once=True,
            silence_s=ANSWER_S, before_sending=before_sending,
        )  # fmt: skip
        return await self._send(call, lambda answer: decode_job_id(answer, action))

    async def job(self, project_id: ProjectId, job_id: str) -> JobState:
        """How far a job is. GoneError if the service knows none of that id."""
        action = "look at an export"
        path = f"{_top(project_id)}/jobs/{path_id(job_id)}"
        call = Call(action, "job", "GET", path, see_other=True)
        return await self._send(call, lambda answer: decode_job(answer, action))

    async def result(self, project_id: ProjectId, download_id: str) -> StorageId:
        """Where the bytes of a finished job are. GoneError once the service forgot them."""
        action = "look for an exported file"
        path = f"{_top(project_id)}/downloads/{path_id(download_id)}"
        return await self._get(action, "download", path, {}, lambda a: decode_result(a, action))


def _top(project_id: ProjectId) -> str:
    return f"/data/v1/projects/{path_id(project_id)}"


def _order(version_id: VersionId, file_type: str) -> Json:
    source = {"data": {"type": "versions", "id": version_id}}
    return {
        "jsonapi": {"version": "1.0"},
        "data": {
            "type": "downloads",
            "attributes": {"format": {"fileType": file_type}},
            "relationships": {"source": source},
        },
    }


def decode_formats(answer: Json) -> tuple[str, ...]:
    """The file types of ``downloadFormats``; those that are no extension of a file are left out."""
    rows = dig(answer, "data", "attributes", "formats")
    found = [text(row, "fileType").lower() for row in (rows if isinstance(rows, list) else [])]
    return tuple(dict.fromkeys(each for each in found[:FORMATS_MAX] if _FORMAT.fullmatch(each)))


def decode_job_id(answer: Json, action: str) -> str:
    """The job of a 202; the spec has it in a list of one. BadResponseError."""
    data = answer.get("data")
    row = data[0] if isinstance(data, list) and data else data
    job_id = text(row, "id")
    if not _JOB.fullmatch(job_id):
        raise BadResponseError(f"cannot {action}: the answer names no job")
    return job_id


def decode_job(answer: Json, action: str) -> JobState:
    """A job's status, or the place of its result (``Call.see_other``). BadResponseError for a 303
    to anywhere else: networks that want a sign-in send those too."""
    location = answer.get("location")
    if isinstance(location, str):
        parts = urlsplit(location).path.split("/")
        download_id = unquote(parts[-1])
        if parts[-2:-1] != ["downloads"] or not _JOB.fullmatch(download_id):
            raise BadResponseError(f"cannot {action}: the answer leads to no download")
        return JobState("done", download_id)
    status = text(answer, "data", "attributes", "status").lower()
    if not status:
        raise BadResponseError(f"cannot {action}: the answer holds no status")
    if status in ("success", "succeeded", "finished", "complete", "completed", "done"):
        download_id = text(answer, "data", "id")  # by the reference a job's id is its download's
        if _JOB.fullmatch(download_id):
            return JobState("done", download_id)
    failed = status in ("failed", "cancelled", "canceled", "timeout", "error")
    return JobState("failed" if failed else "waiting", words=status[:40])


def decode_result(answer: Json, action: str) -> StorageId:
    """The storage object of a download. BadResponseError."""
    storage_id = text(answer, "data", "relationships", "storage", "data", "id")
    if not is_storage_id(storage_id):
        raise BadResponseError(f"cannot {action}: the answer names no storage")
    return StorageId(storage_id)

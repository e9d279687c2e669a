"""Uploads and a part sender over the emulator's real sockets, in the name of one of its users."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import trio

from dmfs.aps.uploads import Uploads
from dmfs.emulator.process import EmulatorProcess
from dmfs.http.engines import open_engines
from dmfs.http.json_client import JsonClient
from dmfs.http.tls import ca_bundle
from dmfs.model import FolderId, HubId, ItemId, Project, ProjectId, StorageId
from dmfs.ratelimit.limiter import RateLimiter
from dmfs.write.parts.put import PutRequest
from dmfs.write.parts.thread_sender import ThreadSender
from tests.emulator.place import Place
from tests.emulator.writer import WRITE


class Session:
    """A user's tokens."""

    def __init__(self, emulator: EmulatorProcess, user: str) -> None:
        self._emulator, self._user = emulator, user
        self.renewals = 0
        self._token = self._new()

    def _new(self) -> str:
        token: str = self._emulator.sign_in(user=self._user, scope=WRITE)["access_token"]
        return token

    async def token(self) -> str:
        return self._token

    async def renew(self, refused: str) -> str:
        assert refused == self._token
        self.renewals += 1
        self._token = self._new()
        return self._token


@dataclass
class Wire:
    """What a test needs, and the steps of an upload in one."""

    place: Place
    uploads: Uploads
    sender: ThreadSender
    session: Session
    client: JsonClient

    @property
    def emulator(self) -> EmulatorProcess:
        return self.place.emulator

    @property
    def project_id(self) -> ProjectId:
        return ProjectId(self.place.project["id"])

    @property
    def project(self) -> Project:
        return Project(self.project_id, HubId("b.h"), "")

    @property
    def folder(self) -> FolderId:
        return FolderId(self.place.id)

    async def put(self, url: str, body: bytes) -> str:
        return await self.sender.put(PutRequest(url, [body], len(body), "save"))

    async def uploaded(self, target: FolderId | ItemId, name: str, body: bytes) -> StorageId:
        """A complete object of one part."""
        storage = await self.uploads.storage(self.project_id, target, name)
        urls = await self.uploads.part_urls(storage, first=1, count=1)
        etag = await self.put(urls.urls[0], body)
        assert etag == hashlib.md5(body, usedforsecurity=False).hexdigest()
        assert await self.uploads.complete(storage, urls.upload_key, len(body), [etag]) == len(body)
        return storage

    async def new_file(self, name: str, body: bytes = b"bytes") -> ItemId:
        storage = await self.uploaded(self.folder, name, body)
        posted = await self.uploads.new_item(self.project_id, self.folder, name, storage)
        return posted.item_id

    def counts(self) -> dict[str, int]:
        return self.emulator.counts()


@asynccontextmanager
async def wire_to(place: Place, user: str = "ADAEMU000001") -> AsyncIterator[Wire]:
    sender = ThreadSender(ca_bundle=ca_bundle(""), connections=4, stall_timeout_s=0.4)
    sender.start()
    try:
        async with open_engines(ca_bundle("")) as engines:
            client = JsonClient(place.emulator.api_url, engines, RateLimiter())
            session = Session(place.emulator, user)
            with trio.fail_after(30):
                yield Wire(place, Uploads(client, session), sender, session, client)
    finally:
        sender.close()

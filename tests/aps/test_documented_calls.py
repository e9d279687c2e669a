"""Every call of the client against what Autodesk's OpenAPI files say of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest
import trio

from dmfs.aps.client import Aps
from dmfs.aps.uploads import Uploads
from dmfs.auth.token_endpoint import App, request_grant
from dmfs.auth.token_sources import TwoLegged
from dmfs.emulator.process import EmulatorProcess
from dmfs.http.client import HttpClient, Request, Response
from dmfs.http.engines import open_engines
from dmfs.http.json_client import JsonClient
from dmfs.http.tls import ca_bundle
from dmfs.model import FolderId, HubId, Project
from dmfs.ratelimit.limiter import RateLimiter
from dmfs.write.parts.thread_sender import ThreadSender
from tests.aps.test_client import listed
from tests.aps.wire import Session, Wire
from tests.emulator.openapi import Contract, facts
from tests.emulator.place import HUB, Place
from tests.support.helpers import real

pytest.importorskip("openapi_schema_validator")
pytestmark = pytest.mark.process


@dataclass
class Recorder:
    """Sends by ``engine``; remembers what is not documented, and which calls there were."""

    engine: HttpClient
    contract: Contract = field(default_factory=lambda: Contract(facts()))
    wrong: list[tuple[str, str, list[str]]] = field(default_factory=list)
    calls: set[str] = field(default_factory=set)

    async def send(self, request: Request) -> Response:
        at = urlsplit(request.url)
        found = self.contract.request_complaints(
            request.method,
            request.url,
            request.headers,
            request.content,
            None if request.form is None else dict(request.form),
        )
        if found:
            self.wrong.append((request.method, at.path, found))
        call = self.contract.find(request.method, at.path)
        self.calls.add(f"{request.method} {call.path.rpartition('}/')[2] if call else '?'}")
        return await self.engine.send(request)


@asynccontextmanager
async def recorded(emulator: EmulatorProcess) -> AsyncIterator[tuple[Recorder, JsonClient]]:
    async with open_engines(ca_bundle("")) as engines:
        recorder = Recorder(engines)
        with trio.fail_after(30):
            yield recorder, JsonClient(emulator.api_url, recorder, RateLimiter())


@asynccontextmanager
async def writing(place: Place) -> AsyncIterator[tuple[Recorder, Wire]]:
    sender = ThreadSender(ca_bundle=ca_bundle(""), connections=1)
    sender.start()
    try:
        async with recorded(place.emulator) as (recorder, client):
            session = Session(place.emulator, "ADAEMU000001")
            yield recorder, Wire(place, Uploads(client, session), sender, session, client)
    finally:
        sender.close()


@real
async def test_reading(written: EmulatorProcess) -> None:
    async with recorded(written) as (recorder, client), trio.open_nursery() as nursery:
        app = App("emulator-app", "emulator-secret")
        aps = Aps(client, TwoLegged(client, nursery, app, "data:read"), url_minutes=60)
        for names in (
            (HUB, "Sample Project", "Project Files"),
            ("Emulated Fusion Team", "Gearbox"),
        ):
            children: list[Any] = await listed(aps, *names)
            file = next(each for each in children if getattr(each, "storage_id", None))
            await aps.sign(file)
            await aps.item(Project(file.project_id, HubId("b.h"), ""), file.item_id)
    assert recorder.wrong == []
    assert recorder.calls == {
        "POST /authentication/v2/token", "GET /project/v1/hubs", "GET projects", "GET topFolders",
        "GET contents", "GET items/{item_id}", "GET signeds3download",
    }  # fmt: skip


@real
async def test_writing_in_either_kind_of_project(place: Place, team: Place) -> None:
    calls: set[str] = set()
    for at in (place, team):
        async with writing(at) as (recorder, wire):
            uploads, project = wire.uploads, wire.project_id
            item = await wire.new_file("a.txt", b"one")
            storage = await wire.uploaded(item, "a.txt", b"two")
            await uploads.new_version(project, item, "a.txt", storage)
            await uploads.details(storage)
            tip = await uploads.item(wire.project, item)
            assert tip.file is not None
            assert await uploads.version_of(tip.file, 1)
            inner = await uploads.new_folder(project, wire.folder, "inner")
            await uploads.change_folder(project, inner.id, name="renamed")
            await uploads.permissions(project, [wire.folder, item], ["upload", "view"])
            if at is place:
                await _only_there(wire, tip.file, inner.id, storage)
            else:
                await uploads.rename_in_place(project, item, tip.file.version_id, "b.txt")
        assert recorder.wrong == []
        calls |= recorder.calls
    assert calls == {
        "POST storage", "GET signeds3upload", "POST signeds3upload", "GET details", "POST items",
        "POST versions", "GET items/{item_id}", "GET versions/{version_id}", "POST folders",
        "PATCH folders/{folder_id}", "PATCH items/{item_id}", "PATCH versions/{version_id}",
        "POST commands", "PUT copyto/{newObjKey}",
    }  # fmt: skip


async def _only_there(wire: Wire, file: Any, inner: FolderId, storage: Any) -> None:
    """What ``a.`` projects do not have."""
    uploads, project = wire.uploads, wire.project_id
    await uploads.copy_version(project, file.item_id, file.version_id, "b.txt")
    await uploads.copy_item(project, inner, file.version_id, "c.txt")
    await uploads.copy_object(storage, await uploads.storage(project, inner, "d.txt"))
    await uploads.delete_item(project, file.item_id)
    await uploads.copy_version(project, file.item_id, file.version_id)
    await uploads.change_folder(project, inner, parent=FolderId(wire.place.parent))
    await uploads.change_folder(project, inner, hidden=True)


@real
async def test_grants(written: EmulatorProcess) -> None:
    grant = written.sign_in(user="ADAEMU000001", scope="data:read")
    form = {"grant_type": "refresh_token", "refresh_token": grant["refresh_token"],
            "scope": "data:read"}  # fmt: skip
    async with recorded(written) as (recorder, client):
        await request_grant(client, App("emulator-desktop"), "sign in", form)
    assert recorder.wrong == []
    assert recorder.calls == {"POST /authentication/v2/token"}

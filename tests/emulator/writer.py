"""The calls of an upload, one by one, as the documents describe them."""

from __future__ import annotations

import hashlib
import json
from typing import Any
from urllib.parse import quote

from dmfs.emulator.process import EmulatorProcess

from .client import Reply, fetch

WRITE = "data:read data:create data:write"
VERSION = {"version": "1.0"}
MIB = 1024 * 1024


def extension(type_: str) -> dict[str, str]:
    return {"type": type_, "version": "1.0"}


def link(type_: str, id_: str) -> dict[str, Any]:
    return {"data": {"type": type_, "id": id_}}


class Writer:
    """One user in one project. ``kind``: ``bim360`` in ``b.`` projects, ``core`` in ``a.``."""

    def __init__(self, emulator: EmulatorProcess, project: str, user: str = "ADAEMU000001",
                 scope: str = WRITE) -> None:  # fmt: skip
        self.emulator, self.url, self.project, self.user = emulator, emulator.api_url, project, user
        self.kind = "bim360" if project.startswith("b.") else "core"
        self.token = emulator.sign_in(user=user, scope=scope)["access_token"]

    def call(self, method: str, path: str, body: Any = None, *,
             content_type: str = "application/vnd.api+json") -> Reply:  # fmt: skip
        headers = {"Authorization": f"Bearer {self.token}"}
        if body is not None:
            headers["Content-Type"] = content_type
        raw = None if body is None else json.dumps(body).encode()
        return fetch(self.url + path, method, headers, raw)

    def data(self, method: str, path: str, data: Any = None, included: Any = None) -> Reply:
        """A call of the Data service; ``data`` becomes a whole document."""
        body: dict[str, Any] = {"jsonapi": VERSION, "data": data}
        if included is not None:
            body["included"] = included
        document = None if data is None else body
        return self.call(method, f"/data/v1/projects/{quote(self.project)}/{path}", document)

    def storage(self, name: str, target: str) -> Reply:
        type_ = "folders" if ":fs.folder:" in target else "items"
        return self.data("POST", "storage", {
            "type": "objects", "attributes": {"name": name},
            "relationships": {"target": link(type_, target)},
        })  # fmt: skip

    def object(self, storage: str) -> str:
        bucket, _, key = storage.removeprefix("urn:adsk.objects:os.object:").partition("/")
        return f"/oss/v2/buckets/{bucket}/objects/{quote(key, safe='')}"

    def urls(self, storage: str, query: str = "") -> Reply:
        return self.call("GET", f"{self.object(storage)}/signeds3upload{query}")

    def put(self, url: str, body: bytes, headers: dict[str, str] | None = None) -> Reply:
        return fetch(url, "PUT", headers, body)

    def complete(self, storage: str, key: str, **members: Any) -> Reply:
        return self.call(
            "POST", f"{self.object(storage)}/signeds3upload", {"uploadKey": key, **members},
            content_type="application/json",
        )  # fmt: skip

    def details(self, storage: str) -> Reply:
        return self.call("GET", f"{self.object(storage)}/details")

    def uploaded(self, name: str, target: str, body: bytes) -> str:
        """The storage URN of an upload that is complete."""
        reply = self.storage(name, target)
        assert reply.status == 201, reply.body
        storage = reply.json["data"]["id"]
        session = self.urls(storage).json
        put = self.put(session["urls"][0], body)
        assert put.status == 200, put.body
        tag = put.headers["etag"].strip('"')
        done = self.complete(storage, session["uploadKey"], size=len(body), eTags=[tag])
        assert done.status == 200, done.body
        return storage

    def item(self, folder: str, name: str, storage: str, **changed: Any) -> Reply:
        kind = changed.get("kind", self.kind)
        return self.data("POST", "items", {
            "type": "items",
            "attributes": {
                "displayName": changed.get("display_name", name),
                "extension": extension(f"items:autodesk.{kind}:File"),
            },
            "relationships": {"tip": link("versions", "1"), "parent": link("folders", folder)},
        }, [{
            "type": "versions", "id": "1",
            "attributes": {"name": name, "extension": extension(f"versions:autodesk.{kind}:File")},
            "relationships": {"storage": link("objects", storage)},
        }])  # fmt: skip

    def version(self, item: str, name: str, storage: str, kind: str = "") -> Reply:
        return self.data("POST", "versions", {
            "type": "versions",
            "attributes": {
                "name": name, "extension": extension(f"versions:autodesk.{kind or self.kind}:File")
            },
            "relationships": {
                "item": link("items", item), "storage": link("objects", storage)
            },
        })  # fmt: skip

    def new_file(self, folder: str, name: str, body: bytes) -> str:
        """The id of a new item."""
        reply = self.item(folder, name, self.uploaded(name, folder, body))
        assert reply.status == 201, reply.body
        found: str = reply.json["data"]["id"]
        return found

    def save(self, item: str, name: str, body: bytes) -> Reply:
        """One more version."""
        return self.version(item, name, self.uploaded(name, item, body))

    def delete(self, item: str) -> Reply:
        return self.data("POST", "versions", {
            "type": "versions",
            "attributes": {"extension": extension("versions:autodesk.core:Deleted")},
            "relationships": {"item": link("items", item)},
        })  # fmt: skip

    def copy(self, version: str, data: Any = None) -> Reply:
        """``POST versions?copyFrom``; without ``data`` as a restore is documented."""
        path = f"versions?copyFrom={quote(version, safe='')}"
        if data is not None:
            return self.data("POST", path, {"type": "versions", **data})
        where = f"/data/v1/projects/{quote(self.project)}/{path}"
        return self.call("POST", where, {"data": {"type": "versions"}})

    def folder(self, parent: str, name: str, type_: str = "") -> Reply:
        type_ = type_ or f"folders:autodesk.{self.kind}:Folder"
        return self.data("POST", "folders", {
            "type": "folders",
            "attributes": {"name": name, "extension": extension(type_)},
            "relationships": {"parent": link("folders", parent)},
        })  # fmt: skip

    def patch(self, folder: str, parent: str = "", **attributes: Any) -> Reply:
        data: dict[str, Any] = {"type": "folders", "id": folder}
        if attributes:
            data["attributes"] = attributes
        if parent:
            data["relationships"] = {"parent": link("folders", parent)}
        return self.data("PATCH", f"folders/{folder}", data)

    def listing(self, folder: str) -> dict[str, Any]:
        """By name: the tip's attributes and storage of each file, ``None`` for folders."""
        reply = self.data("GET", f"folders/{folder}/contents")
        assert reply.status == 200, reply.body
        tips = {each["id"]: each for each in reply.json.get("included", ())}
        found: dict[str, Any] = {}
        for row in reply.json["data"]:
            if row["type"] == "folders":
                found[row["attributes"]["name"]] = None
            else:
                tip = tips[row["relationships"]["tip"]["data"]["id"]]
                storage = tip["relationships"]["storage"]["data"]["id"]
                found[tip["attributes"]["name"]] = tip["attributes"] | {"storage": storage}
        return found


def md5(body: bytes) -> str:
    return hashlib.md5(body, usedforsecurity=False).hexdigest()


def detail(reply: Reply) -> str:
    error: dict[str, str] = reply.json["errors"][0]
    return error["detail"]

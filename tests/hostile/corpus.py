"""True inputs of all decoders: what the fuzzers spoil."""

from __future__ import annotations

from typing import Any

from dmfs.model import FolderId, HubId, Project, ProjectId

PROJECT = Project(ProjectId("b.p"), HubId("b.h"), "P", FolderId("root"))
PAGE: dict[str, Any] = {
    "data": [
        {
            "type": "items", "id": "urn:adsk.wipprod:dm.lineage:a",
            "attributes": {
                "displayName": "plan.dwg", "createTime": "2022-05-06T08:24:41.0000000Z",
                "hidden": False, "extension": {"type": "items:autodesk.bim360:File"},
            },
            "relationships": {
                "tip": {"data": {"type": "versions", "id": "urn:v?version=2"}},
                "parent": {"data": {"type": "folders", "id": "urn:f"}},
            },
            "links": {"webView": {"href": "https://acc.autodesk.com/x"}},
        },
        {"type": "folders", "id": "urn:g", "attributes": {"name": "Plans", "objectCount": 3}},
    ],
    "included": [{
        "type": "versions", "id": "urn:v?version=2",
        "attributes": {"name": "plan.dwg", "versionNumber": 2, "storageSize": 1000,
                       "createTime": "2022-05-06T08:24:41.0000000Z", "createUserName": "A",
                       "extension": {"type": "versions:autodesk.bim360:File"}},
        "relationships": {
            "item": {"data": {"type": "items", "id": "urn:adsk.wipprod:dm.lineage:a"}},
            "storage": {"data": {"type": "objects", "id": "urn:adsk.objects:os.object:b/k"}},
        },
    }],
    "links": {"next": {"href": "https://api/x?page[number]=1"}},
}  # fmt: skip
ITEM = {"data": PAGE["data"][0], "included": PAGE["included"]}
HUBS = {
    "data": [{"type": "hubs", "id": "b.h", "attributes": {"name": "Hub", "region": "US",
              "extension": {"type": "hubs:autodesk.bim360:Account"}}}],
    "meta": {"warnings": [{"Title": "Careful", "Detail": "some hub", "HttpStatusCode": "403"}]},
}  # fmt: skip
PROJECTS = {
    "data": [{"type": "projects", "id": "b.p", "attributes": {"name": "Project"},
              "relationships": {"rootFolder": {"data": {"id": "urn:f"}}},
              "links": {"webView": {"href": "https://acc.autodesk.com/p"}}}],
}  # fmt: skip
SIGNED = [
    {"status": "complete", "url": "https://cdn/a?Signature=s", "size": 20, "sha1": "ab" * 20},
    {"status": "chunked", "urls": {"0-9": "https://cdn/a", "10-19": "https://cdn/b"}, "size": 20},
]
GRANT = {"access_token": "abc.def", "expires_in": 3599, "refresh_token": "r", "token_type": "B"}
ERRORS = (
    b'{"jsonapi":{"version":"1.0"},"errors":[{"id":"1","status":"403","code":"C1","detail":"no"}]}',
    b'{"developerMessage":"The token is bad","errorCode":"AUTH-001","moreInfo":"x"}',
    b'{"reason":"Object not found"}', b'{"error":"invalid_grant","error_description":"gone"}',
    b"<?xml version='1.0'?><Error><Code>AccessDenied</Code><Message>Expired</Message></Error>",
    b"<html><head><title>504 Gateway Time-out</title></head><body></body></html>", b"no words",
)  # fmt: skip
HEADERS = (
    b"HTTP/1.1 206 OK\r\nContent-Range: bytes 0-9/100\r\nETag: x\r\nContent-Length: 10\r\n",
    b"HTTP/1.1 206 Partial\r\nContent-Range: bytes 0-9/*\r\nContent-Length: 10\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\nContent-Encoding: gzip\r\n",
    b"HTTP/1.1 302 Found\r\nLocation: https://cdn/b\r\n",
    b"HTTP/1.1 206 OK\r\nContent-Range: bytes 0-99999999999999999999/1\r\n",
)
CONFIGS = (
    b'ttl = "60s"\ncache_size = "20GiB"\napi_url = "https://developer.api.autodesk.com"\n',
    b'profile = "a"\nrates = "contents=60,hubs=10"\n[profiles.a]\nsign_in = "app"\n',
    b'connections = 16\nmemory_budget = "64MiB"\npoll = 0\ncache_free_percent = 5\n',
)
TIMES = (b"2022-05-06T08:24:41.0000000Z", b"2022-05-06T08:24:41Z", b"0001-01-01T00:00:00+14:00")
URLS = (
    b"https://cdn.us.oss.api.autodesk.com/a?b=c", b"http://127.0.0.1:1/x", b"http://localhost:1",
    b"http://[::1]:80/x", b"https://user@example.com", b"file:///etc/passwd",
)  # fmt: skip
WAITS = (b"1", b"60", b"Wed, 21 Oct 2026 07:28:00 GMT", b"0.5", b"-1")
KEYS = (
    b'{"kid":"1","privateKey":"-----BEGIN PRIVATE KEY-----\\nx\\n-----END PRIVATE KEY-----"}',
    b"-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n",
)

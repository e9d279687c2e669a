"""Counting, latency and rate limits, from outside."""

from __future__ import annotations

import socket
import threading
import time
from urllib.parse import urlsplit

from tests.support.mounts import wait_until

from .client import Api


class TestCounting:
    def test_every_call_is_counted_and_logged(self, emulator, api, sample):
        project, folder, _ = sample
        api.contents(project, folder["id"])
        calls = emulator.calls()
        assert calls["counts"]["token"] == 1
        assert calls["counts"]["contents"] == 1
        assert calls["counts"]["sign"] == 0
        last = calls["log"][-1]
        assert last["route"] == "contents"
        assert last["client"] == "emulator-app"
        assert last["status"] == 200
        assert last["bytes"] > 1000
        assert last["authorization_present"]
        emulator.reset()
        assert sum(emulator.counts().values()) == 0

    def test_counted_even_when_the_client_goes_away(self, emulator, api, facts):
        folder = facts.folder(facts.project("Sample Project"), "Project Files", "Large Files")
        storage = facts.item(folder, "pointcloud.rcs")["versions"][0]["storage"]
        at = urlsplit(api.sign(storage).json["url"])
        with socket.create_connection((at.hostname, at.port)) as sock:
            sock.sendall(f"GET {at.path}?{at.query} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert sock.recv(1000)
        time.sleep(0.2)
        calls = emulator.calls()
        assert calls["log"][-1]["status"] == 200
        assert 0 < calls["cdn_bytes"] < 5 * 1024**3

    def test_latency_per_route(self, emulator, api):
        emulator.settings(route_latency_ms={"hubs": 1000})
        done: list[str] = []
        slow = threading.Thread(
            target=lambda: done.append(f"hubs {api.get('/project/v1/hubs').status}")
        )
        slow.start()
        wait_until(lambda: emulator.counts()["hubs"] == 1, what="the slow call arrives")
        done.append(f"hub {api.get('/project/v1/hubs/b.x').status}")
        emulator.settings(route_latency_ms={})
        slow.join()
        assert done == ["hub 404", "hubs 200"]

    def test_page_limit(self, emulator, api, sample):
        project, folder, _ = sample
        emulator.settings(page_limit=2)
        pages = api.contents(project, folder["id"])
        assert [len(page["data"]) for page in pages] == [2, 2]
        assert "page%5Blimit%5D=2" in pages[0]["links"]["next"]["href"]


class TestLimits:
    def test_429_per_route_and_client(self, emulator, api):
        emulator.settings(rate_limits=0.04)  # hubs: 2 a minute.
        replies = [api.get("/project/v1/hubs") for _ in range(4)]
        assert [reply.status for reply in replies] == [200, 200, 429, 429]
        assert 1 <= int(replies[-1].headers["retry-after"]) <= 60
        assert replies[-1].json == {"developerMessage": "Quota limit exceeded."}
        assert emulator.calls()["status_429"] == 2
        other = Api(emulator, "emulator-strict", "strict-secret")
        assert other.get("/project/v1/hubs").status == 200
        assert api.get(f"/project/v1/hubs/{'b.x'}").status == 404

    def test_the_window_ends(self, emulator, api):
        emulator.settings(rate_limits=0.02, rate_window_s=0.5)
        assert [api.get("/project/v1/hubs").status for _ in range(2)] == [200, 429]
        time.sleep(0.55)
        assert api.get("/project/v1/hubs").status == 200

    def test_all_of_oss_shares_a_budget(self, emulator, api, facts):
        emulator.settings(rate_limits=0.002)  # 2 a minute.
        files = facts.folder(facts.project("Sample Project"), "Project Files")
        storage = facts.item(files, "README.txt")["versions"][0]["storage"]
        bucket, _, key = storage.removeprefix("urn:adsk.objects:os.object:").partition("/")
        details = f"/oss/v2/buckets/{bucket}/objects/{key}/details"
        statuses = [api.sign(storage).status, api.get(details).status, api.sign(storage).status]
        assert statuses == [200, 200, 429]

    def test_published(self, emulator, api):
        emulator.settings(rate_limits="published")
        statuses = [api.get("/project/v1/hubs").status for _ in range(51)]
        assert statuses == [200] * 50 + [429]

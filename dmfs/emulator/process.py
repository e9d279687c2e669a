"""Starting and steering an emulator from Python; stdlib only.

>>> with EmulatorProcess(world="small:files=3") as emulator:
...     emulator.counts()["contents"]
0
"""

from __future__ import annotations

import builtins
import http.client
import json
import os
import select
import ssl
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self
from urllib.parse import urlencode, urlsplit

from dmfs.emulator import browser
from dmfs.emulator.browser import EmulatorError

__all__ = ["EmulatorError", "EmulatorProcess"]

_STOP_TIMEOUT_S = 5.0
_CONTROL_TIMEOUT_S = 60.0


class EmulatorProcess:
    """An emulator in a process of its own, ended with ours (``--until-eof``).

    ``rate_limits`` is ``off``, ``published`` or a scale; ``cdn_mb_per_s`` is per connection in
    10^6 bytes, 0 for unlimited. The control calls are described in ``docs/emulator.md``.
    """

    def __init__(
        self, *, world: str = "sample", port: int = 0, cdn_port: int = 0,
        rate_limits: str | float = "off", api_latency_ms: float = 0, cdn_latency_ms: float = 0,
        cdn_mb_per_s: float = 0, token_ttl_s: float = 3599, url_ttl_cap_s: float | None = None,
        tls_cert: str | None = None, tls_key: str | None = None, log_level: str = "warning",
        start_timeout_s: float = 20.0,
    ) -> None:  # fmt: skip
        options: dict[str, object] = {
            "world": world, "port": port, "cdn-port": cdn_port, "rate-limits": rate_limits,
            "api-latency-ms": api_latency_ms, "cdn-latency-ms": cdn_latency_ms,
            "cdn-mb-per-s": cdn_mb_per_s, "token-ttl-s": token_ttl_s,
            "url-ttl-cap-s": url_ttl_cap_s, "tls-cert": tls_cert, "tls-key": tls_key,
            "log-level": log_level,
        }  # fmt: skip
        self._arguments = ["--until-eof"] + [
            f"--{name}={value}" for name, value in options.items() if value is not None
        ]
        self._start_timeout_s = start_timeout_s
        self._child: subprocess.Popen[builtins.bytes] | None = None
        self._stderr: IO[builtins.bytes] | None = None
        self.api_url = self.cdn_url = self.client_id = self.client_secret = ""
        self.pid = 0
        self._last_words = ""

    def start(self) -> Self:
        """Start it and wait until both origins listen; EmulatorError with its stderr if not."""
        # A file rather than a pipe: it needs no draining and can be read afterwards.
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed in stop()
        environment = dict(os.environ)
        root = str(Path(__file__).resolve().parents[2])
        paths = [root, *filter(None, [environment.get("PYTHONPATH")])]
        environment["PYTHONPATH"] = os.pathsep.join(paths)
        self._child = subprocess.Popen(
            [sys.executable, "-P", "-m", "dmfs.emulator", *self._arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._stderr, env=environment,
            # Ctrl-C in our terminal is ours to handle: what depends on the emulator ends first.
            start_new_session=True,
        )  # fmt: skip
        line = self._ready_line(self._child)
        if not line:
            status = self.stop()
            raise EmulatorError(f"the emulator did not start ({status}): {self.stderr()}")
        ready = json.loads(line)
        self.api_url, self.cdn_url = ready["api_url"], ready["cdn_url"]
        self.client_id, self.client_secret = ready["client_id"], ready["client_secret"]
        self.pid = ready["pid"]
        return self

    def _ready_line(self, child: subprocess.Popen[builtins.bytes]) -> builtins.bytes:
        """The first line of its stdout; what there is of it when the deadline passes."""
        assert child.stdout is not None
        deadline = time.monotonic() + self._start_timeout_s
        line = b""
        while not line.endswith(b"\n"):
            left_s = deadline - time.monotonic()
            readable, _, _ = select.select([child.stdout], [], [], max(0.0, left_s))
            chunk = os.read(child.stdout.fileno(), 4096) if readable else b""
            if not chunk:
                return b""
            line += chunk
        return line

    def stop(self) -> int:
        """End it; its exit status. Harmless when it is not running."""
        child = self._child
        if child is None:
            return 0
        # The end of its stdin is the word to end. A SIGTERM right behind it found it, once in a few
        # hundred, already past its own handler: it died of the signal (-15) instead of ending.
        if child.stdin is not None and not child.stdin.closed:
            child.stdin.close()
        for harder in (child.terminate, child.kill):
            try:
                child.wait(_STOP_TIMEOUT_S)
                break
            except subprocess.TimeoutExpired:
                harder()
        child.wait()
        if child.stdout is not None:
            child.stdout.close()
        if self._stderr is not None and not self._stderr.closed:
            self._stderr.seek(0)
            self._last_words = self._stderr.read().decode(errors="replace")
            self._stderr.close()
        return child.returncode

    def stderr(self) -> str:
        """What it has written to stderr so far."""
        if self._stderr is None or self._stderr.closed:
            return self._last_words
        self._stderr.seek(0)
        return self._stderr.read().decode(errors="replace")

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _request(self, method: str, path: str, body: object) -> builtins.bytes:
        """One control call, on a connection of its own."""
        at = urlsplit(self.api_url)
        connection: http.client.HTTPConnection
        if at.scheme == "https":
            connection = http.client.HTTPSConnection(
                at.netloc, timeout=_CONTROL_TIMEOUT_S,
                # A certificate made for the occasion, on loopback.
                context=ssl._create_unverified_context(),  # noqa: S323, SLF001
            )  # fmt: skip
        else:
            connection = http.client.HTTPConnection(at.netloc, timeout=_CONTROL_TIMEOUT_S)
        try:
            payload = None if body is None else json.dumps(body).encode()
            connection.request(method, f"/_emulator/{path.lstrip('/')}", payload)
            response = connection.getresponse()
            data = response.read()
        finally:
            connection.close()
        if response.status != 200:
            raise EmulatorError(f"{method} /_emulator/{path}: {data.decode(errors='replace')}")
        return data

    def control(self, method: str, path: str, body: object = None) -> Any:
        """One control call; ``path`` is what follows ``/_emulator/``."""
        return json.loads(self._request(method, path, body))

    def calls(self) -> dict[str, Any]:
        """``counts``, ``cdn_bytes``, ``status_429`` and ``log``."""
        result: dict[str, Any] = self.control("GET", "calls")
        return result

    def counts(self) -> dict[str, int]:
        """Calls by route since the start or the last reset."""
        result: dict[str, int] = self.calls()["counts"]
        return result

    def callers(self, **where: str) -> list[dict[str, Any]]:
        """Who called since the last reset: ``client``, ``user``, ``agent``, ``token`` (12 hex
        digits of its SHA-256), ``counts`` by route; ``where`` names some of the first four."""
        result: list[dict[str, Any]] = self.control("GET", f"callers?{urlencode(where)}")["callers"]
        return result

    def reset(self) -> None:
        """Zero counts, log and rate-limit windows; the world stays as it is."""
        self.control("POST", "reset")

    def world(self) -> dict[str, Any]:
        """Raw facts: hubs, projects, folders, items, versions."""
        result: dict[str, Any] = self.control("GET", "world")
        return result

    def settings(self, **changes: object) -> dict[str, Any]:
        """Change settings; all settings as they are now."""
        method = "PATCH" if changes else "GET"
        result: dict[str, Any] = self.control(method, "settings", changes or None)
        return result

    def fault(
        self, kind: str, *, origin: str | None = None, route: str | None = None,
        page: int | None = None, contains: str | None = None, body: str | None = None,
        times: int | None = 1, skip: int = 0, **params: object,
    ) -> int:  # fmt: skip
        """Order a fault for matching requests; its id."""
        match = {"origin": origin, "route": route, "page": page, "contains": contains}
        match["body"] = body
        order = {"match": match, "kind": kind, "times": times, "skip": skip, **params}
        return int(self.control("POST", "faults", order)["id"])

    def faults(self) -> list[dict[str, Any]]:
        """All orders with their ``hits``."""
        result: list[dict[str, Any]] = self.control("GET", "faults")["faults"]
        return result

    def clear_faults(self) -> None:
        self.control("DELETE", "faults")

    def race(
        self, route: str, *changes: dict[str, Any], when: str = "before", times: int | None = 1,
        skip: int = 0, **match: Any,
    ) -> int:  # fmt: skip
        """Order changes just before or after matching calls have their effect; the order's id."""
        order = {"match": {"route": route, **match}, "when": when, "times": times, "skip": skip}
        return int(self.control("POST", "races", order | {"changes": list(changes)})["id"])

    def races(self) -> list[dict[str, Any]]:
        """All orders with their ``hits``, and why one could not be carried out (``trouble``)."""
        result: list[dict[str, Any]] = self.control("GET", "races")["races"]
        return result

    def clear_races(self) -> None:
        self.control("DELETE", "races")

    def violations(self) -> dict[str, int]:
        """What clients did that they must not, by kind; kinds that never occurred left out."""
        counts: dict[str, int] = self.control("GET", "violations")["counts"]
        return {kind: count for kind, count in counts.items() if count}

    def writes(self) -> dict[str, Any]:
        """``items`` with the timeline of each, ``events``, open ``sessions``, ``orphans``."""
        result: dict[str, Any] = self.control("GET", "writes")
        return result

    def timeline(self, **where: str) -> list[dict[str, Any]]:
        """The versions of one file (``id`` or ``path``), oldest first, with ``sha256``."""
        answer = self.control("GET", f"timeline?{urlencode(where)}")
        result: list[dict[str, Any]] = answer["versions"]
        return result

    def change(self, op: str, **fields: object) -> dict[str, Any]:
        """Change the world; the new raw facts of what was changed."""
        result: dict[str, Any] = self.control("POST", "change", {"op": op, **fields})
        return result

    def exports(self, **changes: object) -> dict[str, Any]:
        """Set what becomes of downloads; ``settings``, ``rules``, all ``jobs``, ``posts``."""
        if changes:
            self.control("PATCH", "exports", changes)
        result: dict[str, Any] = self.control("GET", "exports")
        return result

    def export_rule(self, **order: object) -> None:
        """Another course for some of the jobs to come: ``match``, ``outcome``, ``every`` …"""
        self.control("POST", "exports/rules", order)

    def expire_downloads(self, id_: str | None = None) -> None:
        """One download, or all there are, reach their end."""
        self.control("POST", "exports/expire", {"id": id_})

    def clear_exports(self) -> None:
        """No jobs, counts and rules; settings as at the start."""
        self.control("DELETE", "exports")

    def thumbnails(self, **changes: object) -> dict[str, Any]:
        """Set which pictures there are; ``settings``, and how often each version was asked for
        (``calls``)."""
        method = "PATCH" if changes else "GET"
        result: dict[str, Any] = self.control(method, "thumbnails", changes or None)
        return result

    def clear_thumbnails(self) -> None:
        """Settings as at the start, and nothing was asked for."""
        self.control("DELETE", "thumbnails")

    def changes(self, *orders: dict[str, Any]) -> list[str]:
        """Change the world in many steps, each ``at`` a moment perhaps; the id of each result."""
        ids: list[str] = self.control("POST", "changes", {"changes": list(orders)})["ids"]
        return ids

    def tree(
        self, at: str | float, *, path: str | None = None,
        node_id: str | None = None, view: str = "served", sha256: bool = False,
    ) -> dict[str, Any]:  # fmt: skip
        """What was below a path or an id at a moment: ``entries``; ``served`` by the service, or
        ``true``."""
        query = {"at": str(at), "view": view, "sha256": str(sha256).lower()}
        query |= {
            key: value for key, value in (("path", path), ("id", node_id)) if value is not None
        }
        result: dict[str, Any] = self.control("GET", f"tree?{urlencode(query)}")
        return result

    def bytes(self, storage: str, offset: int = 0, length: int | None = None) -> builtins.bytes:
        """True bytes of a storage object, clamped to its end."""
        query: dict[str, object] = {"storage": storage, "offset": offset}
        if length is not None:
            query["length"] = length
        return self._request("GET", f"bytes?{urlencode(query)}", None)

    def sha256(self, storage: str) -> tuple[str, int]:
        """Hex digest and length of the true bytes."""
        answer = self.control("GET", f"sha256?{urlencode({'storage': storage})}")
        return answer["sha256"], answer["size"]

    def refuse(self, origin: str, seconds: float) -> None:
        """Close the listener of ``api`` or ``cdn`` for that long, and drop its connections."""
        self.control("POST", "refuse", {"origin": origin, "seconds": seconds})

    def sign_in(self, client_id: str = "emulator-desktop", **fields: str) -> dict[str, Any]:
        """A session as if a person had consented: ``access_token``, ``refresh_token``."""
        body = {"client_id": client_id, **fields}
        result: dict[str, Any] = self.control("POST", "sessions", body)
        return result

    def consent(self, url: str, *, allow: bool = True, user: str = "ADAEMU000001") -> str:
        """Answer the consent page at ``url`` as a person would; where the browser is sent next.

        EmulatorError if there is no page to answer; its text says why.
        """
        return browser.consent(self.api_url, url, allow=allow, user=user)

    def expire_tokens(self) -> None:
        self.control("POST", "expire_tokens")

    def expire_urls(self) -> None:
        self.control("POST", "expire_urls")

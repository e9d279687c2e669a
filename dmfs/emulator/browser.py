"""A browser of twenty lines for the emulator's consent page; stdlib only."""

from __future__ import annotations

import http.client
import re
from urllib.parse import urlencode, urlsplit


class EmulatorError(RuntimeError):
    """The emulator did not start, or refused a call; the message says why."""


def consent(api_url: str, url: str, *, allow: bool, user: str) -> str:
    """Fetch the page at ``url``, send its form, and return where that redirects to."""
    at = urlsplit(url)
    connection = http.client.HTTPConnection(urlsplit(api_url).netloc, timeout=60)
    try:
        connection.request("GET", f"{at.path}?{at.query}")
        response = connection.getresponse()
        page = response.read().decode(errors="replace")
        if response.status == 302:
            return response.getheader("Location", "")
        found = re.search(r'name="question" value="([^"]+)"', page)
        if response.status != 200 or found is None:
            text = re.search(r"<p>([^<]*)</p>", page)
            raise EmulatorError(text[1] if text else page)
        form = {"question": found[1], "user": user, "answer": "allow" if allow else "deny"}
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        connection.request("POST", at.path, urlencode(form), headers)
        response = connection.getresponse()
        response.read()
        return response.getheader("Location", "")
    finally:
        connection.close()

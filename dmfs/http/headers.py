"""The head of an HTTP response, line by line as libcurl delivers it."""

from __future__ import annotations

from enum import Enum

HEADERS_MAX_BYTES = 64 * 1024
"""For all responses of one transfer together; a usual one sends 1 to 2 KiB."""


class HeaderLine(Enum):
    """What one line of a head was."""

    STATUS = "status"
    FIELD = "field"
    END = "end"


_STATUS, _FIELD, _END = HeaderLine  # (an enum's attributes are slow, and this runs for each line)


class HeaderParser:
    """Status and fields of the latest response of a transfer.

    A status line begins a new response and drops the fields of the one before: that was an
    interim response (1xx) or a proxy's answer to CONNECT.
    """

    __slots__ = ("fields", "size_bytes", "status")

    def __init__(self) -> None:
        self.status = 0
        """0 before a status line, and for one without a number."""
        self.fields: dict[str, str] = {}
        """Names in lower case. Repeated fields are joined with a comma (RFC 9110, 5.3)."""
        self.size_bytes = 0
        """Of all lines so far. The caller compares it with ``HEADERS_MAX_BYTES``."""

    def feed(self, line: bytes) -> HeaderLine:
        """Take one line, its end included."""
        self.size_bytes += len(line)
        text = line.decode("latin-1").strip()
        if not text:
            return _END
        if text.startswith("HTTP/"):
            words = text.split()
            number = words[1] if len(words) > 1 else ""
            self.status = int(number) if len(number) == 3 and number.isdecimal() else 0
            self.fields = {}
            return _STATUS
        name, colon, value = text.partition(":")
        if colon:
            name, value = name.strip().lower(), value.strip()
            before = self.fields.get(name)
            self.fields[name] = value if before is None else f"{before}, {value}"
        return _FIELD

"""Shows a notification on the desktop of whoever owns the session bus (D-Bus). Never a failure."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from html import escape
from typing import Any

import trio

from dmfs.names import printable
from dmfs.telemetry.notices import Notice

log = logging.getLogger(__name__)

ANSWER_S = 5.0
"""For the bus and for who shows notifications, which may have to be started for it."""
_NORMAL = ("y", 1)
"""Urgency, as the specification numbers it."""


def session_bus(environ: Mapping[str, str]) -> str:
    """The bus's address, '' if there is none."""
    runtime = environ.get("XDG_RUNTIME_DIR", "")
    given = environ.get("DBUS_SESSION_BUS_ADDRESS", "")
    return given or (f"unix:path={runtime}/bus" if runtime.startswith("/") else "")


async def show(address: str, notice: Notice) -> None:
    """Ask for it at the bus of that address. A bus that is absent, silent or unwilling is a line in
    the log."""
    if not address:
        log.debug("not shown, there is no session bus: %s", notice.summary)
        return
    try:
        with trio.fail_after(ANSWER_S):
            await _show(address, notice)
    except Exception as error:  # noqa: BLE001 - whatever it is, the drive goes on
        words = printable(repr(error))
        log.debug("not shown: %s (%s)", notice.summary, words)


async def _show(address: str, notice: Notice) -> None:
    from jeepney import DBusAddress, new_method_call  # noqa: PLC0415 - few mounts show any
    from jeepney.io.trio import open_dbus_router  # noqa: PLC0415
    from jeepney.wrappers import unwrap_msg  # noqa: PLC0415

    server = DBusAddress(
        "/org/freedesktop/Notifications",
        bus_name="org.freedesktop.Notifications",
        interface="org.freedesktop.Notifications",
    )
    # a body may hold markup, so what is none is escaped
    body = escape(printable(notice.body), quote=False)
    hints: dict[str, Any] = {"urgency": _NORMAL}
    arguments: tuple[Any, ...] = ("dmfs", 0, "folder-remote", notice.summary, body, [], hints, -1)
    async with open_dbus_router(address) as router:
        call = new_method_call(server, "Notify", "susssasa{sv}i", arguments)
        unwrap_msg(await router.send_and_get_reply(call))

"""What a writing call says: its JSON, its names, and who makes it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from dmfs.emulator.api.service import Service
from dmfs.emulator.http import errors
from dmfs.emulator.http.errors import Refusal
from dmfs.emulator.http.messages import Request
from dmfs.emulator.sign_in.sessions import USERS
from dmfs.emulator.sign_in.tokens import Token, user_of
from dmfs.emulator.world.model import Json

_NAME_CHARS_MAX = 255
_TYPES = ("application/vnd.api+json", "application/json")


@dataclass(frozen=True, slots=True)
class Actor:
    """Who writes: a user, or an app on its own (without an id)."""

    user_id: str
    user_name: str
    client_id: str

    @property
    def who(self) -> tuple[str, str]:
        return self.client_id, self.user_id

    @property
    def user(self) -> tuple[str, str]:
        return self.user_id, self.user_name


def actor(request: Request, token: Token) -> Actor:
    """Who a call is made for (``user_of``)."""
    user_id = user_of(request, token)
    user = USERS.get(user_id)
    request.user_id = user_id
    return Actor(user_id, user.name if user else "", token.app.client_id)


def bad(detail: str) -> Refusal:
    """400 of the Data service."""
    return Refusal(errors.jsonapi(400, "BAD_INPUT", detail))


def document(request: Request) -> Json:
    """``data`` of the body. 415 for another content type, 400 for what is no such document."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in _TYPES:
        detail = f"Content type {kind or 'none'} is not supported."
        raise Refusal(errors.jsonapi(415, "UNSUPPORTED_MEDIA_TYPE", detail))
    try:
        body = json.loads(request.body)
        data = body["data"]
    except (ValueError, KeyError, TypeError):
        raise bad("The request body is malformed.") from None
    if not isinstance(data, dict):
        raise bad("The request body is malformed.")
    return data | {"included": body.get("included"), "jsonapi": body.get("jsonapi")}


def want_version(data: Json, type_: str) -> None:
    """``jsonapi`` and ``data.type`` are required."""
    if data["jsonapi"] != {"version": "1.0"}:
        raise bad("jsonapi.version 1.0 is required.")
    want_type(data, type_)


def want_type(data: Json, type_: str) -> None:
    if data.get("type") != type_:
        raise bad(f"data.type must be {type_}.")


def find(node: Any, *path: str) -> Any:
    """What stands at a path of keys; None if any of them is missing."""
    for key in path:
        node = node.get(key) if isinstance(node, dict) else None
    return node


def text(node: Any, *path: str) -> str:
    """A text at a path; 400 if it is missing or empty."""
    value = find(node, *path)
    if not isinstance(value, str) or not value:
        raise bad(f"{'.'.join(path)} is required.")
    return value


def linked(data: Json, name: str, *types: str) -> tuple[str, str]:
    """Type and id of a relationship; 400 if it is missing or of another type."""
    type_ = text(data, "relationships", name, "data", "type")
    if type_ not in types:
        raise bad(f"relationships.{name} must be one of {', '.join(types)}.")
    return type_, text(data, "relationships", name, "data", "id")


def name_of(service: Service, name: str) -> str:
    """The name, if the service takes such names."""
    refused = service.settings.refused_characters
    if len(name) > _NAME_CHARS_MAX:
        raise bad("The name must have 1 to 255 characters.")
    if any(char in refused or ord(char) < 32 or ord(char) == 127 for char in name):
        raise bad("The name contains characters that are not allowed.")
    return name


def ending_of(name: str) -> str:
    """``dwg`` of ``A.DWG``; empty without a dot."""
    return name.rpartition(".")[2].lower() if "." in name else ""

"""``GET /schema/v1/versions/:id``: what an extension type looks like, for the types known here."""

from __future__ import annotations

import re
from typing import Any

from dmfs.emulator.api.service import Service
from dmfs.emulator.http import errors
from dmfs.emulator.http.messages import Answer, Request, json_answer
from dmfs.emulator.sign_in.tokens import Token

_KNOWN = {
    "hubs": ("core:Hub", "a360:PersonalHub", "bim360:Account"),
    "projects": ("core:Project", "bim360:Project"),
    "folders": ("core:Folder", "bim360:Folder"),
    "items": (
        "core:File", "bim360:File", "bim360:C4RModel", "bim360:Document", "bim360:TitleBlock",
        "bim360:ReviewDocument", "bim360:FDX", "a360:CompositeDesign", "fusion360:Design",
        "fusion360:Drawing",
    ),
    "xrefs": ("core:Xref",),
    "derived": ("bim360:FileToDocument", "fusion360:DrawingToDesign"),
    "auxiliary": ("core:Attachment",),
    "commands": (
        "core:ListItems", "core:ListRefs", "core:CheckPermission", "bim360:C4RModelGetPublishJob",
        "bim360:C4RModelPublish",
    ),
}  # fmt: skip
_KNOWN["versions"] = (*_KNOWN["items"], "core:Deleted")
_ID = re.compile(r"(\w+):autodesk\.(\w+:\w+)-(\d+\.\d+(?:\.\d+)?)")


async def schema(service: Service, request: Request, args: list[str], token: Token) -> Answer:
    """A JSON schema of the type's ``extension``; 404 for types that are not registered."""
    match = _ID.fullmatch(args[0])
    if match is None or match[2] not in _KNOWN.get(match[1], ()):
        return errors.jsonapi(404, "NOT_FOUND", "The requested schema does not exist.")
    properties: dict[str, Any] = {}
    if match[2] == "bim360:File":
        names = ("processState", "extractionState", "sourceFileName", "conformingStatus")
        properties = {name: {"type": "string"} for name in names}
    return json_answer(
        {
            "id": args[0],
            "$schema": "http://json-schema.org/draft-04/schema#",
            "title": match[2],
            "type": "object",
            "properties": {
                "type": {"type": "string", "enum": [args[0].rpartition("-")[0]]},
                "version": {"type": "string", "enum": [match[3]]},
                "data": {"type": "object", "properties": properties},
            },
            "required": ["type", "version"],
        }
    )

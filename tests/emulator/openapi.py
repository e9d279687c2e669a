"""What Autodesk's OpenAPI files say of calls and answers: as facts that are kept here, and as whole
files where they are.

They are inputs of generators rather than a contract: :data:`WRONG` lists where they disagree with
captured answers or with documented oddities, each with its reason.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.emulator.openapi_digest import FACTS, digest, read_files

PLACES = (
    Path(os.environ.get("DMFS_OPENAPI", "none")),
    Path(__file__).resolve().parents[3] / "shared" / "api" / "openapi",
)
FILES = next((place for place in PLACES if place.is_dir()), None)
"""The directory of the whole files, where they are."""
NO_FILES = "whole OpenAPI files are not here (DMFS_OPENAPI names their directory)"

Known = tuple[tuple[str, str, str, str], ...]
WRONG: Known = (
    # (schema, place in the answer, keyword that fails, why ours is right)
    (r".*", r".*extension\.data\.\w+", "type",
     "the spec has a map of objects; captures hold texts, lists and flags"),
    (r".*", r".*\.(create|lastModified)User(Id|Name)", "minLength",
     "captured root folders have empty user ids and names"),
    (r".*", r"data", "minItems", "captured empty folders have data: []"),
    (r"ItemTip", r"links", "required",
     "the spec wants links.href; the tutorial's answers have links.self.href everywhere"),
    (r"(CreatedDownload|Job)", r"data\.type", "enum",
     "the files list downloads; what they say of it and their examples say jobs"),
    (r"DownloadFormats", r"data\.attributes\.formats", "minItems",
     "what has no bytes and is no design can be had as nothing"),
    (r"RelationshipRefs", r"links", "oneOf",
     "neither of the two has a required member, so both hold of any links"),
    (r"Storage", r"data\.relationships\.target\.data\.type", "enum",
     "a request may name an item, and the answer names it again"),
    (r"Command", r"data", "oneOf", "the discriminator is a path, which validators take for a name"),
)  # fmt: skip
WRONG_OF_COPIES = (
    (r"(Item|Version)Payload", r".*", "required", "what a copy leaves out is as in its source"),
)
"""For requests with ``copyFrom``."""
WRONG_OF_TOMBSTONES = (
    (r"VersionPayload", r"data\.(attributes|relationships)", "required",
     "a deletion has neither a name nor a storage"),
)  # fmt: skip
TOMBSTONE = "versions:autodesk.core:Deleted"
ON_PURPOSE = (
    (r".*", r".*\.(name|displayName)", "minLength", "sample with an empty name"),
    (r".*", r".*attributes", "required",
     "samples without name, displayName or lastModifiedTime"),
)  # fmt: skip
MISPLACED = {
    "/projects/{project_id}/versions/{version_id}/relationships/links":
    "/data/v1/projects/{project_id}/versions/{version_id}/relationships/links",
}  # fmt: skip
"""Paths whose beginning the files leave out."""
JSON_TYPES = ("application/json", "application/vnd.api+json")


def facts() -> dict[str, Any]:
    """Those that are kept here."""
    found: dict[str, Any] = json.loads(FACTS.read_text("utf-8"))
    return found


def whole_files() -> dict[str, Any]:
    """The same paths, with the files' own schemas."""
    assert FILES is not None
    files = read_files(FILES)
    return {
        name: {"paths": found["paths"], "components": files[name]["components"]}
        for name, found in digest(files).items()
    }


class Call(NamedTuple):
    """An operation, and what a request's path gives for its ``{…}``."""

    service: str
    path: str
    """As the documents have it, with ``{…}``."""
    operation: dict[str, Any]
    values: dict[str, str]


class Contract:
    """What of a request or an answer the documents do not have."""

    def __init__(self, documents: dict[str, Any]) -> None:
        """``documents``: by service, of the shape of ``openapi_digest.digest``."""
        self._documents = documents
        self._paths = [
            (service, path, re.compile(_pattern(MISPLACED.get(path, path))), operations)
            for service, document in documents.items()
            for path, operations in document["paths"].items()
        ]

    def find(self, method: str, path: str) -> Call | None:
        """``path``: as it is sent, without a query."""
        for service, name, pattern, operations in self._paths:
            if (match := pattern.fullmatch(path)) and method.lower() in operations:
                return Call(service, name, operations[method.lower()], match.groupdict())
        return None

    def schema_complaints(
        self, service: str, schema: str | dict[str, Any], body: Any, known: Known = WRONG
    ) -> list[tuple[str, str, str]]:
        """``(place without indices, keyword that failed, message)``; ``schema``: one, or a name."""
        import openapi_schema_validator as validators

        if isinstance(schema, str):
            schema = {"$ref": f"#/components/schemas/{schema}"}
        name = schema.get("$ref", "").rpartition("/")[2]
        components = self._documents[service]["components"]
        validator = validators.OAS30Validator({**schema, "components": components})
        found = [
            (".".join(step for step in error.absolute_path if isinstance(step, str)),
             str(error.validator), error.message[:200])
            for error in validator.iter_errors(body)
        ]  # fmt: skip
        return [
            (place, keyword, message)
            for place, keyword, message in found
            if not any(
                re.fullmatch(s, name) and re.fullmatch(p, place) and k == keyword
                for s, p, k, _ in known
            )
        ]

    def request_complaints(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None,
        form: dict[str, str] | None = None,
    ) -> list[str]:  # fmt: skip
        """Of a whole request: its path, parameters, and body."""
        at = urlsplit(url)
        call = self.find(method, at.path)
        if call is None:
            return ["no such method and path"]
        given = {name.lower(): value for name, value in headers.items()}
        values = {
            **{("path", name): unquote(value) for name, value in call.values.items()},
            **{("query", name): value for name, value in parse_qsl(at.query)},
        }
        for parameter in call.operation["parameters"]:
            if parameter["in"] == "header" and parameter["name"].lower() in given:
                values["header", parameter["name"]] = given[parameter["name"].lower()]
        if form is not None:
            media = "application/x-www-form-urlencoded"
        else:
            media = given.get("content-type", "")
        content: Any = form if body is None else json.loads(body)
        known = WRONG
        if ("query", "copyFrom") in values:
            known += WRONG_OF_COPIES
        if TOMBSTONE in str(content):
            known += WRONG_OF_TOMBSTONES
        found = list(self._parameter_complaints(call, values))
        return found + list(self._body_complaints(call, media, content, known))

    def _parameter_complaints(
        self, call: Call, values: dict[tuple[str, str], str]
    ) -> Iterator[str]:
        known = {(each["in"], each["name"]): each for each in call.operation["parameters"]}
        for where, name in values:
            if (where, name) not in known:
                yield f"no parameter {name} in the {where}"
        for (where, name), parameter in known.items():
            if (where, name) in values:
                value = _of_text(values[where, name], self._type(call, parameter["schema"]))
                wrong = self.schema_complaints(call.service, parameter["schema"], value, ())
                yield from (f"parameter {name}: {message}" for _, _, message in wrong)
            elif parameter["required"]:
                yield f"without the parameter {name} in the {where}"

    def _type(self, call: Call, schema: dict[str, Any]) -> str:
        schemas = self._documents[call.service]["components"]["schemas"]
        if "$ref" in schema:
            schema = schemas[schema["$ref"].rpartition("/")[2]]
        return str(schema.get("type", ""))

    def _body_complaints(self, call: Call, media: str, content: Any, known: Known) -> Iterator[str]:
        documented = call.operation.get("body")
        if content is None or not documented:
            if bool(documented) != (content is not None):
                yield "without a body" if documented else "with a body"
            return
        if media not in documented:
            yield f"a body of the type {media!r}"
            return
        for place, keyword, message in self.schema_complaints(
            call.service, documented[media], content, known
        ):
            yield f"body at {place!r}: {keyword}: {message}"

    def answer_complaints(
        self, method: str, path: str, status: int, body: Any, known: Known = WRONG
    ) -> list[tuple[str, str, str]]:
        """Of the answer to a request that the documents know."""
        call = self.find(method, path)
        assert call is not None, (method, path)
        answers = call.operation["answers"]
        if str(status) not in answers:
            return [("", "status", f"{status} instead of {sorted(answers)}")]
        schemas = answers[str(status)]
        schema = next((schemas[media] for media in JSON_TYPES if media in schemas), None)
        if schema is None:
            return []
        return self.schema_complaints(call.service, schema, body, known)


def _pattern(path: str) -> str:
    parts = re.split(r"\{(\w+)\}", path)
    return "".join(
        f"(?P<{part}>[^/]+)" if number % 2 else re.escape(part) for number, part in enumerate(parts)
    )


def _of_text(value: str, type_: str) -> Any:
    """A parameter's value as its schema has it; texts where it is none."""
    if type_ == "integer" and re.fullmatch(r"-?\d+", value):
        return int(value)
    if type_ == "boolean" and value in {"true", "false"}:
        return value == "true"
    if type_ == "array":
        return value.split(",")
    return value

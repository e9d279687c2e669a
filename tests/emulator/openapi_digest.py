"""Digests OpenAPI files to the facts that tests check.

``python -m tests.emulator.openapi_digest DIRECTORY`` writes ``openapi_facts.json`` beside this
file: of each service its paths, methods, parameters, bodies and statuses, and the schemas with
their types, required members and enumerations. No descriptions, examples, titles or other texts.
A path or schema a line, sorted, so that the next digest is a small diff.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

FACTS = Path(__file__).with_name("openapi_facts.json")
SERVICES = ("authentication", "datamanagement", "oss")
METHODS = ("get", "post", "put", "patch", "delete")
SUCCESS = "2"
PLAIN = (
    "type", "format", "enum", "required", "nullable", "pattern", "minLength", "maxLength",
    "minItems", "maxItems", "uniqueItems", "minimum", "maximum", "$ref",
    "discriminator",
)  # fmt: skip
"""Keywords of a schema whose values hold neither schemas nor words for readers."""
NESTED = ("items", "additionalProperties")
ALTERNATIVES = ("oneOf", "anyOf", "allOf")


def facts_of_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema, without what it says to readers."""
    found: dict[str, Any] = {key: schema[key] for key in PLAIN if key in schema}
    for key in NESTED:
        if key in schema:
            inner = schema[key]
            found[key] = facts_of_schema(inner) if isinstance(inner, dict) else inner
    for key in ALTERNATIVES:
        if key in schema:
            found[key] = [facts_of_schema(each) for each in schema[key]]
    if "properties" in schema:
        found["properties"] = {
            name: facts_of_schema(each) for name, each in schema["properties"].items()
        }
    return found


class _Document:
    """One OpenAPI file."""

    def __init__(self, whole: dict[str, Any]) -> None:
        self._whole = whole

    def facts(self) -> dict[str, Any]:
        """``paths`` by path and method, ``components.schemas`` by name."""
        schemas = self._whole["components"]["schemas"]
        return {
            "paths": {
                path: {
                    method: self._operation(item.get("parameters", []), item[method])
                    for method in METHODS if method in item
                }
                for path, item in self._whole["paths"].items()
            },
            "components": {
                "schemas": {name: facts_of_schema(each) for name, each in schemas.items()}
            },
        }  # fmt: skip

    def _operation(self, shared: list[Any], operation: dict[str, Any]) -> dict[str, Any]:
        named = [self._target(each) for each in [*shared, *operation.get("parameters", [])]]
        found: dict[str, Any] = {
            "parameters": [
                {"name": each["name"], "in": each["in"], "required": each.get("required", False),
                 "schema": facts_of_schema(each.get("schema", {}))}
                for each in named
            ],
            # of errors the status alone: their bodies are texts
            "answers": {
                str(status): self._contents(node) if str(status).startswith(SUCCESS) else {}
                for status, node in operation.get("responses", {}).items()
            },
        }  # fmt: skip
        if "requestBody" in operation:
            found["body"] = self._contents(operation["requestBody"])
        return found

    def _contents(self, node: dict[str, Any]) -> dict[str, Any]:
        """Schemas by media type."""
        contents = self._target(node).get("content", {})
        return {media: facts_of_schema(each.get("schema", {})) for media, each in contents.items()}

    def _target(self, node: dict[str, Any]) -> dict[str, Any]:
        """What a reference refers to."""
        while "$ref" in node:
            steps = node["$ref"].removeprefix("#/").split("/")
            node = self._whole
            for step in steps:
                node = node[step]
        return node


def read_files(directory: Path) -> dict[str, dict[str, Any]]:
    """The OpenAPI files, by service."""
    import yaml  # not at the top: who reads the facts alone does not need it

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    texts = {name: (directory / f"{name}.yaml").read_text("utf-8") for name in SERVICES}
    return {name: yaml.load(text, Loader=loader) for name, text in texts.items()}


def digest(files: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Facts by service, of whole files by service."""
    return {name: _Document(whole).facts() for name, whole in files.items()}


def as_text(facts: dict[str, Any]) -> str:
    """JSON with each path and each schema on a line of its own."""
    services = []
    for name in sorted(facts):
        paths = _lines(facts[name]["paths"])
        schemas = _lines(facts[name]["components"]["schemas"])
        services.append(f'"{name}":{{"paths":{paths},\n"components":{{"schemas":{schemas}}}}}')
    return "{\n" + ",\n".join(services) + "\n}\n"


def _lines(members: dict[str, Any]) -> str:
    rows = (
        f"{json.dumps(key)}:{json.dumps(members[key], sort_keys=True, separators=(',', ':'))}"
        for key in sorted(members)
    )
    return "{\n" + ",\n".join(rows) + "\n}"


def main() -> None:
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    FACTS.write_text(as_text(digest(read_files(Path(sys.argv[1])))), encoding="utf-8")
    print(f"{FACTS}: {FACTS.stat().st_size} bytes")


if __name__ == "__main__":
    main()

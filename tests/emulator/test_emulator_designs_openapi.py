"""Designs: formats, jobs and downloads against Autodesk's OpenAPI files."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

import pytest

from .test_emulator_exports import ada, design, gearbox
from .test_emulator_openapi import contract
from .test_emulator_writing_openapi import exchanges

__all__ = ["ada", "contract", "design", "exchanges", "gearbox"]


@pytest.mark.parametrize("outcome", ["done", "failed", "processing"])
def test_exports(exchanges, emulator, ada, design, outcome):
    emulator.exports(outcome=outcome, queue_polls=1)
    seen = exchanges(ada)
    version = quote(design, safe="")
    ada.data("GET", f"versions/{version}/downloadFormats")
    ada.data("GET", f"versions/{version}/downloads")
    job = ada.job(design)
    assert ada.poll(job) == "queued"
    assert ada.poll(job) == {"done": 303}.get(outcome, outcome)
    assert ada.download(job).status == (200 if outcome == "done" else 404)
    assert seen.count == 6
    assert seen.wrong == [], seen.wrong


def test_answers_are_looked_at(contract, ada, design):
    """The exceptions for the type of a job and for formats let nothing else through."""
    version = quote(design, safe="")
    path = f"/data/v1/projects/{quote(ada.project)}/versions/{version}/downloadFormats"
    body = ada.call("GET", path).json
    body["data"]["attributes"]["formats"] = [{"fileType": ""}, {"fileType": ""}]
    found = contract.answer_complaints("GET", path, 200, body)
    assert {keyword for _, keyword, _ in found} == {"minLength", "uniqueItems"}
    job = ada.post(design).json
    at = urlsplit(job["links"]["self"]["href"]).path
    job["data"] = job["data"][0] | {"attributes": {"status": 7}}
    [(place, keyword, _)] = contract.answer_complaints("GET", at, 200, job)
    assert (place, keyword) == ("data.attributes.status", "type")

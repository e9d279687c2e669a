"""What stands in docs/ asks for metrics that there are."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from dmfs.telemetry.metric_families import FAMILIES
from tests.support.promtool import series
from tests.telemetry.test_metrics import WHOLE

DOCS = Path(__file__).parents[2] / "docs"
NAME = re.compile(r"\b(?:dmfs|process)_[a-z_]+\b")
SHOWN = {name for name, _ in series(WHOLE)}
LABELS = {family.name: set(family.labels) for family in FAMILIES}
OF_PROMETHEUS = {"instance", "job", "le", "version"}


def dashboard() -> Any:
    return json.loads((DOCS / "grafana-dashboard.json").read_text("utf-8"))


def test_every_metric_of_the_dashboard_is_one_that_a_mount_shows() -> None:
    asked = set()
    for panel in dashboard()["panels"]:
        assert panel["targets"], panel["title"]
        for target in panel["targets"]:
            found = set(NAME.findall(target["expr"]))
            assert found, target["expr"]
            asked |= found
    for variable in dashboard()["templating"]["list"]:
        if variable["type"] == "query":
            asked |= set(NAME.findall(variable["query"]["query"]))
    assert asked <= SHOWN
    assert len(asked) >= 20, "it shows most of them"


def test_every_label_of_the_dashboard_is_one_of_its_metric() -> None:
    for panel in dashboard()["panels"]:
        for target in panel["targets"]:
            metrics = NAME.findall(target["expr"])
            known = OF_PROMETHEUS.union(
                *(LABELS.get(name.removesuffix("_bucket"), set()) for name in metrics)
            )
            grouped = re.findall(r"(?:by|ignoring) \(([^)]*)\)", target["expr"])
            matched = re.findall(r"(\w+)(?:=|=~|!=|!~)\"", target["expr"])
            used = {word.strip() for group in grouped for word in group.split(",")} | set(matched)
            shown = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
            assert used | shown <= known, target


def test_the_dashboard_can_be_imported() -> None:
    found = dashboard()
    ids = [panel["id"] for panel in found["panels"]]
    assert len(set(ids)) == len(ids)
    places = [tuple(panel["gridPos"].values()) for panel in found["panels"]]
    assert len(set(places)) == len(places)
    assert found["uid"]
    assert found["schemaVersion"] >= 36
    assert {variable["name"] for variable in found["templating"]["list"]} == {
        "datasource", "job", "instance",
    }  # fmt: skip


def test_every_metric_of_the_examples_in_the_docs_is_one_that_a_mount_shows() -> None:
    text = (DOCS / "metrics.md").read_text("utf-8")
    (alerts,) = re.findall(r"## Worth an alert\n\n```\n(.*?)```", text, re.DOTALL)
    assert len(alerts.splitlines()) >= 5
    assert set(NAME.findall(alerts)) <= SHOWN

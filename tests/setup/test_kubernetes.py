"""The manifests in deploy/kubernetes: valid, and about the line as it is."""

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from flask import Flask

from backend.settings import ROOT, Settings

FOLDER = ROOT / "deploy" / "kubernetes"
VERSION = "1.32"
KUSTOMIZATION = yaml.safe_load((FOLDER / "kustomization.yaml").read_text(encoding="utf-8"))
WORKLOADS = ("Deployment", "StatefulSet", "Job")


def manifests(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(path.read_text(encoding="utf-8")))


def everything() -> list[dict[str, Any]]:
    return [one for name in KUSTOMIZATION["resources"] for one in manifests(FOLDER / name)]


def containers() -> dict[str, dict[str, Any]]:
    """The one container of each workload, by its component."""
    workloads = [one["spec"]["template"] for one in everything() if one["kind"] in WORKLOADS]
    return {one["metadata"]["labels"]["component"]: one["spec"]["containers"][0] for one in workloads}


@pytest.mark.parametrize("name", KUSTOMIZATION["resources"])
def test_every_manifest_is_what_kubernetes_understands(name: str) -> None:
    for manifest in manifests(FOLDER / name):
        kubernetes_validate.validate(manifest, VERSION, strict=True)


def test_every_file_is_applied() -> None:
    assert {path.name for path in FOLDER.glob("*.yaml")} == {"kustomization.yaml", *KUSTOMIZATION["resources"]}


def test_what_is_set_is_a_setting_of_the_line() -> None:
    literals = KUSTOMIZATION["configMapGenerator"][0]["literals"]
    known = {name.upper() for name in Settings.model_fields} | {"LOG_FORMAT", "WEB_WORKERS"}
    assert {literal.partition("=")[0] for literal in literals} <= known


def test_each_service_leads_to_a_port_that_its_containers_listen_at() -> None:
    listening = {name: [port["containerPort"] for port in one.get("ports", [])] for name, one in containers().items()}
    services = [one["spec"] for one in everything() if one["kind"] == "Service"]
    assert services
    for service in services:
        assert service["ports"][0]["port"] in listening[service["selector"]["component"]]


def test_what_is_probed_over_http_is_an_address_of_the_line(app: Flask) -> None:
    addresses = {rule.rule for rule in app.url_map.iter_rules()}
    probes = [
        one[kind]["httpGet"]["path"]
        for name, one in containers().items()
        for kind in ("startupProbe", "readinessProbe", "livenessProbe")
        if name in ("web", "api") and kind in one
    ]
    assert len(probes) == 6
    assert set(probes) <= addresses


def test_rasas_box_gets_no_key_that_opens_the_record() -> None:
    given = {name: [row["name"] for row in one.get("env", [])] for name, one in containers().items()}
    assert given["bot"] == [
        *("BACKEND_URL", "ACTIONS_URL"),
        *("API_TOKEN", "BOT_TOKEN", "BOT_DATA_KEYS", "BOT_DATABASE_URL"),
    ]
    assert given["actions"] == ["BACKEND_URL", "API_TOKEN"]
    assert not any("envFrom" in containers()[name] for name in ("bot", "actions"))

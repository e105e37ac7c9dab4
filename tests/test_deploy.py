"""deploy/: each file is checked by its own tool, and by what the bridge says of the settings that it sets."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import requires
from pathlib import Path
from typing import Any

import helm_python as helm
import kubernetes_validate
import pytest
import yaml
from packaging.requirements import Requirement
from pycep import BicepParser

from scim_bridge.settings import Settings, load, unservable
from scim_bridge.settings.types import PREFIX

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
COMPOSE = DEPLOY / "compose" / "compose.yaml"
CHART = DEPLOY / "helm" / "scim-bridge"
UNITS = sorted([*(DEPLOY / "systemd").glob("*.service"), *(DEPLOY / "systemd").glob("*.timer")])
BICEP = (DEPLOY / "azure" / "main.bicep").read_text("utf-8")
VALUES: dict[str, Any] = {
    "host": "scim.example.com",
    "secret": {"name": "scim-bridge"},
    "trustedProxies": ["10.244.0.0/16"],
}
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]


def passes(*command: str | Path) -> str:
    """Run a tool that comes with the test requirements, or with the machine; what it warned of."""
    own = Path(sys.executable).parent / str(command[0])
    found = own if own.is_file() else command[0]
    done = subprocess.run([found, *command[1:]], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stderr


def settings_from(variables: dict[str, str], folder: Path, config: str) -> Settings:
    """The bridge's own settings under these variables, with every secret's file filled in."""
    (folder / "scim-bridge.toml").write_text(config.replace("…", "a-client"), encoding="utf-8")
    environ = {**variables, "SCIM_BRIDGE_CONFIG": str(folder / "scim-bridge.toml")}
    for name in [name for name in variables if name.endswith("_FILE")]:
        file = folder / Path(variables[name]).name
        file.write_text("postgresql://u:p@h/n" if "DATABASE" in name else "a-long-random-text", encoding="utf-8")
        environ[name] = str(file)
    settings = load(environ=environ)
    assert unservable(settings) == []
    return settings


def keeps_its_secrets_in_files(variables: dict[str, str]) -> None:
    told = {name.removeprefix(PREFIX) for name in variables}
    assert {"DATABASE__URL_FILE", "DITIO__CLIENT_SECRET_FILE", "SERVER__METRICS_TOKEN_FILE"} <= told


# -- The release ------------------------------------------------------------------------------------------------------


MENTIONED = r"(?:scim-bridge[:/]|scim_bridge-)(\d+\.\d+\.\d+)"
"""An image, a folder or a wheel of a version, as `deploy/release` finds them."""


def test_every_file_names_the_same_version():
    for file, pattern in {
        "deploy/Dockerfile": r"ARG VERSION=(.+)",
        "deploy/compose/compose.yaml": r"scim-bridge:([\d.]+)\}",
        "deploy/helm/scim-bridge/Chart.yaml": r"(?m)^(?:version|appVersion): (.+)$",
        "deploy/azure/main.bicep": r"'scim-bridge:([\d.]+)'",
        "deploy/azure/main.bicepparam": r"'scim-bridge:([\d.]+)'",
        "deploy/systemd/install": r"scim_bridge-([\d.]+)-",
        **{f"docs/{page}.md": MENTIONED for page in ("deploying", "deploy-azure", "deploy-compose", "deploy-systemd")},
        "CHANGELOG.md": r"\n## ([\d.]+) ",
    }.items():
        found = re.findall(pattern, (ROOT / file).read_text("utf-8"))
        assert found, file
        assert {*found} == {VERSION} if file != "CHANGELOG.md" else found[0] == VERSION, file


EXTRAS = ("postgres", "traces", "xlsx")
"""What is optional in an image (EXTRAS of deploy/Dockerfile)."""


def test_the_libraries_of_the_image_are_allowed_by_the_package():
    """deploy/constraints.txt pins one version of each, optional ones too, within the ranges of pyproject.toml."""
    lines = (DEPLOY / "constraints.txt").read_text("utf-8").splitlines()
    pins = dict(line.lower().replace("_", "-").split("==") for line in lines if line and line[0] != "#")
    for each in map(Requirement, requires("scim-bridge") or []):
        if each.marker is None or any(each.marker.evaluate({"extra": extra}) for extra in EXTRAS):
            assert each.specifier.contains(pins[each.name.lower()]), each


@pytest.mark.parametrize(
    "script", ["compose/init", "systemd/install", "systemd/scim-bridge", "systemd/rehearse", "release"]
)
def test_scripts_are_sound(script: str):
    passes("shellcheck", "--external-sources", "--source-path", ROOT, DEPLOY / script)


# -- Image and compose ------------------------------------------------------------------------------------------------


def test_the_image_is_sound_and_not_root():
    passes("hadolint", DEPLOY / "Dockerfile")
    text = (DEPLOY / "Dockerfile").read_text("utf-8")
    assert re.search(r"(?m)^USER 10001", text)
    assert not re.search(r"(?m)^(ENV|ARG) SCIM_BRIDGE", text)


@cache
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(COMPOSE.read_text("utf-8"))
    return loaded


def test_compose_follows_its_schema():
    passes("check-jsonschema", "--builtin-schema", "vendor.compose-spec", COMPOSE)


def test_no_service_of_compose_has_privileges():
    for name, service in compose()["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert "no-new-privileges:true" in service["security_opt"], name
        assert not service.get("privileged"), name
    assert compose()["networks"]["back"]["internal"] is True
    published = {name for name, service in compose()["services"].items() if "ports" in service}
    assert published == {"caddy", "sandbox-bridge"}
    assert all(port.startswith("127.0.0.1:") for port in compose()["services"]["sandbox-bridge"]["ports"])


def test_the_settings_of_compose_are_understood(tmp_path: Path):
    variables = {**compose()["services"]["bridge"]["environment"]}
    variables["SCIM_BRIDGE_SERVER__BASE_URL"] = "https://scim.example.com"
    keeps_its_secrets_in_files(variables)

    settings = settings_from(variables, tmp_path, (COMPOSE.parent / "scim-bridge.example.toml").read_text("utf-8"))

    assert settings.server.trusted_proxies == (compose()["services"]["caddy"]["networks"]["front"]["ipv4_address"],)
    trial = {**compose()["services"]["sandbox-bridge"]["environment"]}
    assert unservable(load(tmp_path / "scim-bridge.toml", trial)) == []


def test_the_secrets_of_compose_are_for_their_container_alone(tmp_path: Path):
    """`init` makes them once, and makes the same password known to both sides."""
    folder = tmp_path / "compose"
    shutil.copytree(COMPOSE.parent, folder)
    for _ in range(2):
        subprocess.run([folder / "init", "scim.example.com"], input=b"ditio's\n", check=True, capture_output=True)
        made = {each.name: each.read_text() for each in (folder / "secrets").iterdir()}
    assert {*made} == {*compose()["secrets"]}
    assert f":{made['postgres_password']}@postgres/" in made["database_url"]
    assert made["ditio_client_secret"] == "ditio's"
    assert (folder / "secrets").stat().st_mode & 0o777 == 0o700
    assert {each.stat().st_mode & 0o777 for each in (folder / "secrets").iterdir()} == {0o400}


# -- systemd ----------------------------------------------------------------------------------------------------------

with_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")


@with_systemd
def test_systemd_understands_the_units(tmp_path: Path):
    program = Path(sys.executable).parent
    for unit in UNITS:
        text = unit.read_text("utf-8").replace("/opt/scim-bridge/current/bin", str(program))
        (tmp_path / unit.name).write_text(text, encoding="utf-8")
        if unit.suffix == ".timer":
            assert (unit.with_suffix(".service")).is_file()
    warned = passes("systemd-analyze", "verify", *sorted(tmp_path.iterdir()))
    assert str(tmp_path) not in warned, "a key that it does not know is only a warning"
    for unit in tmp_path.glob("*.service"):
        passes("systemd-analyze", "security", "--offline=true", "--threshold=20", unit)


def test_all_units_have_the_same_restrictions():
    parts = [
        re.search(r"(?s)\nUser=.*\nMemoryMax=\S+\n", unit.read_text("utf-8"))
        for unit in UNITS
        if unit.suffix == ".service"
    ]
    assert len(parts) == 4
    assert len({part.group() for part in parts if part}) == 1


def test_the_settings_of_the_units_are_understood(tmp_path: Path):
    text = (DEPLOY / "systemd" / "environment").read_text("utf-8").replace("#SCIM", "SCIM")
    variables = dict(line.split("=", 1) for line in text.splitlines() if line.startswith("SCIM"))
    keeps_its_secrets_in_files(variables)
    config = '[ditio]\napi_url = "https://a.example"\nidentity_url = "https://b.example"\nclient_id = "c"\n'

    assert settings_from(variables, tmp_path, config).database.url.startswith("postgresql:")


# -- Kubernetes -------------------------------------------------------------------------------------------------------


def rendered(**values: Any) -> list[dict[str, Any]]:
    with helm.Chart.load(CHART) as chart:
        files = chart.render({**VALUES, **values}, name="scim-bridge", namespace="scim")
    return [each for name, text in files.items() if name.endswith(".yaml") for each in yaml.safe_load_all(text) if each]


def pods(manifests: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    for each in manifests:
        if each["kind"] == "Deployment":
            yield each["metadata"]["name"], each["spec"]["template"]["spec"]
        elif each["kind"] == "CronJob":
            yield each["metadata"]["name"], each["spec"]["jobTemplate"]["spec"]["template"]["spec"]


@pytest.mark.parametrize(
    "values",
    [
        {},
        {
            "image": {"digest": "sha256:" + "0" * 64, "pullSecrets": ["registry"]},
            "nodeSelector": {"disk": "ssd"},
            "tolerations": [{"key": "a", "operator": "Exists"}],
            "reconcile": {"apply": True, "tenant": "nord-bygg"},
            "networkPolicy": {"mailPort": 587},
            "ingress": {"className": "nginx", "annotations": {"a": "b"}},
        },
        {
            "ingress": {"enabled": False},
            "networkPolicy": {"from": []},
            "podDisruptionBudget": {"enabled": False},
            "reconcile": {"enabled": False},
        },
    ],
    ids=["as it comes", "everything", "little"],
)
def test_kubernetes_accepts_what_the_chart_renders(values: dict[str, Any]):
    report = helm.lint(CHART, {**VALUES, **values}, strict=True)
    assert [each for each in report["messages"] if each["severity"] > 1] == []
    for version in ("1.37", "1.30"):
        for manifest in rendered(**values):
            kubernetes_validate.validate(manifest, version, strict=True)


def test_the_pods_have_no_privileges():
    """What the "restricted" level of Kubernetes' pod security standards asks for, and a read-only root."""
    found = dict(pods(rendered()))
    assert {*found} == {"scim-bridge", "scim-bridge-worker", "scim-bridge-reconcile"}
    for name, pod in found.items():
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert pod["automountServiceAccountToken"] is False, name
        for container in pod["containers"]:
            assert container["securityContext"]["allowPrivilegeEscalation"] is False, name
            assert container["securityContext"]["readOnlyRootFilesystem"] is True, name
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}, name
            assert container["resources"]["limits"]["memory"], name


def test_the_settings_of_the_chart_are_understood(tmp_path: Path):
    manifests = rendered()
    config = next(each for each in manifests if each["kind"] == "ConfigMap")["data"]["scim-bridge.toml"]
    for name, pod in pods(manifests):
        variables = {each["name"]: each["value"] for each in pod["containers"][0]["env"]}
        keeps_its_secrets_in_files(variables)
        settings = settings_from(variables, tmp_path, config)
        assert settings.server.trusted_proxies == ("10.244.0.0/16",), name
        assert settings.server.base_url == "https://scim.example.com"


def test_metrics_are_not_for_the_internet():
    (ingress,) = [each for each in rendered() if each["kind"] == "Ingress"]
    paths = {each["path"] for each in ingress["spec"]["rules"][0]["http"]["paths"]}
    assert paths == {"/scim", "/tenants", "/oauth/token", "/console", "/healthz"}


@pytest.mark.parametrize("values", [{"hots": "x"}, {"host": ""}, {"secret": {"name": ""}}, {"web": {"replica": 1}}])
def test_the_chart_refuses_values_that_it_does_not_know(values: dict[str, Any]):
    with helm.Chart.load(CHART) as chart, pytest.raises(helm.HelmError):
        chart.validate_schema({**VALUES, **values})


# -- Azure ------------------------------------------------------------------------------------------------------------


@cache
def bicep() -> dict[str, Any]:
    """The parsed template. The parser knows the language, not Azure: the page says so."""
    parsed: dict[str, Any] = json.loads(json.dumps(BicepParser().parse(text=BICEP), default=str))
    return parsed


def accessed(node: Any) -> Iterator[str]:
    """The names before a dot, wherever they are."""
    if isinstance(node, list):
        for each in node:
            yield from accessed(each)
    elif isinstance(node, dict):
        if node.get("type") == "property_accessor" and isinstance(node["operands"]["operand_1"], str):
            yield node["operands"]["operand_1"]
        for each in node.values():
            yield from accessed(each)


def test_bicep_uses_only_names_that_it_declares():
    names = {name for part in ("parameters", "variables", "resources") for name in bicep()[part]}
    inside = {"properties", "each"}
    assert {*accessed(bicep())} - inside <= names
    assert {*accessed(bicep())} & names > {"identity", "vault", "postgres", "apps", "registry"}
    unused = [name for name in names if len(re.findall(rf"\b{name}\b", BICEP)) < 2]
    assert unused == []


def test_azure_has_every_secret_in_the_vault():
    given = {name: each for name, each in bicep()["parameters"].items() if {"type": "secure"} in each["decorators"]}
    assert {*given} == {"ditioClientSecret", "databasePassword", "metricsToken"}
    entries = [
        name for name, each in bicep()["resources"].items() if each["type"] == "Microsoft.KeyVault/vaults/secrets"
    ]
    text = BICEP.split("var secrets = [")[1].split("\n]\n")[0]
    assert len(entries) == 3
    for name in entries:
        assert f"{name}.properties.secretUri" in text
    assert "value:" not in text


def test_the_settings_of_azure_are_understood(tmp_path: Path):
    text = BICEP.split("var variables = {")[1].split("\n}\n")[0]
    variables = dict(re.findall(r"(?m)^  (SCIM_BRIDGE_\w+): (.+)$", text))
    keeps_its_secrets_in_files(variables)
    for name, value in variables.items():
        value = value.strip("'").replace("${publicHost}", "scim.example.com").replace("${appsSubnet}", "10.60.0.0/23")
        default = re.search(rf"(?m)^param {re.escape(value)} string = '(.+)'$", BICEP)
        variables[name] = default.group(1) if default else value

    settings = settings_from(variables, tmp_path, "")

    assert settings.server.trusted_proxies == ("100.100.0.0/16", "10.60.0.0/23")


def test_the_network_policy_lets_mail_through_if_asked():
    """Notices by mail; nothing but the named port is opened."""

    def ports(**values: Any) -> set[int]:
        (policy,) = [each for each in rendered(**values) if each["kind"] == "NetworkPolicy"]
        return {port["port"] for rule in policy["spec"]["egress"] for port in rule["ports"]}

    assert ports() == {53, 443, 5432}
    assert ports(networkPolicy={"mailPort": 587}) == {53, 443, 5432, 587}

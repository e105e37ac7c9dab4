"""Schemathesis, as it is let loose on the bridge: what it checks where, and what it found."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import Status, events, from_schema

from tests.contract.openapi import JSON, Contract, Document, Operation

SEED = 1042


@dataclass
class Findings:
    """The outcome of one run."""

    statuses: dict[str, set[int]] = field(default_factory=dict)
    """How each operation was answered, by its label, such as `GET /scim/v2/Users`."""

    checks: set[str] = field(default_factory=set)
    """Which checks were made at all."""

    phases: set[str] = field(default_factory=set)
    """Which phases sent something."""

    failures: list[str] = field(default_factory=list)
    """What is wrong, with the request that shows it."""

    def note(self, event: Any) -> None:
        """Take up what the engine tells."""
        match event:
            case events.ScenarioFinished():
                self._note_scenario(event)
            case events.NonFatalError():
                self.failures.append(f"{event.label}: {event.value!r}")
            case events.FatalError():
                raise event.exception

    def _note_scenario(self, event: Any) -> None:
        recorder = event.recorder
        if recorder.cases:
            self.phases.add(event.phase.value)
        for case_id, interaction in recorder.interactions.items():
            label = recorder.cases[case_id].value.operation.label
            if interaction.response is not None:
                self.statuses.setdefault(label, set()).add(interaction.response.status_code)
        for case_id, checks in recorder.checks.items():
            self.checks |= {check.name for check in checks}
            self.failures += [
                _told(check, recorder.interactions.get(case_id)) for check in checks if check.status == Status.FAILURE
            ]


def run(contract: Contract, url: str, token: str, *, examples: int, seed: int = SEED) -> Findings:
    """Send what the document allows, and what it doesn't.

    :param examples: How many requests each operation is sent in each of the phases that make them up.
    """
    config = _config(contract, url, token, examples, seed)
    schema = schemathesis.openapi.from_dict(_in_one_media_type(contract), config=config)
    findings = Findings()
    for event in from_schema(schema).execute():
        findings.note(event)
    return findings


def _in_one_media_type(contract: Contract) -> Document:
    """The document without what `application/json` is sent as: it is the same again, at twice the time."""
    document = copy.deepcopy(contract.document)
    whole = Contract(document)
    for operation in whole.operations():
        content = whole.resolved(operation.document.get("requestBody", {})).get("content", {})
        if JSON in content:
            content.pop("application/json", None)
    return document


@schemathesis.hook
def before_call(_: Any, case: Any, __: Any) -> None:
    """Take out of a request that is meant to be right what excludes another part of it: the document can't say so."""
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    if "attributes" in (case.query or {}):
        case.query.pop("excludedAttributes", None)
    if "If-Match" in (case.headers or {}):
        case.headers.pop("If-None-Match", None)


def _config(contract: Contract, url: str, token: str, examples: int, seed: int) -> SchemathesisConfig:
    return SchemathesisConfig.from_dict(
        {
            "seed": seed,
            "base-url": url,
            "headers": {"Authorization": f"Bearer {token}"},
            "continue-on-failure": True,
            "generation": {"deterministic": True, "max-examples": examples, "database": "none"},
            "phases": {"stateful": {"max-steps": 5}},
            "checks": {
                # The document can't say which texts are filters, dates or URLs, nor that two parameters exclude each
                # other, so a request that keeps to it may be 400. That its examples are taken is tested elsewhere.
                "positive_data_acceptance": {"enabled": False},
            },
            "operations": [
                {"include-operation-id": operation.document["operationId"], "checks": dict(_checks(operation))}
                for operation in contract.operations()
            ],
        }
    )


def _checks(operation: Operation) -> Iterator[tuple[str, Any]]:
    """Where one operation is judged otherwise than all others."""
    if 501 in operation.statuses:
        # RFC 7644 §3.11 and §3.7: 501 is what an endpoint that isn't served has to say.
        yield "not_a_server_error", {"expected-statuses": ["2xx", "3xx", "4xx", "501"]}
    if operation.takes_body:
        # What Entra sends needn't keep to the RFC: unknown attributes are ignored, a number is taken for a text, one
        # entry for a list (rule A7). What is refused in a body is tested one by one; parameters must be right.
        yield "negative_data_rejection", {"enabled": False}
    if operation.path.endswith("s/.search"):
        # Other methods ask for the resource whose id is ".search", and there are such methods.
        yield "allow_header_conformance", {"enabled": False}


def _told(check: Any, interaction: Any) -> str:
    request, response = interaction.request, interaction.response
    body = (request.body or b"")[:500].decode(errors="replace")
    failure = check.failure_info.failure
    return (
        f"{check.name}: {failure.title}: {failure.message}\n"
        f"  {request.method} {request.uri} {body}\n"
        f"  → {response.status_code if response else None} {response.text[:500] if response else ''}"
    )

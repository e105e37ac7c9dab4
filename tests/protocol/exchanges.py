"""Runs recorded exchanges: requests of Entra's, and what the answers must hold."""

import re
from typing import Any
from uuid import uuid4

EXPECTATIONS = {"status", "body_contains", "absent", "count", "headers_contain", "notes"}
"""What an answer may be expected to have; the notes are for the reader."""


class Exchange:
    """One scenario against something that sends requests.

    :param send: Called with method, path, query, headers and body; returns status, body and headers.
    """

    def __init__(self, scenario: dict[str, Any], send: Any) -> None:
        self._scenario = scenario
        self._send = send
        self.statuses: list[tuple[str, int]] = []
        """What was sent, and how it was answered: a method and a status for each step that was run."""

        self._known = {
            "run": uuid4().hex[:8],
            "customUrn": "urn:ietf:params:scim:schemas:extension:ditio:2.0:User",
            "customAttr": "birthDate",
        }

    def run(self) -> None:
        """Send each request and check its answer."""
        for step in self._scenario["steps"]:
            request = self._filled(step["request"])
            status, body, headers = self._send(request)
            self.statuses.append((request["method"], status))
            self._check(self._filled(step["expect"]), status, body, headers)
            for name, path in (step.get("capture") or {}).items():
                self._known[name] = at(body, path)

    def _check(self, expected: dict[str, Any], status: int, body: Any, headers: Any) -> None:
        assert set(expected) <= EXPECTATIONS, "an expectation that nobody would check"
        assert status < 500, body
        assert status in expected["status"], body
        if "body_contains" in expected:
            assert holds(body, expected["body_contains"]), (body, expected["body_contains"])
        for path in expected.get("absent") or []:
            assert at(body, path) in (None, "", [], {}), path
        for path, count in (expected.get("count") or {}).items():
            assert len(at(body, path) or []) == count, path
        for name, value in (expected.get("headers_contain") or {}).items():
            assert value in headers.get(name, ""), name

    def _filled(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {self._filled(key): self._filled(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self._filled(item) for item in value]
        if not isinstance(value, str):
            return value
        return re.sub(r"\{\{(.+?)\}\}", lambda match: self._value(match[1]), value)

    def _value(self, name: str) -> str:
        return self._known.setdefault(name, str(uuid4())) if name.startswith("guid:") else self._known[name]


def holds(actual: Any, expected: Any) -> bool:
    """Whether `expected` is a recursive subset of `actual`; a list's element must match some element."""
    if isinstance(expected, dict):
        return isinstance(actual, dict) and all(
            key in actual and holds(actual[key], item) for key, item in expected.items()
        )
    if isinstance(expected, list):
        return isinstance(actual, list) and all(any(holds(one, item) for one in actual) for item in expected)
    return bool(actual == expected)


def at(body: Any, path: str) -> Any:
    """What a JSONPath of plain steps points at; None where there is nothing."""
    for quoted, plain in re.findall(r"\['([^']+)'\]|\.([A-Za-z0-9_$]+)", path):
        body = body.get(quoted or plain) if isinstance(body, dict) else None
    return body

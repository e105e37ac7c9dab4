"""A SCIM endpoint just good enough to be provisioned into: it keeps what is posted and applies no PATCH."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

from flask import Flask, Response, jsonify, request


class ScimEndpoint:
    """Records every call; `refusals` maps (method, start of the path) to the next status to answer."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.resources: dict[str, dict[str, Any]] = {}
        self.refusals: dict[tuple[str, str], int] = {}
        self.app = Flask("scim_endpoint")
        methods = ["GET", "POST", "PATCH", "DELETE"]
        self.app.add_url_rule("/scim/<kind>", "all", self._all, methods=methods)
        self.app.add_url_rule("/scim/<kind>/<scim_id>", "one", self._one, methods=methods)

    def sent(self, method: str) -> list[Any]:
        """The bodies of the calls with a method."""
        return [body for called, _, body in self.calls if called == method]

    def _refusal(self) -> Response | None:
        path = request.full_path.rstrip("?").removeprefix("/scim")
        self.calls.append((request.method, unquote(path), request.get_json(silent=True, force=True)))
        self.headers.append(dict(request.headers))
        for (method, start), status in list(self.refusals.items()):
            if method == request.method and path.startswith(start):
                del self.refusals[method, start]
                return _answer({"status": str(status), "scimType": "uniqueness", "detail": "taken"}, status)
        return None

    def _all(self, kind: str) -> Response:
        if (refusal := self._refusal()) is not None:
            return refusal
        if request.method == "POST":
            scim_id = f"{kind[0].lower()}{len(self.resources) + 1}"
            self.resources[scim_id] = {**request.get_json(force=True), "id": scim_id}
            return _answer(self.resources[scim_id], 201)
        attribute, _, value = request.args["filter"].partition(" eq ")
        found = [each for each in self.resources.values() if each.get(attribute) == value.strip('"')]
        return _answer({"totalResults": len(found), "Resources": found}, 200)

    def _one(self, kind: str, scim_id: str) -> Response:
        if (refusal := self._refusal()) is not None:
            return refusal
        if scim_id not in self.resources:
            return _answer({"status": "404"}, 404)
        if request.method == "DELETE":
            del self.resources[scim_id]
            return Response(status=204)
        return _answer(self.resources[scim_id], 200)


def _answer(document: dict[str, Any], status: int) -> Response:
    answer = jsonify(document)
    answer.status_code = status
    answer.mimetype = "application/scim+json"
    return answer

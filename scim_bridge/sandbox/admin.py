"""What a simulation shows and takes below `/_sandbox` beside its own API: its calls and faults, Entra's users."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import asdict, fields
from urllib.parse import urlsplit

from flask import Flask, Response, jsonify, request
from werkzeug.exceptions import BadRequest, NotFound

from scim_bridge.sandbox.directory import EntraUser, JsonObject, field_name
from scim_bridge.sandbox.entra import SandboxEntra
from scim_bridge.sandbox.gateway import ADMIN, Fault, Faults, Recorded

LOOPBACK = ("127.0.0.1", "localhost", "::1")


class CallsAdmin:
    """The calls that arrived, and the planned faults. No token is needed, and nothing here is recorded.

    :param calls: Returns the recorded calls.
    """

    def __init__(self, faults: Faults, calls: Callable[[], list[Recorded]]) -> None:
        self._faults = faults
        self._calls = calls

    def register(self, app: Flask) -> None:
        for method, rule, view in [
            ("GET", "requests", self._requests),
            ("DELETE", "requests", self._forget_requests),
            ("POST", "faults", self._plan_fault),
            ("DELETE", "faults", self._clear_faults),
        ]:
            app.add_url_rule(ADMIN + rule, f"admin{view.__name__}", view, methods=[method])

    def _requests(self) -> Response:
        return jsonify([asdict(call) | {"at": call.at.isoformat()} for call in list(self._calls())])

    def _forget_requests(self) -> Response:
        self._calls().clear()
        return Response(status=204)

    def _plan_fault(self) -> Response:
        try:
            fault = Fault(**json_object())  # type: ignore[arg-type]  # Any JSON may come: what is no fault raises.
        except (TypeError, ValueError) as exc:
            raise BadRequest(f"not a fault: {exc}") from exc
        self._faults.plan(fault)
        return Response(status=204)

    def _clear_faults(self) -> Response:
        self._faults.clear()
        return Response(status=204)


class EntraAdmin:
    """Entra's users as an administrator changes them, and a provisioning cycle whenever it is asked for."""

    def __init__(self, entra: SandboxEntra) -> None:
        self._entra = entra
        self._lock = threading.Lock()

    def register(self, app: Flask) -> None:
        views: list[tuple[str, str, Callable[..., Response]]] = [
            ("GET", "users", self._users),
            ("PATCH", "users/<segment:key>", self._change),
            ("DELETE", "users/<segment:key>", self._purge),
            ("POST", "cycle", self._cycle),
        ]
        for method, rule, view in views:
            app.add_url_rule(ADMIN + rule, f"entra{view.__name__}", view, methods=[method])

    def _users(self) -> Response:
        with self._lock:
            return jsonify({user.object_id: self._state(user) for user in self._entra.directory.users.values()})

    def _change(self, key: str) -> Response:
        """Change a user, named by object id or employee number: `{"assigned": false, "jobTitle": null}`."""
        changes = {field_name(attribute): value for attribute, value in json_object().items()}
        known = {each.name for each in fields(EntraUser)} - {"object_id", "extra"}
        if unknown := changes.keys() - known:
            raise BadRequest(f"users have no {', '.join(sorted(unknown))}; there are: {', '.join(sorted(known))}")
        with self._lock:
            user = self._user(key)
            for name, value in changes.items():
                setattr(user, name, value)
            return jsonify(self._state(user))

    def _purge(self, key: str) -> Response:
        with self._lock:
            self._entra.directory.hard_delete(self._user(key).object_id)
        return Response(status=204)

    def _cycle(self) -> Response:
        """Run a cycle; before the first one, take `tenantUrl` and `secretToken` as the portal's form has them."""
        asked = json_object()
        with self._lock:
            if asked:
                self._connect(str(asked.get("tenantUrl", "")), str(asked.get("secretToken", "")))
            elif self._entra.job.last is None:
                raise BadRequest('not connected: send {"tenantUrl": "http://…/scim/v2", "secretToken": "…"}')
            cycle = self._entra.cycle()
        steps = [{key: value for key, value in asdict(step).items() if key != "body"} for step in cycle.steps]
        return jsonify(quarantined=cycle.quarantined, steps=steps)

    def _connect(self, tenant_url: str, token: str) -> None:
        if urlsplit(tenant_url).hostname not in LOOPBACK:
            raise BadRequest(f"not a tenant URL on this machine: {tenant_url!r}")
        self._entra.connect(tenant_url, token)
        if self._entra.job.state == "Disabled":
            self._entra.job.start()

    def _user(self, key: str) -> EntraUser:
        user = self._entra.directory.users.get(key)
        for each in self._entra.directory.users.values() if user is None else ():
            if each.employee_id == key:
                return each
        if user is None:
            raise NotFound(f"no user {key!r}; list them with GET {ADMIN}users")
        return user

    def _state(self, user: EntraUser) -> JsonObject:
        return asdict(user) | {"scim_id": self._entra.scim_id(user.object_id)}


def json_object() -> JsonObject:
    """Return the body of the request; nothing sent is an empty one.

    :raises BadRequest: it is no JSON object.
    """
    body = request.get_json(force=True, silent=True) if request.get_data() else {}
    if not isinstance(body, dict):
        raise BadRequest("The request body must be a JSON object.")
    return body

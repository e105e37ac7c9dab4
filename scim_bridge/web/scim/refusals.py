"""Remember whose writes were answered 400 or 409, for the operator who is asked why a person is missing."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from scim2_models import ScimProvider

from scim_bridge.domain.employee import EmployeeNumber
from scim_bridge.domain.outcome import printable
from scim_bridge.domain.values import JsonObject
from scim_bridge.logs import get_logger
from scim_bridge.scim.entra_resource import rewrite_resource
from scim_bridge.scim.reading import name_of
from scim_bridge.scim.schema import shape_of
from scim_bridge.storage.database import Database, Session, loggable
from scim_bridge.storage.refusals import RefusedWrite
from scim_bridge.tenant import Tenant

log = get_logger(__name__)

REMEMBERED = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.CONFLICT})
"""Answers that Entra counts against the person. Others concern the request, the client or the bridge."""

WAIT_SECONDS = 1.0
"""How long Entra's answer waits at most until this process may write to SQLite."""

LONGEST_NAME = 200

USER = "User"


@dataclass(frozen=True, slots=True)
class Told:
    """A write about a resource that the client was told an error for."""

    method: str
    path: str
    sent: Any
    """The body, as JSON or its bytes."""

    status: int
    scim_type: str | None
    detail: str | None


@dataclass(frozen=True, slots=True)
class Refusals:
    """Remembers the refused writes of one company's requests."""

    database: Database
    tenant: Tenant
    provider: ScimProvider

    def keep(self, told: Sequence[Told], request_id: str) -> None:
        """Store the refused writes about users. This never fails, as the answer does not depend on it."""
        about = [(each, user_id) for each in told if (user_id := _user_of(each)) is not None]
        if not about:
            return
        try:
            with self.database.write(self.tenant.name, within=WAIT_SECONDS) as s:
                found = [_refused(s, self.tenant, self.provider, each, user_id, request_id) for each, user_id in about]
                s.refused_writes.add([each for each in found if each is not None])
        except Exception as error:
            log.warning(
                "scim.refusal_not_kept",
                tenant=self.tenant.name,
                error=type(error).__name__,
                exc_info=loggable(error),
            )


def _refused(
    s: Session, tenant: Tenant, provider: ScimProvider, told: Told, user_id: str, request_id: str
) -> RefusedWrite | None:
    """Return what to store; None if neither user nor body says who this is about."""
    stored = s.resources.get(USER, user_id) if user_id else None
    document = stored.document if stored is not None else _sent(told.sent, provider)
    external_id, user_name = _text(document, "externalId"), _text(document, "userName")
    if stored is None and external_id is None and user_name is None:
        return None
    return RefusedWrite(
        status=told.status,
        scim_type=told.scim_type,
        detail=printable(told.detail) if told.detail else None,
        user_id=stored.id if stored is not None else None,
        external_id=external_id,
        user_name=user_name,
        employee_number=_short(_number(s, tenant, document)),
        name=_short(name_of(document)),
        request_id=request_id,
    )


def _sent(sent: Any, provider: ScimProvider) -> JsonObject:
    """Return the user that a body describes, in the form of the RFCs as far as possible."""
    if isinstance(sent, bytes):
        with suppress(ValueError, RecursionError):
            sent = json.loads(sent)
    if not isinstance(sent, Mapping):
        return {}
    model: Any = next(provider.model_for(each) for each in provider.resource_types if each.name == USER)
    # It was refused, so it may be anything.
    with suppress(Exception):
        return dict(rewrite_resource(shape_of(model), dict(sent)).body)
    return dict(sent)


def _number(s: Session, tenant: Tenant, document: JsonObject) -> EmployeeNumber | None:
    with suppress(Exception):
        return tenant.desired(document, None, tenant.today(s.now)).employee_number
    return None


def _user_of(told: Told) -> str | None:
    """Return the id of the user that a write is about; empty for a new user; None if it is about something else."""
    parts = told.path.strip("/").split("/")
    if told.status not in REMEMBERED or parts[0].casefold() != "users" or len(parts) > 2:
        return None
    wanted = {1: ("POST",), 2: ("PUT", "PATCH", "DELETE")}[len(parts)]
    if told.method.upper() not in wanted:
        return None
    return parts[1] if len(parts) == 2 else ""


def _text(document: Mapping[str, object], name: str) -> str | None:
    value = document.get(name)
    return _short(value) if isinstance(value, str) else None


def _short(text: str | None) -> str | None:
    return (printable(text[:LONGEST_NAME]).strip() or None) if text else None

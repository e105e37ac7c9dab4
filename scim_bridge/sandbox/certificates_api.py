"""The simulated Ditio's certificates: one route, an upsert of a JSON array.

Source: Ditio "Certificates (v4)".
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import datetime

from flask import Flask, Response, jsonify, request

from scim_bridge.sandbox import forms
from scim_bridge.sandbox.company import Company
from scim_bridge.sandbox.refusals import Refused
from scim_bridge.sandbox.style import Style

CERTIFICATES = "/api/v4/integration/certificates"

Ledger = dict[tuple[str, str], dict[str, object]]


class CertificatesApi:
    """Keeps a ledger by employee number and certificate type; nothing is ever read back or deleted."""

    def __init__(self, company: Company, style: Callable[[], Style]) -> None:
        self.ledger: Ledger = {}
        self._company = company
        self._style = style

    def register(self, app: Flask, base_path: str) -> None:
        """Add the route below `base_path`."""
        app.add_url_rule(base_path + CERTIFICATES, "certificates", self._upsert, methods=["POST"])

    def _upsert(self) -> Response:
        items = request.get_json(force=True, silent=True)
        if not isinstance(items, list):
            raise Refused(400, "", "The request body must be a JSON array.")
        with self._company.lock:
            good, refusals = self._sorted(items)
            if not refusals or self._style().certificates_partial:
                self.ledger |= good
                for number in dict.fromkeys(number for number, _ in good):
                    employee = self._company.reach(number)
                    self._company.note("certificates", copy.deepcopy(employee), employee)
        if refusals:
            raise refusals[0]
        return self._answer(list(good.values()))

    def _sorted(self, items: list[object]) -> tuple[Ledger, list[Refused]]:
        good: Ledger = {}
        refusals = []
        for index, item in enumerate(items):
            try:
                good |= self._checked(item)
            except Refused as refused:
                field = f"[{index}].{refused.field}"
                refusals.append(Refused(400, field, f"{field}: {refused.message}", refused.code))
        return good, refusals

    def _checked(self, item: object) -> Ledger:
        body = forms.body_of(item)
        number, kind = forms.text(body, "employeeNumber"), forms.text(body, "certificateType")
        self._company.reach(number)
        for key in ("certificateNumber", "notes"):
            forms.text_or_none(body, key)
        if _moment(body, "issuedDateTime") >= _moment(body, "validUntilDateTime"):
            raise Refused(400, "IssuedDateTime", "The IssuedDateTime must be before the ValidUntilDateTime.")
        return {(number, kind): dict(body)}

    def _answer(self, items: list[dict[str, object]]) -> Response:
        match self._style().answers:
            case "204":
                return Response(status=204)
            case "empty-200":
                return Response(status=200)
            case _:
                return jsonify(items)


def _moment(body: forms.Body, key: str) -> datetime:
    """Return a required time with an offset, such as `2026-01-15T00:00:00Z`."""
    try:
        moment = datetime.fromisoformat(forms.text(body, key))
    except ValueError as exc:
        raise _bad_moment(key) from exc
    if moment.tzinfo is None:
        raise _bad_moment(key)
    return moment


def _bad_moment(key: str) -> Refused:
    field = key[0].upper() + key[1:]
    return Refused(400, field, f"The {field} field must be of the form 2026-01-15T00:00:00Z.")

"""A refusal as an HTTP answer, in each of the forms that Ditio documents or may use.

Source: Ditio "Errors"; RFC 9457.
"""

from __future__ import annotations

from flask import Response, jsonify

from scim_bridge.sandbox.refusals import Refused

_NORWEGIAN = {
    "ValidationError": "Ugyldig verdi i feltet {field}.",
    "Duplicate": "{field} er allerede i bruk.",
    "NotFound": "Fant ikke den ansatte.",
    "AlreadySo": "Ansettelsen eller brukeren er allerede i denne tilstanden.",
    "NoEmployment": "Den ansatte har ingen aktiv ansettelse.",
}


def refusal_answer(refused: Refused, errors: str) -> Response:
    """Return the HTTP answer, its body in the form that `Style.errors` names."""
    match errors:
        case "simple":
            answer = jsonify(error=refused.code, message=refused.message)
        case "text":
            norwegian = _NORWEGIAN.get(refused.code, refused.message)
            answer = Response(norwegian.format(field=refused.field), mimetype="text/plain")
        case "problem":
            answer = jsonify(_problem(refused))
            answer.mimetype = "application/problem+json"
        case _:
            answer = jsonify(_v5(refused))
    answer.status_code = refused.status
    return answer


def _v5(refused: Refused) -> dict[str, object]:
    validation = refused.code == "ValidationError"
    error = {
        "category": "UserInvalidInputError" if validation else "BusinessError",
        "code": refused.code,
        "field": refused.field or None,
        "message": refused.message,
    }
    return {"message": "Validation failed" if validation else refused.message, "errors": [error]}


def _problem(refused: Refused) -> dict[str, object]:
    problem: dict[str, object] = {
        "type": "about:blank",
        "title": refused.code,
        "status": refused.status,
        "detail": refused.message,
    }
    return problem | ({"errors": {refused.field: [refused.message]}} if refused.field else {})

"""The SCIM resource type of certificates, as a competence system writes them (design, section 8).

Ditio keeps days: an instant that is sent is one of rule T1's, and midnight UTC of its day is what comes back (rule K6).
"""

import re
from datetime import UTC, date, datetime, time
from typing import Annotated, Any, cast

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError
from scim2_models import URN, CaseExact, Required, Resource, ScimProvider

from scim_bridge.domain.certificate import Entry
from scim_bridge.domain.documents import CERTIFICATE, CERTIFICATE_URN
from scim_bridge.scim.documents import Identity, resource_of

_NORWEGIAN = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})", re.ASCII)
_WRITTEN = re.compile(r"\d{4}-\d\d-\d\d([Tt ]\d\d:.*)?", re.ASCII)


def _read(sent: object) -> object:
    """A date in one of the forms of rule T1, for the library to go on with; any other is refused."""
    if sent is None or isinstance(sent, datetime):
        return sent
    text = sent.strip() if isinstance(sent, str) else ""
    if norwegian := _NORWEGIAN.fullmatch(text):
        day, month, year = norwegian.groups()
        text = f"{year}-{month:0>2}-{day:0>2}"
    if not _WRITTEN.fullmatch(text):
        # A text of digits would be read as seconds since 1970.
        raise PydanticCustomError("datetime_form", "not a date with a time")
    return text if ":" in text else f"{text}T00:00:00Z"


Instant = Annotated[datetime | None, BeforeValidator(_read)]


def certificate_model(*, requires_end: bool) -> type[Resource[Any]]:
    """The model of `/Certificates`.

    :param requires_end: Whether a certificate without an end is refused (`CERTIFICATES__MISSING_EXPIRY`).
    """

    class Certificate(Resource[Any]):
        """A certificate of an employee: a card, a licence or a course that is valid for some time."""

        __schema__ = URN(CERTIFICATE_URN)

        employee_number: Annotated[str | None, Required.true, CaseExact.true] = Field(
            None, description="The employee number in Ditio, exactly as Ditio has it"
        )
        certificate_type: Annotated[str | None, Required.true, CaseExact.true] = Field(
            None, description="What kind of certificate it is; an employee has at most one of each"
        )
        certificate_number: Annotated[str | None, CaseExact.true] = Field(
            None, description="The number on the certificate"
        )
        issued_date_time: Annotated[Instant, Required.true] = Field(
            None,
            description="The day on which it was issued, at midnight UTC; the canonical value is an example",
            examples=["2026-01-15T00:00:00Z"],
        )
        valid_until_date_time: Annotated[Instant, Required.true if requires_end else Required.false] = Field(
            None,
            description="The last day on which it is valid, at midnight UTC; the canonical value is an example",
            examples=["2031-01-15T00:00:00Z"],
        )
        notes: Annotated[str | None, CaseExact.true] = Field(None, description="Anything else that is worth knowing")

    return Certificate


def certificate_resource(model: type[Resource[Any]], provider: ScimProvider, entry: Entry) -> Resource[Any]:
    """The resource that an entry of the ledger is; a slot of somebody without a number has none."""
    said = entry.certificate
    values = {
        "externalId": entry.external_id,
        "employeeNumber": entry.employee_number,
        "certificateType": said.type,
        "certificateNumber": said.number,
        "issuedDateTime": midnight(said.issued),
        "validUntilDateTime": midnight(said.valid_until) if said.valid_until else None,
        "notes": said.notes,
    }
    document = {"schemas": [CERTIFICATE_URN], **{name: value for name, value in values.items() if value is not None}}
    return resource_of(model, provider, cast(dict[str, object], document), identity_of_entry(entry))


def identity_of_entry(entry: Entry) -> Identity:
    """What the bridge says of a certificate."""
    return Identity(entry.id, CERTIFICATE, entry.version, entry.created_at, entry.last_modified_at)


def midnight(day: date) -> datetime:
    """A day as it goes out: that day, unshifted, in UTC (rule K6)."""
    return datetime.combine(day, time(), UTC)

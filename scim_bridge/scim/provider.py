"""Resource types, schemas and service provider configuration."""

import re
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from types import MappingProxyType
from typing import Annotated, Any

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError
from scim2_models import (
    URN,
    AnyExtension,
    Attribute,
    AuthenticationScheme,
    Bulk,
    CaseExact,
    ChangePassword,
    EnterpriseUser,
    ETag,
    Extension,
    Filter,
    Group,
    Pagination,
    Patch,
    Required,
    Resource,
    ResourceType,
    Schema,
    ScimPolicy,
    ScimProvider,
    ServiceProviderConfig,
    Sort,
    User,
)

from scim_bridge.domain.values import CERTIFICATE_URN
from scim_bridge.scim.reading import DITIO_URN

Kind = Attribute.Type


def as_sent(published: Schema) -> type[Resource[Any]]:
    """Return the model of a schema, with external references and binary values read and written as plain text."""
    read = published.model_copy(deep=True)
    _plain(read.attributes)

    class AsSent(Resource[AnyExtension]):
        """The base of the model: the schema that it shows to clients is the published one."""

        @classmethod
        def to_schema(cls) -> Schema:
            return published.model_copy(deep=True)

    return AsSent.from_schema(read)


def _plain(attributes: list[Attribute] | None) -> None:
    for each in attributes or []:
        if each.type == Kind.binary or (each.type == Kind.reference and each.reference_types == ["external"]):
            # Both compare exactly (RFC 7643 §2.3.6, §2.3.7).
            each.type, each.reference_types, each.case_exact = Kind.string, None, CaseExact.true
        _plain(each.sub_attributes)


_NORWEGIAN = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})", re.ASCII)
_WRITTEN = re.compile(r"\d{4}-\d\d-\d\d([Tt ]\d\d:.*)?", re.ASCII)


def _read(sent: object) -> object:
    """Return a date in one of the forms of rule T1, for the library to read; any other is refused."""
    if sent is None or isinstance(sent, datetime):
        return sent
    text = sent.strip() if isinstance(sent, str) else ""
    if norwegian := _NORWEGIAN.fullmatch(text):
        day, month, year = norwegian.groups()
        text = f"{year}-{month:0>2}-{day:0>2}"
    if not _WRITTEN.fullmatch(text):
        # The library would read a text of digits as seconds since 1970.
        raise PydanticCustomError("datetime_form", "not a date with a time")
    return text if ":" in text else f"{text}T00:00:00Z"


Instant = Annotated[datetime | None, BeforeValidator(_read)]


def certificate_model(*, requires_end: bool) -> type[Resource[Any]]:
    """Return the model of `/Certificates`.

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


NAME = "DitioUser"
"""The extension's class name, under which a resource holds it."""

EMPTY: Mapping[str, str] = MappingProxyType({})

DELIVERY_ATTRIBUTES = ("deliveryState", "deliveryDetail", "deliveredAt")
"""Read-only, made by the bridge: never stored with the user, and ignored when sent (rule A6)."""


def ditio_extension(slots: Mapping[str, str] = EMPTY) -> type[Extension]:
    """Build the extension from its schema, as `/Schemas` publishes it.

    :param slots: The attributes that carry certificates, and their descriptions; their names are not checked here.
    """
    schema = {
        "id": DITIO_URN,
        "name": NAME,
        "description": "What Ditio needs to know of a user, and how far the delivery to Ditio has come",
        "attributes": [
            # Dates are text: they come back as they were sent, and rule T1 says how they are read.
            _sent("birthDate", "The day of birth, as yyyy-MM-dd"),
            _sent("employmentStartDate", "The first working day, as yyyy-MM-dd"),
            _sent("employmentEndDate", "The last working day, as yyyy-MM-dd"),
            _sent("payroll", "Ditio's payroll number of the employment: 0, 1 or 2"),
            *(_sent(name, description) for name, description in slots.items()),
            _made(
                "deliveryState",
                "string",
                "How far the delivery of this user to Ditio has come",
                canonicalValues=["delivered", "due", "held", "parked"],
            ),
            # Its words are Ditio's and the bridge's: compared exactly, so that both databases agree.
            _made("deliveryDetail", "string", "Why, in words for the administrator", caseExact=True),
            _made("deliveredAt", "dateTime", "When Ditio last took this user"),
        ],
    }
    return Extension.from_schema(Schema.model_validate(schema))


def _sent(name: str, description: str) -> dict[str, Any]:
    return {"name": name, "type": "string", "multiValued": False, "description": description}


def _made(name: str, kind: str, description: str, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "type": kind,
        "multiValued": False,
        "description": description,
        "mutability": "readOnly",
        **more,
    }


DEFAULT_PAGE_SIZE = 100

POLICY = ScimPolicy(
    unknown=ScimPolicy.Unknown.ignore,
    remove_value_as_filter=ScimPolicy.RemoveValue.apply,
    unmatched_path_filter=ScimPolicy.UnmatchedPathFilter.create,
)
"""Entra's quirks that the library itself can tolerate; the others are in `entra_patch.py` and `entra_resource.py`."""


@cache  # Equal arguments give equal providers, and rebuilding the models from their schemas takes long.
def build_provider(
    *,
    max_page_size: int,
    max_bulk_operations: int = 100,
    max_body_bytes: int = 1_048_576,
    slots: tuple[tuple[str, str], ...] = (),
    certificates_end: bool = True,
) -> ScimProvider:
    """Return the description of the service.

    :param max_page_size: The most resources that one answer lists; a larger `count` is cut to it.
    :param max_bulk_operations: The most operations in one bulk request.
    :param max_body_bytes: The largest body, that of a bulk request included.
    :param slots: The attributes of the Ditio extension that carry certificates, and their descriptions.
    :param certificates_end: Whether a certificate without an end is refused.
    """
    user, group, certificate = (
        _user_model(),
        Resource.from_schema(Group.to_schema()),
        certificate_model(requires_end=certificates_end),
    )
    extensions = (_enterprise_model(), ditio_extension(dict(slots)))
    composed: Any = user.__class_getitem__(extensions[0] | extensions[1])
    return ScimProvider(
        models=[user, group, certificate, *extensions],
        resource_types=[ResourceType.from_resource(each) for each in (composed, group, certificate)],
        config=_config(max_page_size, max_bulk_operations, max_body_bytes),
        policy=POLICY,
    )


def _user_model() -> type[Resource[Any]]:
    """Return the RFC's User, rebuilt from its schema: the shipped class lower-cases and refuses e-mail addresses.

    It has no password, which the bridge has no use for and never stores (rule A7). A password that is sent is ignored
    like any attribute that isn't declared.
    """
    schema = User.to_schema()
    schema.attributes = [each for each in schema.attributes or [] if each.name != "password"]
    return as_sent(schema)


def _enterprise_model() -> type[Extension]:
    """Return the RFC's enterprise extension, in which a manager needs no `$ref`: Entra sends none."""
    schema = EnterpriseUser.to_schema()
    schema["manager"]["$ref"].required = Required.false
    return Extension.from_schema(schema)


def _config(max_page_size: int, max_bulk_operations: int, max_body_bytes: int) -> ServiceProviderConfig:
    return ServiceProviderConfig(
        patch=Patch(supported=True),
        bulk=Bulk(supported=True, max_operations=max_bulk_operations, max_payload_size=max_body_bytes),
        filter=Filter(supported=True, max_results=max_page_size),
        change_password=ChangePassword(supported=False),
        sort=Sort(supported=True),
        etag=ETag(supported=True),
        pagination=Pagination(
            # Without a cursorTimeout: a cursor holds only a position and nothing on the server, so none expires.
            cursor=True,
            index=True,
            default_pagination_method=Pagination.DefaultPaginationMethod.index,
            default_page_size=min(DEFAULT_PAGE_SIZE, max_page_size),
            max_page_size=max_page_size,
        ),
        authentication_schemes=[
            AuthenticationScheme(
                type=AuthenticationScheme.Type.oauthbearertoken,
                name="Bearer token",
                description="A secret token, an OAuth 2 access token or Entra's own token, sent as a bearer token",
                spec_uri="https://www.rfc-editor.org/info/rfc6750",
                primary=True,
            )
        ],
    )

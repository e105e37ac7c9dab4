"""The description of the service: resource types, what it supports, and what it tolerates."""

from functools import cache
from typing import Any

from scim2_models import (
    AuthenticationScheme,
    Bulk,
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
    ScimPolicy,
    ScimProvider,
    ServiceProviderConfig,
    Sort,
    User,
)

from scim_bridge.scim.as_sent import as_sent
from scim_bridge.scim.certificates import certificate_model
from scim_bridge.scim.extension import ditio_extension

DEFAULT_PAGE_SIZE = 100

POLICY = ScimPolicy(
    unknown=ScimPolicy.Unknown.ignore,
    remove_value_as_filter=ScimPolicy.RemoveValue.apply,
    unmatched_path_filter=ScimPolicy.UnmatchedPathFilter.create,
)
"""What Entra may depart from the RFCs in, as far as the library can say it; the rest is in `entra.py`."""


@cache  # Two of the same are alike, and rebuilding the models from their schemas takes long.
def build_provider(
    *,
    max_page_size: int,
    max_bulk_operations: int = 100,
    max_body_bytes: int = 1_048_576,
    slots: tuple[tuple[str, str], ...] = (),
    certificates_end: bool = True,
) -> ScimProvider:
    """Describe the service.

    :param max_page_size: The most resources that one answer lists; a larger `count` is cut to it.
    :param max_bulk_operations: The most operations in one bulk request.
    :param max_body_bytes: The largest body, that of a bulk request included.
    :param slots: The attributes of the Ditio extension that carry certificates, and what each is.
    :param certificates_end: Whether a certificate without an end is refused.
    """
    user, group, certificate = _user_model(), _group_model(), certificate_model(requires_end=certificates_end)
    extensions = (_enterprise_model(), ditio_extension(dict(slots)))
    composed: Any = user.__class_getitem__(extensions[0] | extensions[1])
    return ScimProvider(
        models=[user, group, certificate, *extensions],
        resource_types=[ResourceType.from_resource(each) for each in (composed, group, certificate)],
        config=_config(max_page_size, max_bulk_operations, max_body_bytes),
        policy=POLICY,
    )


def _user_model() -> type[Resource[Any]]:
    """The RFC's User, rebuilt from its schema: the shipped class lower-cases and refuses e-mail addresses.

    It has no password, which the bridge has no use for and never stores (rule A7): sent all the same, it
    is ignored like any attribute that isn't declared.
    """
    schema = User.to_schema()
    schema.attributes = [each for each in schema.attributes or [] if each.name != "password"]
    return as_sent(schema)


def _group_model() -> type[Resource[Any]]:
    return Resource.from_schema(Group.to_schema())


def _enterprise_model() -> type[Extension]:
    """The RFC's enterprise extension, in which a manager needs no `$ref`: Entra sends none."""
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
            # Without a cursorTimeout: a cursor holds a place and nothing of the server's, so none expires.
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

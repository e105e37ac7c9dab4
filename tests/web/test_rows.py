"""The row of a new resource: it is made of the checked body, and not read a second time."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from scim2_models import Context

from scim_bridge.scim.provider import build_provider
from scim_bridge.scim.reading import CORE_URN, DITIO_URN, ENTERPRISE_URN
from scim_bridge.scim.resources import Identity
from scim_bridge.web.scim.resources import Rows
from tests.storage import filter_cases as cases

PROVIDER = build_provider(max_page_size=1000)
ROWS = Rows(PROVIDER)
USER, GROUP, _ = PROVIDER.resource_types

urns = st.lists(st.sampled_from([ENTERPRISE_URN, DITIO_URN]), max_size=2).map(lambda more: [CORE_URN, *more])
delivery = st.sampled_from([{}, {DITIO_URN: {"deliveryState": "due"}}, {DITIO_URN: {}}, {ENTERPRISE_URN: {}}])


@given(data=st.data(), vocabulary=cases.vocabularies, schemas=st.none() | urns, more=delivery)
@settings(max_examples=300)
def test_it_is_as_if_the_document_had_been_read_again(data, vocabulary, schemas, more):
    """What is searched is what is served: otherwise a filter would find a user who does not have the value."""
    case = cases.Cases(vocabulary)
    kind, bodies = data.draw(st.sampled_from([(USER, case.users), (GROUP, case.groups)]))
    body: dict[str, Any] = {"userName": "kari", **data.draw(bodies)}
    if kind is USER:
        body = {**more, **body}
    else:
        body.pop("userName")
    if schemas is not None and kind is USER:
        body["schemas"] = schemas
    model = ROWS.model(kind)
    resource = model.model_validate(body, scim_ctx=Context.RESOURCE_CREATION_REQUEST, scim_provider=PROVIDER)

    row = ROWS.made(kind, resource, "an-id", cases.START)

    read, again = ROWS.prepared(kind, resource, Identity("an-id", str(kind.name), 1, cases.START, cases.START))
    assert row.keys == again.keys
    assert row.document == again.document
    served = ROWS.resource(kind, row)
    assert served.model_dump(scim_ctx=Context.DEFAULT) == read.model_dump(scim_ctx=Context.DEFAULT)

"""Certificates v4: one call, an array, and what its answers mean (K4, R1-R3)."""

import json

import pytest

from scim_bridge.errors import CredentialsRefused, OperationMissing, PermanentError, RateLimited, TransientError

ITEM = {"employeeNumber": "1042", "certificateType": "Kranførerbevis"}


@pytest.mark.parametrize("status", [200, 201, 204])
def test_an_array_is_posted_and_any_answer_will_do(world, status):
    """No answer is documented: a 2xx says that all of it was taken."""
    world.answers(status, "" if status == 204 else "not even JSON")

    answer = world.client().post_certificates([ITEM, ITEM])

    assert answer.status == status
    (request,) = [each for each in world.sent if "certificates" in each.url]
    assert (request.method, request.url) == ("POST", "https://ditio.test/core/api/v4/integration/certificates")
    assert json.loads(request.body) == [ITEM, ITEM]


@pytest.mark.parametrize(
    "body",
    [
        '{"message": "Validation failed", "errors": [{"field": "CertificateType", "message": "Ukjent type."}]}',
        '[{"employeeNumber": "1041"}, {"employeeNumber": "1042", "errors": ["Ukjent type."]}]',
        '{"Message": "Validation failed", "Errors": [{"Field": "CertificateType", "Message": "Ukjent type."}]}',
        '{"data": [{"employeeNumber": "1041"}, {"employeeNumber": "1042", "errors": ["Ukjent type."]}]}',
        '[{"employeeNumber": "1041"}, {"error": "UserInvalidInputError", "message": "Ukjent type."}]',
        '{"error": "UserInvalidInputError", "message": "Ukjent type."}',
    ],
)
@pytest.mark.parametrize("status", [200, 207])
def test_a_2xx_that_names_errors_is_a_refusal(world, status, body):
    """Facts about Ditio, section 3: nothing is ever read back, so what is taken for acknowledged must be so."""
    world.answers(status, body)

    with pytest.raises(PermanentError) as raised:
        world.client().post_certificates([ITEM])

    assert (raised.value.status, raised.value.words) == (status, "Ukjent type.")


@pytest.mark.parametrize("body", ['{"errors": []}', '{"errors": null, "data": [1]}', '[{"error": null}]', "[1]"])
def test_a_2xx_without_errors_is_none(world, body):
    world.answers(200, body)

    assert world.client().post_certificates([ITEM]).status == 200


@pytest.mark.parametrize(
    ("status", "error"),
    [
        *((status, PermanentError) for status in (400, 409, 413, 422)),
        *((status, OperationMissing) for status in (404, 405)),
        (403, CredentialsRefused),
        (429, RateLimited),
        (503, TransientError),
    ],
)
def test_what_an_answer_means(world, status, error):
    """R1-R3: as of any other write."""
    world.answers(status, '{"error": "x", "message": "Datoen er feil."}')

    with pytest.raises(error) as raised:
        world.client().post_certificates([ITEM])

    assert raised.value.status == status
    if isinstance(raised.value, PermanentError):
        assert raised.value.words == "Datoen er feil."


def test_a_missing_operation_names_path_and_setting(world):
    """R1: `no-operation`."""
    world.answers(405, "")

    with pytest.raises(OperationMissing, match=r"POST /api/v4/integration/certificates: .*DITIO__API_URL"):
        world.client().post_certificates([ITEM])

"""What Ditio's errors become: who has to act, in whose words, and whether the write may have happened."""

from __future__ import annotations

import json

import pytest

from scim_bridge.domain.operations import OperationName
from scim_bridge.errors import CredentialsRefused, PermanentError, RateLimited, TransientError
from scim_bridge.sandbox.gateway import Fault
from scim_bridge.sandbox.style import Style

from .conftest import KARI, a_call, a_creation, everything_said

V5 = {
    "message": "Validation failed",
    "errors": [
        {
            "category": "UserInvalidInputError",
            "code": "ValidationError",
            "field": "Phone",
            "message": "The Phone field is required.",
        }
    ],
}
TWO = {
    "message": "Validation failed",
    "errors": [
        {"field": None, "message": "Perioden er låst."},
        {"field": "Employment.StartDate", "message": "Too early."},
        {"field": "Phone", "message": "Too early."},
    ],
}
PASCAL = {"Message": "Validation failed", "Errors": [{"Field": "Phone", "Message": "The Phone field is required."}]}
SIMPLE = {"error": "ArgumentIsNull", "message": "The 'ModifiedSince' parameter is required."}
PROBLEM = {"type": "about:blank", "title": "Conflict", "status": 409, "detail": "The number is taken."}
ASPNET = {
    "title": "One or more validation errors occurred.",
    "status": 400,
    "errors": {"$.employment.startDate": ["Not a date."], "BirthDate": ["Required."]},
}
HTML = "<!doctype html><html><head><title>400 Bad\n&lt;b&gt; Request</title></head><body>secret</body></html>"


@pytest.mark.parametrize("status", [400, 402, 409, 410, 415, 422])
@pytest.mark.parametrize(
    ("body", "words", "field"),
    [
        (json.dumps(V5), "The Phone field is required.", "phone"),
        (json.dumps(TWO), "Perioden er låst.; Too early.", "startDate"),
        (json.dumps(PASCAL), "The Phone field is required.", "phone"),
        (json.dumps({"data": [V5]}), "The Phone field is required.", "phone"),
        (json.dumps(SIMPLE), "The 'ModifiedSince' parameter is required.", None),
        ('{"error": "ArgumentIsNull"}', "ArgumentIsNull", None),
        ("Lønnsperioden er låst.", "Lønnsperioden er låst.", None),
        ("Lønnsperioden er låst.".encode("latin-1"), "Lønnsperioden er låst.", None),
        ('"Lønnsperioden er låst."', "Lønnsperioden er låst.", None),
        ('["En.", "To."]', "En.; To.", None),
        (json.dumps(PROBLEM), "Conflict: The number is taken.", None),
        (json.dumps(ASPNET), "Not a date.; Required.", "startDate"),
        ('{"message": "Nei.", "errors": []}', "Nei.", None),
        ('{"message": "Nei.", "errors": [{}]}', "Nei.", None),
        (HTML, 'an HTML page titled "400 Bad b Request"', None),
        ("<html><body>secret</body></html>", "an HTML page", None),
        ("", "no reason was given", None),
        ("{}", "no reason was given", None),
        ("7", "no reason was given", None),
    ],
)
def test_a_refusal_carries_ditios_words(world, client, status, body, words, field):
    """R1: "Entra gets 400 or 409 with Ditio's words, the attribute and the cure"; any other 4xx is a refusal."""
    world.answers(status, body, "text/plain")

    with pytest.raises(PermanentError) as refused:
        client.send(*a_call(OperationName.patch, email="x"))

    assert (refused.value.words, refused.value.field, refused.value.status) == (words, field, status)
    assert refused.value.request_id == "id1"
    assert str(refused.value).startswith("employee 1042: patch: Ditio refused it")


@pytest.mark.parametrize("errors", ["v5", "simple", "text", "problem"])
def test_the_sandboxs_refusals_are_understood(world, ditio, errors):
    ditio.style = Style(errors=errors)
    ditio.plant("7", phone="+4798765432")

    with pytest.raises(PermanentError) as refused:
        world.client().send(*a_creation())

    assert refused.value.status == 409
    assert "Phone" in refused.value.words or "phone" in refused.value.words
    assert refused.value.field == ("phone" if errors in ("v5", "problem") else None)


def test_words_are_bounded_and_on_one_line(world, client):
    world.answers(400, "a\x00b\r\n\x1b[31mc‮d " + "x" * 100_000, "text/plain")

    with pytest.raises(PermanentError) as refused:
        client.send(*a_creation())

    assert refused.value.words.startswith("a b [31mc d xxx")
    assert len(refused.value.words) == 300


def test_a_debug_page_does_not_pass_the_token_on(world, client):
    world.answers(400, "HEADERS\nAuthorization: Bearer sandbox-1-abcdef\nHost: x", "text/plain")

    with pytest.raises(PermanentError) as refused:
        client.send(*a_creation())

    assert "sandbox-1" not in everything_said(refused.value)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        (" 120 ", 120.0),
        ("Mon, 02 Mar 2026 09:00:30 GMT", 30.0),
        ("Mon, 02 Mar 2026 08:00:00 GMT", 0.0),
        ("Mon, 02 Mar 2026 10:00:30 +0100", 30.0),
        ("soon", None),
        ("-5", None),
        ("1e9", None),
        (None, None),
    ],
)
def test_429_says_how_long_to_wait(client, ditio, header, seconds):
    """RFC 9110 §10.2.3: `Retry-After` is "either an HTTP-date or a number of seconds"."""
    ditio.faults.plan(Fault("status", status=429, path="employees", retry_after=header))

    with pytest.raises(RateLimited) as limited:
        client.get(KARI)

    assert limited.value.retry_after_seconds == seconds
    assert not limited.value.ambiguous


@pytest.mark.parametrize("kind", ["status", "html"])
@pytest.mark.parametrize("status", [408, 500, 502, 503, 599])
def test_5xx_is_ambiguous_for_a_write_only(client, ditio, kind, status):
    """R4: "after any ambiguous answer (time-out, reset, 5xx …) the next attempt reads first"."""
    ditio.faults.plan(Fault(kind, status=status, path="employees", times=2))

    with pytest.raises(TransientError) as write:
        client.send(*a_creation())
    with pytest.raises(TransientError) as read:
        client.get(KARI)

    assert (write.value.ambiguous, write.value.status) == (True, status)
    assert not read.value.ambiguous


@pytest.mark.parametrize(
    ("kind", "ambiguous"),
    [
        ("timeout-before", True),
        ("timeout-after", True),
        ("reset-before", True),
        ("reset-after", True),
        ("refused-connection", False),
    ],
)
def test_a_lost_answer_is_ambiguous_unless_nothing_was_sent(client, ditio, kind, ambiguous):
    ditio.faults.plan(Fault(kind, path="employees", times=2))

    with pytest.raises(TransientError) as write:
        client.send(*a_creation())
    with pytest.raises(TransientError) as read:
        client.get(KARI)

    assert (write.value.ambiguous, write.value.status) == (ambiguous, None)
    assert write.value.request_id == "id1"
    assert not read.value.ambiguous


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed_and_means_a_wrong_address(world, client, status):
    """A creation that becomes a GET elsewhere would look as if it had been carried out."""
    for _ in range(2):
        world.answers(status)
        world.canned[-1].headers["Location"] = "https://ditio.test/core/api/v5/integration/employees"

    for call in (lambda: client.get(KARI), lambda: client.send(*a_creation())):
        with pytest.raises(CredentialsRefused, match="DITIO__API_URL seems wrong"):
            call()

    assert world.api_calls == 0
    assert len(world.sent) == 3, "one token and two calls"


def test_an_address_that_is_none_is_named(world):
    with pytest.raises(CredentialsRefused, match="DITIO__API_URL"):
        world.client(api_url="ditio.test/core").get(KARI)
    with pytest.raises(CredentialsRefused, match="DITIO__IDENTITY_URL"):
        world.client(identity_url="ditio.test").get(KARI)

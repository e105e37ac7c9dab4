"""Nothing that a browser sends is a 500: paths, parameters and forms of any kind, of viewers and of operators."""

import io
import re
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scim_bridge.domain.drift import Cause, Drift, Kind
from scim_bridge.domain.person import HandsOff, PersonId
from scim_bridge.sandbox.entra import EntraUser
from scim_bridge.web.console.pages import PAGES, Page
from tests.console.company import SETTINGS, fill
from tests.console.conftest import SignsIn, Visitor, person_id
from tests.console.test_drift import store
from tests.thorough import either, short_on_sqlite
from tests.world import BRIDGE, World, a_user

FIELDS = (
    *("q", "state", "department", "after", "reason", "done", "n", "skip", "kind", "all", "who", "refresh", "before"),
    *("action", "actor", "since", "until", "within", "type", "required", "on", "person", "decision", "seen", "force"),
    *("run", "number", "user", "back", "id", "name", "days", "content", "next", "key", "code", "iss", "error"),
)
"""The parameters of all pages and forms."""

HOSTILE = [
    *("", " ", "\0", "a\0b", "%", "_", "'", "\\", "..", "/", "<script>", "-", "1", "-1", "0.5", "1e400", "NaN"),
    *(str(2**31), str(-(2**31) - 1), str(2**63), str(-(2**63) - 1), "9" * 400, "9" * 5000, "٣", "1_0", "+1"),
    *("0001-01-01", "9999-12-31", "9999-12-30", "2026-02-30", "2026-W01-1", "-0001-01-01"),
    *("\ud800", "e\u0301", "\u202e", "\ufeff", "\U0001f600" * 50, "İ", "ß" * 300, "x" * 4000, "\ue000x\ue001", "\r\n"),
    *("held", "delivered", "refused", "guard", "deleted", "missing", "left-without-notice", "release", "link", "skip"),
    *("a-plan", "a-plan-with-a-longer-name", "token", "client", "0123456789ab", "yes", "first_day", "auto", "no"),
]
values = st.sampled_from(HOSTILE) | st.text(max_size=12) | st.integers().map(str) | st.dates().map(str)
fields = st.dictionaries(st.sampled_from(FIELDS), values, max_size=8) | values.map(lambda v: dict.fromkeys(FIELDS, v))

LEFT_OUT = {"end_sessions", "doctor_run"}
"""What ends the session, and what asks servers that are not there."""

OWN = ("-/sign-in", "-/link", "-/entra", "-/callback", "-/language/{}", "-/{}", "-/static/{}")
"""The paths of no company."""


def encoded(sent: dict[str, str]) -> str:
    """As an address or a form has it; half a character is sent as its bytes."""
    return urlencode({name: value.encode("utf-8", "surrogatepass") for name, value in sent.items()})


def sends(visitor: Visitor, page: Page, token: str, word: str, sent: dict[str, str]) -> int:
    parts = [
        quote(word.encode("utf-8", "surrogatepass"), safe="") if "<" in each else each for each in page.path.split("/")
    ]
    path = f"/console/{visitor.company}/{'/'.join(parts)}"
    if not page.is_form:
        return visitor.client.get(f"{path}?{encoded(sent)}", base_url=BRIDGE).status_code
    form = encoded({**sent, "token": token})
    kind = "application/x-www-form-urlencoded"
    return visitor.client.post(path, base_url=BRIDGE, data=form, content_type=kind).status_code


@short_on_sqlite
@pytest.mark.parametrize("role", ["operator", "viewer"])
@settings(
    max_examples=either(30, 4),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(word=values, sent=fields)
def test_no_page_and_no_form_is_a_500(world: World, signs_in: SignsIn, role: str, word: str, sent: dict[str, str]):
    """Known persons and plans are among the words, so that forms get far."""
    if not world.entra.directory.users:
        world.provisions(a_user(mobile=None))
        row = Drift(Kind.field, Cause.edited_in_ditio, "1042", "u", "workTitle", person_id=PersonId("p"))
        store(world, row, Drift(Kind.missing, Cause.never_delivered, "1043", "v", person_id=PersonId("q")))
    visitor = signs_in(role)
    token = visitor.token()
    known = {"<person_id>": person_id(world, "1042"), "<plan>": "a-plan"}
    for page in PAGES:
        if page.name in LEFT_OUT:
            continue
        for each in {word, *(id for part, id in known.items() if part in page.path)}:
            code = sends(visitor, page, token, each, sent)
            assert code < 500, (page.name, each, sent)
            assert role == "operator" or not page.is_form or page.for_all or code in (403, 404, 405), page.name
    for path in OWN:
        for method in ("GET", "POST"):
            at = "/console/" + path.format(quote(word.encode("utf-8", "surrogatepass"), safe=""))
            answer = visitor.client.open(f"{at}?{encoded(sent)}", base_url=BRIDGE, method=method)
            assert answer.status_code < 500 or answer.status_code == 503, (path, word, sent)


@pytest.mark.parametrize("who", [str(2**31), str(2**63), str(-(2**63) - 1), "9" * 400])
def test_a_number_that_no_row_can_have_names_no_one(world: World, signs_in: SignsIn, who: str):
    row = Drift(Kind.field, Cause.edited_in_ditio, "1042", "u", "workTitle", person_id=PersonId("p"))
    store(world, row)
    kari = signs_in()

    assert kari.get(f"drift/a-plan/repair?who={who}").status_code == 400
    assert kari.post("drift/a-plan/approved", who=who, reason="because", seen="1").status_code == 400
    assert kari.get(f"drift/a-plan/repair?who={who}&who=0").status_code == 200


@given(
    content=st.binary(max_size=200) | st.sampled_from([b"\0", b"PK\x03\x04", b"\xff\xfe\0", b"\xef\xbb\xbf"]),
    name=values,
)
@settings(max_examples=either(60, 10), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_file_is_a_500(world: World, signs_in: SignsIn, content: bytes, name: str):
    kari = signs_in()
    name = name.encode("utf-8", "replace").decode()
    answer = kari.post("certificates/import/check", file=(io.BytesIO(content), name.replace("\0", "") or "x"))

    assert answer.status_code in (200, 400, 409)
    assert kari.post("certificates/import/apply", content=name, name=name).status_code in (200, 400, 409)


# What an old form would do.


@pytest.fixture
def guarded(world: World) -> dict[str, EntraUser]:
    """Of two leavers within an hour, the guard holds the second."""
    world.restarts_with(**SETTINGS)
    return fill(world, people=2)


def decided(visitor: Visitor, decision: str) -> dict[str, Any]:
    """The form that asks whether to release or withdraw, as its button sends it; without the token."""
    told = visitor.get(f"waiting/decide?decision={decision}").text
    named = re.findall(r'<input type="checkbox" name="person" value="([^"]*)"', told)
    return {"person": named, "decision": decision, "reason": "agreed with payroll"}


@pytest.mark.parametrize("decision", ["release", "drop"])
def test_what_the_guard_holds_is_decided_once_as_it_was_seen(
    world: World, signs_in: SignsIn, guarded: dict[str, EntraUser], decision: str
):
    kari = signs_in()
    form = decided(kari, decision)
    what = {"release": "released", "drop": "dropped"}[decision]
    assert [each.partition(":")[0] for each in form["person"]] == [person_id(world, "9012")]

    for count in (1, 0):  # A double click.
        answer = kari.post("waiting/decided", **form)
        assert answer.headers["Location"] == f"/console/default/waiting?done={what}&n={count}"


def test_what_the_guard_holds_since_is_not_released_by_an_old_form(
    world: World, signs_in: SignsIn, guarded: dict[str, EntraUser]
):
    """They came back, and leave again: that is another ending than the one that was read."""
    kari = signs_in()
    form = decided(kari, "release")
    world.clock.passes(minutes=5)
    world.changes(guarded["guarded"], account_enabled=True)
    world.clock.passes(minutes=5)
    world.changes(guarded["guarded"], account_enabled=False)
    assert len(decided(kari, "release")["person"]) == len(form["person"])

    answer = kari.post("waiting/decided", **form)

    assert answer.status_code == 409
    assert "not what you saw" in answer.text
    assert not world.employee("9012").disabled
    assert kari.post("waiting/decided", **{**form, "person": person_id(world, "9012")}).status_code == 409
    assert kari.post("waiting/decided", **decided(kari, "release")).status_code == 303
    world.worker.run_until_idle()
    assert world.employee("9012").disabled


def test_a_person_is_stopped_whatever_others_are_called(world: World, signs_in: SignsIn):
    """A user may have the id of another person for a name; the page is about the person with the id."""
    world.provisions(a_user())
    id = person_id(world, "1042")
    world.provisions(a_user(object_id="two", user_principal_name=id, mail="two@x.no", employee_id="7", mobile=None))
    until = HandsOff(None)

    signs_in().post(f"people/{id}/hands-off", reason="on leave")

    with world.database.read("default") as s:
        record = s.people.get(PersonId(id))
        assert record is not None
        assert record.person.hands_off == until

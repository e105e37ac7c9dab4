"""The stored document is what the operations say: any sequence, in every dialect, one by one or in one request."""

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from scim_bridge.storage.tables import resources
from tests.conftest import Clock
from tests.protocol import patch_model as model
from tests.protocol.conftest import Scim
from tests.protocol.patch_dialects import DIALECTS, Spelling, operations
from tests.protocol.patch_model import CORE, DITIO, ENTERPRISE, GROUP, At, Change, Document
from tests.thorough import either

TEXTS = ["Kari", "kari", "KÅRE", "A\u030a", "å", " x ", "1042", "0042", 'say "no"\\', "😀", "True", "a,b", "work", "[]"]
texts = st.sampled_from(TEXTS)
kinds = st.sampled_from(["work", "mobile", "home", "Work", "other"])
days = st.sampled_from(["2026-03-01", "2022-09-30T23:59:59Z", "01.03.2026"])
ids = st.sampled_from([str(uuid.UUID(int=number)) for number in range(1, 13)])
"""Members and managers."""

SINGLE = [
    *(At(name) for name in ("title", "displayName", "nickName", "externalId", "preferredLanguage", "userType")),
    *(At("name", part) for part in ("givenName", "familyName", "middleName", "formatted")),
    *(At(name, urn=ENTERPRISE) for name in ("department", "employeeNumber", "division", "costCenter")),
]
DAYS = [At(name, urn=DITIO) for name in ("birthDate", "employmentStartDate", "employmentEndDate")]
LISTS = ["emails", "phoneNumbers", "roles", "ims", "entitlements"]

values = {"value": texts, "type": kinds, "display": texts, "primary": st.booleans()}
address = {"type": kinds, "streetAddress": texts, "postalCode": texts, "country": texts, "primary": st.booleans()}


def entries_of(parts: dict[str, Any]) -> st.SearchStrategy[Document]:
    """Entries with some of these parts, and never none."""
    return st.fixed_dictionaries({}, optional=parts).filter(bool)


def lists_of(parts: dict[str, Any], *, most: int = 3) -> st.SearchStrategy[list[Document]]:
    """A few entries, one of them primary at most."""
    return st.lists(entries_of(parts), max_size=most).filter(
        lambda found: sum(entry.get("primary") is True for entry in found) < 2
    )


parts_of = {**dict.fromkeys(LISTS, values), "addresses": address}
members = st.lists(ids, max_size=8, unique=True).map(lambda found: [{"value": each} for each in found])

users = st.fixed_dictionaries(
    {"userName": st.just("kari")},
    optional={
        "active": st.booleans(),
        **{at.name: st.one_of(texts, st.just("")) for at in SINGLE if at.urn is None and at.part is None},
        "name": st.fixed_dictionaries({}, optional={"givenName": texts, "familyName": texts}),
        **{name: lists_of(parts) for name, parts in parts_of.items()},
        ENTERPRISE: st.fixed_dictionaries(
            {}, optional={"department": texts, "employeeNumber": texts, "manager": ids.map(lambda id: {"value": id})}
        ),
        DITIO: st.fixed_dictionaries({}, optional={"birthDate": days, "payroll": st.sampled_from(["0", "1"])}),
    },
)
groups = st.fixed_dictionaries({"displayName": texts}, optional={"externalId": texts, "members": members})


def selections(name: str) -> st.SearchStrategy[Document]:
    """What a filter in brackets compares: Entra's `type eq "work"` and `primary eq "True"`, and a value."""
    found = [kinds.map(lambda kind: {"type": kind})] * 3
    if name != "addresses":
        found += [
            st.just({"primary": True}),
            texts.map(lambda text: {"value": text}),
            st.tuples(kinds, st.booleans()).map(lambda pair: {"type": pair[0], "primary": pair[1]}),
        ]
    return st.one_of(found)


def changes_of(name: str) -> st.SearchStrategy[Change]:
    """Changes of a list of complex values."""
    parts, chosen = parts_of[name], selections(name)
    written = st.sampled_from(["streetAddress", "postalCode"] if name == "addresses" else ["value", "value", "display"])
    listed = st.lists(entries_of({part: parts[part] for part in parts if part != "display"}), min_size=1, max_size=2)
    return st.one_of(
        st.builds(model.SetPart, st.just(name), chosen, written, texts),
        st.builds(model.SetPart, st.just(name), chosen, written, texts),
        st.builds(model.SetPart, st.just(name), chosen, st.just("primary"), st.booleans()),
        st.builds(model.WriteEntry, st.just(name), chosen, st.fixed_dictionaries(parts)),
        st.builds(model.ClearPart, st.just(name), chosen, st.one_of(written, st.sampled_from(["type", "primary"]))),
        st.builds(model.DropEntries, st.just(name), chosen),
        # Of two primary entries the first stays it.
        st.builds(model.SetList, st.just(name), st.lists(entries_of(parts), max_size=3)),
        st.builds(model.AddEntries, st.just(name), st.lists(entries_of(parts), min_size=1, max_size=2)),
        st.builds(model.RemoveListed, st.just(name), listed),
        st.builds(model.Clear, st.just(At(name))),
    )


user_changes: st.SearchStrategy[Change] = st.one_of(
    st.builds(model.Set, st.sampled_from(SINGLE), texts),
    st.builds(model.Set, st.sampled_from(DAYS), days),
    st.builds(model.Set, st.just(At("payroll", urn=DITIO)), st.sampled_from(["0", "1", "2"])),
    st.builds(model.Set, st.just(At("active")), st.booleans()),
    st.builds(model.Clear, st.sampled_from([*SINGLE, *DAYS, At("active"), At("name"), At("userName")])),
    st.builds(
        model.Merge,
        st.just("name"),
        st.dictionaries(st.sampled_from(["givenName", "familyName", "formatted"]), texts, min_size=1, max_size=2),
    ),
    st.builds(model.SetManager, ids),
    st.just(model.Clear(At("manager", urn=ENTERPRISE))),
    st.builds(model.ClearExtension, st.sampled_from([ENTERPRISE, DITIO])),
    st.sampled_from(
        [
            model.Unknown("shoeSize", 44),
            model.Unknown("urn:ietf:params:scim:schemas:extension:other:2.0:User:badge", "7"),
            model.Unknown(f"{DITIO}:deliveryState", "held"),
        ]
    ),
    *(changes_of(name) for name in [*parts_of, "emails", "phoneNumbers", "roles"]),
)
group_changes: st.SearchStrategy[Change] = st.one_of(
    st.builds(model.Set, st.just(At("displayName")), texts),
    st.builds(model.Set, st.just(At("externalId")), texts),
    st.builds(model.Clear, st.sampled_from([At("displayName"), At("externalId"), At("members")])),
    st.builds(model.SetList, st.just("members"), members),
    st.builds(model.AddEntries, st.just("members"), members.filter(bool)),
    st.builds(model.AddEntries, st.just("members"), members.filter(bool)),
    st.builds(model.RemoveListed, st.just("members"), members.filter(bool)),
    st.builds(model.RemoveListed, st.just("members"), members.filter(bool)),
    st.builds(model.DropEntries, st.just("members"), ids.map(lambda id: {"value": id})),
)


@dataclass(frozen=True)
class Said:
    """A change, and how a client says it."""

    change: Change
    spelling: Spelling


def said(changes: st.SearchStrategy[Change], dialects: Sequence[str]) -> st.SearchStrategy[list[Said]]:
    """A sequence of changes, each in one of the spellings of its dialect."""

    @st.composite
    def one(draw: st.DrawFn) -> Said:
        change = draw(changes)
        return Said(change, draw(st.sampled_from(DIALECTS[draw(st.sampled_from(dialects))](change))))

    return st.lists(one(), min_size=1, max_size=7)


@dataclass
class Client:
    """Patches one resource, and compares what became of it with what the operations say."""

    scim: Scim
    clock: Clock
    kind: str
    document: Document
    """What is expected."""

    def __post_init__(self) -> None:
        # Every client has a tenant, so that the same userName serves many times.
        self.tenant = f"t-{uuid.uuid4()}"
        self.base = f"/tenants/{self.tenant}/scim/v2"
        self.schema = CORE if self.kind == "Users" else GROUP
        self.document = model.tidied(self.document)
        self.http = self.scim.app.test_client()
        created = self.send("POST", f"/{self.kind}", self.document)
        assert created.status_code == 201, created.text
        self.id = created.json["id"]
        self.meta = created.json["meta"]
        self.compare()

    def patches(self, spellings: Sequence[Spelling], changes: Sequence[Change]) -> None:
        """One request, and what it leaves."""
        states: list[Document] | None = [self.document]
        try:
            for change in changes:
                states.append(model.applied(states[-1], change))
        except model.Refused:
            states = None
        except model.Ambiguous:
            return
        self.clock.passes(seconds=1)
        body = {"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": operations(spellings)}
        answer = self.send("PATCH", f"/{self.kind}/{self.id}", body)
        told = f"{body['Operations']} on {self.document}"
        assert answer.status_code == (400 if states is None else 200), f"{answer.text} to {told}"
        before = self.document
        self.document = states[-1] if states else before
        has_changed = model.normal(before) != model.normal(self.document)
        # Operations may undo each other: whether that is a change is another question.
        may_change = has_changed or any(model.normal(before) != model.normal(each) for each in states or ())
        self.compare(has_changed=has_changed, may_change=may_change, told=told)
        if states:
            read = self.read()
            if self.kind == "Groups" and "members" not in answer.json:
                # Told are only members that the request named, and then all of them.
                read.pop("members", None)
            assert model.normal(answer.json) == model.normal(read), told
            assert answer.headers["ETag"] == self.meta["version"]

    def compare(self, *, has_changed: bool = False, may_change: bool = False, told: str = "") -> None:
        """What is read and what is stored is expected; the version grows exactly when something has changed."""
        read = self.read()
        meta, earlier = read.pop("meta"), self.meta
        assert read.pop("id") == self.id
        extensions = [urn for urn in (ENTERPRISE, DITIO) if urn in self.document]
        assert read.pop("schemas") == [self.schema, *extensions], told
        assert model.normal(read) == model.normal(self.document), told
        stored = self._stored()
        assert stored.pop("schemas") == [self.schema, *extensions], told
        assert model.normal(stored) == model.normal(self.document), told
        grown = _number(meta) - _number(earlier)
        assert grown in {has_changed, may_change}, told
        assert (meta["lastModified"] > earlier["lastModified"]) is bool(grown), told
        assert grown or meta == earlier
        assert meta["created"] == earlier["created"]
        self.meta = meta

    def read(self) -> Any:
        return self.send("GET", f"/{self.kind}/{self.id}").json

    def _stored(self) -> Any:
        with self.scim.database.read() as s:
            query = select(resources.c.document).where(resources.c.tenant == self.tenant, resources.c.id == self.id)
            return json.loads(s.connection.execute(query).scalar_one())

    def send(self, method: str, path: str, body: Any = None) -> Any:
        # Flask's client would sort the keys, and their order is what is tested.
        more = {} if body is None else {"data": json.dumps(body), "content_type": "application/scim+json"}
        headers = {"Authorization": f"Bearer {self.scim.token}"}
        return self.http.open(f"{self.base}{path}", method=method, headers=headers, **more)


def _number(meta: Document) -> int:
    return int(meta["version"].removeprefix('W/"').removesuffix('"'))


def whole(document: Document, kind: str) -> list[Change]:
    """The changes that write what is there already."""
    changes: list[Change] = []
    for name, value in document.items():
        if name in (ENTERPRISE, DITIO):
            for part, item in value.items():
                manager = model.SetManager(item["value"]) if part == "manager" else None
                changes.append(manager or model.Set(At(part, urn=name), item))
        elif isinstance(value, list):
            changes += [model.SetList(name, value[::-1]), model.AddEntries(name, value[:1])]
        elif isinstance(value, dict):
            changes.append(model.Merge(name, value))
        elif value != "":
            changes.append(model.Set(At(name), value))
    return changes


many = settings(
    max_examples=either(20, 8),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
DIALECT_SETS = pytest.mark.parametrize(
    "dialects", [["today"], ["flagged"], ["plain"], ["today", "flagged", "plain"]], ids=lambda names: "-".join(names)
)


def run(scim: Scim, clock: Clock, kind: str, start: Document, sequence: list[Said], dialects: Sequence[str]) -> None:
    """The sequence one by one, in one request, again, and then what is there already."""
    stepwise, at_once, bystander = (Client(scim, clock, kind, start) for _ in range(3))
    for step in sequence:
        stepwise.patches([step.spelling], [step.change])
    for _ in range(2):
        at_once.patches([step.spelling for step in sequence], [step.change for step in sequence])
    current = whole(at_once.document, kind)
    version = at_once.meta["version"]
    for dialect in dialects:
        # A request has a bounded number of operations.
        for some in (current[start : start + 8] for start in range(0, len(current), 8)):
            at_once.patches([DIALECTS[dialect](change)[0] for change in some], some)
    assert at_once.meta["version"] == version
    bystander.compare()


@DIALECT_SETS
@given(data=st.data(), start=users)
@many
def test_a_user_is_what_the_operations_say(scim, clock, dialects, data, start):
    """RFC 7644 §3.5.2 and Entra's dialects: applied one by one or in one request, the document is the same."""
    run(scim, clock, "Users", start, data.draw(said(user_changes, dialects)), dialects)


@DIALECT_SETS
@given(data=st.data(), start=groups)
@many
def test_a_group_has_the_members_that_the_operations_say(scim, clock, dialects, data, start):
    """Members come and go in batches: added, listed in a remove, selected by a filter, replaced."""
    run(scim, clock, "Groups", start, data.draw(said(group_changes, dialects)), dialects)


@pytest.mark.parametrize(
    "said", [{"op": "Replace", "path": "emails", "value": []}, {"op": "replace", "value": {"emails": []}}]
)
def test_an_empty_list_replaces_all_entries_and_adds_none(scim, clock, said):
    """RFC 7643 §2.5: an empty list is unassigned; where there is nothing, that is no change."""
    client = Client(scim, clock, "Users", {"userName": "kari", "emails": [{"value": "a@x.no"}]})

    client.patches([[{**said, "op": "add"}]], [model.AddEntries("emails", [])])
    assert client.meta["version"] == 'W/"1"'
    for _ in range(2):
        client.patches([[said]], [model.SetList("emails", [])])
        assert client.meta["version"] == 'W/"2"'


def test_an_entry_that_is_listed_twice_is_added_once(scim, clock):
    """RFC 7644 §3.5.2.1: what is there already is not added, be it from the same value."""
    client = Client(scim, clock, "Groups", {"displayName": "Crew", "members": [{"value": "a"}]})

    many_times = [{"value": each} for each in ("b", "a", "b", "c", "b")]
    client.patches([[{"op": "Add", "path": "members", "value": many_times}]], [model.AddEntries("members", many_times)])
    assert client.document["members"] == client.read()["members"] == [{"value": each} for each in "abc"]


def test_what_a_resource_cannot_be_without_is_not_emptied_in_passing(scim, clock):
    """RFC 7644 §3.5.2.2, §3.5.2.3: whether by a remove or by `""`, and also where a later operation fills it again."""
    client = Client(scim, clock, "Users", {"userName": "kari"})
    filled = model.Set(At("userName"), "ola")

    for spelling in DIALECTS["today"](model.Clear(At("userName"))) + DIALECTS["flagged"](model.Clear(At("userName"))):
        client.patches([spelling, *DIALECTS["today"](filled)[:1]], [model.Clear(At("userName")), filled])
    assert client.meta["version"] == 'W/"1"'


@DIALECT_SETS
def test_operations_that_undo_each_other_are_no_change(scim, clock, dialects):
    """The version grows exactly when something has changed, however many operations said so."""
    client = Client(scim, clock, "Users", {"userName": "kari", "title": "Fører", "emails": [{"value": "a@x.no"}]})
    at = At("title")
    changes = [model.Set(at, "Formann"), model.Clear(At("emails")), model.Set(at, "Fører")]
    changes.append(model.AddEntries("emails", [{"value": "a@x.no"}]))
    for dialect in dialects:
        client.patches([DIALECTS[dialect](change)[0] for change in changes], changes)
        assert client.meta["version"] == 'W/"1"'


LAST = [
    {"op": "replace", "path": "emails[", "value": "x"},
    {"op": "remove"},
    {"op": "move", "path": "displayName", "value": "x"},
    {"op": "add", "path": "displayName"},
    {"op": "replace", "path": "displayName", "value": {"given": "x"}},
    {"op": "replace", "path": "displayName", "value": "a\x00b"},
    {"op": "replace", "value": "x"},
    {"op": "add", "path": "externalId", "value": ["a", "b"]},
    "replace",
]
"""Operations that no resource can be given, whatever came before them."""
USERS_LAST = [
    *LAST,
    {"op": "Replace", "path": "active", "value": "perhaps"},
    {"op": "Replace", "path": "userName", "value": ""},
    {"op": "Replace", "path": "userName", "value": " "},
    {"op": "remove", "path": "userName"},
    {"op": "replace", "value": {"title": "x", "userName": None}},
    {"op": "Replace", "path": "userName", "value": "OLA"},
]
GROUPS_LAST = [*LAST, {"op": "remove", "path": "displayName"}, {"op": "Replace", "path": "displayName", "value": ""}]


@pytest.mark.parametrize("kind", ["Users", "Groups"])
@given(data=st.data())
@many
def test_a_request_whose_last_operation_is_invalid_changes_nothing(scim, clock, kind, data):
    """RFC 7644 §3.5.2: after "an error condition, the original SCIM resource MUST be restored"."""
    start, changes, last = (
        (users, user_changes, USERS_LAST) if kind == "Users" else (groups, group_changes, GROUPS_LAST)
    )
    client = Client(scim, clock, kind, data.draw(start))
    assert client.send("POST", "/Users", {"userName": "ola"}).status_code == 201
    sequence = data.draw(said(changes, list(DIALECTS)))
    told = len(scim.intake.told)
    clock.passes(seconds=1)

    before = operations([each.spelling for each in sequence])
    invalid = data.draw(st.sampled_from(last))
    answer = client.send("PATCH", f"/{kind}/{client.id}", {"Operations": [*before, invalid]})

    assert answer.status_code == (409 if "OLA" in str(invalid) else 400) or _is_refused(client.document, sequence)
    assert answer.status_code in (400, 409)
    assert answer.json["detail"]
    client.compare()
    assert len(scim.intake.told) == told


def _is_refused(document: Document, sequence: list[Said]) -> bool:
    """Whether it is an earlier operation that is invalid."""
    try:
        for step in sequence:
            document = model.applied(document, step.change)
    except (model.Refused, model.Ambiguous):
        return True
    return False

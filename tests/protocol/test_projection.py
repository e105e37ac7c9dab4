"""What of a resource is answered: `attributes` and `excludedAttributes` (RFC 7644 §3.9)."""

import copy
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert

from scim_bridge.storage.tables import people
from tests.protocol.conftest import Scim
from tests.thorough import either

CORE = "urn:ietf:params:scim:schemas:core:2.0:User"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
DITIO = "urn:ietf:params:scim:schemas:extension:ditio:2.0:User"
ALWAYS = ("schemas", "id")
"""RFC 7643 §7: `returned` is `always` for `id`; and a resource without `schemas` is none (§3)."""

KARI = {
    "schemas": [CORE, ENTERPRISE, DITIO],
    "userName": "kari",
    "externalId": "e-1",
    "displayName": "Kari",
    "active": True,
    "title": "",
    "name": {"givenName": "Kari", "familyName": "Nordmann"},
    "emails": [{"value": "a@x.no", "type": "work", "primary": True}, {"value": "b@x.no"}, {"type": "home"}],
    "phoneNumbers": [{"value": "1", "type": "mobile"}],
    ENTERPRISE: {"employeeNumber": "1042", "department": "Anlegg", "manager": {"value": "m-1"}},
    DITIO: {"birthDate": "1990-05-15", "payroll": "1"},
}

PATHS = [
    *("id", "schemas", "meta", "meta.version", "meta.resourceType", "userName", "externalId", "title", "active"),
    *("name", "name.givenName", "name.formatted", "emails", "emails.value", "emails.type", "emails.primary"),
    *("phoneNumbers", "phoneNumbers.display", "addresses", "roles.value", "groups", ENTERPRISE, DITIO),
    *(f"{ENTERPRISE}:{name}" for name in ("department", "division", "manager", "manager.value", "manager.$ref")),
    *(f"{DITIO}:{name}" for name in ("birthDate", "deliveryState", "deliveryDetail", "deliveredAt")),
    # Nobody declares these: they name nothing, and are ignored.
    *("shoeSize", "name.nick", "members", "urn:ietf:params:scim:schemas:extension:other:2.0:User:badge"),
]


def spellings(path: str) -> list[str]:
    """The same in other letters, and with the schema's URN before an attribute of the resource (§3.10)."""
    whole = path if path.startswith("urn:") else f"{CORE}:{path}"
    return [path, path.swapcase(), path.lower(), whole]


paths = st.lists(st.sampled_from([each for path in PATHS for each in spellings(path)]), min_size=1, max_size=4)


def only(full: dict[str, Any], names: list[str]) -> dict[str, Any]:
    """A resource with nothing but these attributes, and what is always returned."""
    kept: dict[str, Any] = {name: full[name] for name in ALWAYS}
    for urn, name, part in map(_split, names):
        source = full if urn is None else full.get(urn, {})
        target = kept if urn is None else kept.setdefault(urn, {})
        for key in _keys(source, name):
            value = copy.deepcopy(source[key])
            target[key] = value if part is None else _merged(target.get(key), _parts(value, part.__eq__))
    return _tidied(kept)


def without(full: dict[str, Any], names: list[str]) -> dict[str, Any]:
    """A resource without these attributes; what is always returned stays."""
    kept = copy.deepcopy(full)
    for urn, name, part in map(_split, names):
        holder = kept if urn is None else kept.get(urn, {})
        for key in _keys(holder, name):
            if part is not None:
                holder[key] = _parts(holder[key], part.__ne__)
            elif urn is not None or key not in ALWAYS:
                del holder[key]
    return _tidied(kept)


def _split(path: str) -> tuple[str | None, str | None, str | None]:
    """URN, attribute and part of a path, in lower case; no attribute for a whole extension."""
    urn = next((each for each in (ENTERPRISE, DITIO, CORE) if path.lower().startswith(each.lower())), None)
    rest = path[len(urn) + 1 :] if urn else path
    name, _, part = rest.lower().partition(".") if not rest.lower().startswith("urn:") else (rest.lower(), "", "")
    return (None if urn == CORE else urn), name or None, part or None


def _keys(source: dict[str, Any], name: str | None) -> list[str]:
    return [key for key in source if name is None or key.lower() == name]


def _parts(value: Any, is_kept: Callable[[str], bool]) -> Any:
    if isinstance(value, list):
        return [_parts(each, is_kept) for each in value]
    return {key: item for key, item in value.items() if is_kept(key.lower())} if isinstance(value, dict) else {}


def _merged(one: Any, other: Any) -> Any:
    """Two parts of a value that were both asked for; the whole, asked for before, has them already."""
    if isinstance(one, list) and isinstance(other, list):
        return [{**a, **b} for a, b in zip(one, other, strict=True)]
    return {**one, **other} if isinstance(one, dict) else other


def _tidied(resource: dict[str, Any]) -> dict[str, Any]:
    """Without what nothing is left of; `schemas` lists what there are attributes of."""
    tidy = {}
    for name, value in resource.items():
        if isinstance(value, dict):
            value = {key: item for key, item in value.items() if item not in ({}, [])}
        elif isinstance(value, list):
            value = [each for each in value if each != {}]
        if value not in ({}, []):
            tidy[name] = value
    tidy["schemas"] = [urn for urn in resource["schemas"] if urn == CORE or urn in tidy]
    return tidy


def delivered(scim: Scim, user: Any, tenant: str = "default", **more: Any) -> None:
    """The user has a person, whose delivery is held."""
    with scim.database.write() as s:
        now = s.now
        person = {"tenant": tenant, "id": user["id"], "user_id": user["id"], "active": True, "created_at": now}
        held = {"state": "held", "detail": "no phone", "state_since": now, "delivered_at": now}
        s.connection.execute(insert(people).values(**person, **{**held, **more}))


class Asking:
    """Every operation that answers with a resource, on one user."""

    def __init__(self, scim: Scim) -> None:
        self.base = f"/tenants/t-{uuid.uuid4()}/scim/v2"
        self._scim = scim
        self.user = self.send("POST", "/Users", json=KARI).json
        delivered(scim, self.user, self.base.split("/")[2])
        self.path = f"/Users/{self.user['id']}"
        self.full = self.send("GET", self.path).json

    def send(self, method: str, path: str, **more: Any) -> Any:
        return self._scim.send(method, path, base=self.base, **more)

    def answers(self, parameters: dict[str, str]) -> Iterator[tuple[str, Any]]:
        """What is answered, whichever way the user is asked for or written without a change."""
        same = {"op": "replace", "path": "userName", "value": "kari"}
        search = {"filter": 'userName eq "kari"', **parameters}
        sent = {name: value.split(",") for name, value in parameters.items()}
        yield "GET", self.send("GET", self.path, query_string=parameters)
        yield "list", self.send("GET", "/Users", query_string=search)
        yield "root", self.send("GET", "/", query_string=search)
        yield "search", self.send("POST", "/Users/.search", json={**search, **sent})
        yield "search of all", self.send("POST", "/.search", json={**search, **sent})
        yield "PATCH", self.send("PATCH", self.path, json={"Operations": [same]}, query_string=parameters)
        yield "PUT", self.send("PUT", self.path, json=KARI, query_string=parameters)

    def resources(self, parameters: dict[str, str]) -> Iterator[tuple[str, dict[str, Any]]]:
        """The resource of each answer."""
        for way, answer in self.answers(parameters):
            assert answer.status_code == 200, f"{way}: {answer.text}"
            yield way, answer.json["Resources"][0] if "Resources" in answer.json else answer.json


examples = settings(
    max_examples=either(40, 12), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@given(asked=paths)
@examples
def test_only_what_is_asked_for_is_answered(scim, asked):
    """RFC 7644 §3.9 `attributes`: on any operation that returns a resource; unknown names ask for nothing."""
    asking = Asking(scim)
    for way, resource in asking.resources({"attributes": ",".join(asked)}):
        assert resource == only(asking.full, asked), way


@given(excluded=paths)
@examples
def test_what_is_excluded_is_left_out(scim, excluded):
    """RFC 7644 §3.9 `excludedAttributes`: "no effect" on what is always returned."""
    asking = Asking(scim)
    for way, resource in asking.resources({"excludedAttributes": ",".join(excluded)}):
        assert resource == without(asking.full, excluded), way


def test_what_is_created_is_answered_in_part_too(scim):
    """RFC 7644 §3.9: "on any operation that returns a resource"; the location and the ETag are told all the same."""
    for number, (parameters, only_rows) in enumerate(
        [
            ({"attributes": f"userName,emails.type,{DITIO}:payroll"}, only),
            ({"excludedAttributes": f"emails,name.givenName,{ENTERPRISE}"}, without),
        ]
    ):
        answer = scim.send("POST", "/Users", json={**KARI, "userName": f"kari-{number}"}, query_string=parameters)
        assert answer.status_code == 201
        full = scim.send("GET", f"/Users/{answer.json['id']}").json
        assert answer.json == only_rows(full, next(iter(parameters.values())).split(","))
        assert answer.headers["Location"] == full["meta"]["location"]
        assert answer.headers["ETag"] == full["meta"]["version"]


def test_the_whole_core_schema_may_be_asked_for(scim):
    """A schema's URN alone names all its attributes: those of the resource itself, too."""
    asking = Asking(scim)
    for way, resource in asking.resources({"attributes": CORE}):
        full = {name: value for name, value in asking.full.items() if name not in (ENTERPRISE, DITIO)}
        resource.pop("meta", None)  # A common attribute, of no schema (RFC 7643 §3.1): told or not.
        full.pop("meta")
        assert resource == {**full, "schemas": [CORE]}, way


def test_the_whole_core_schema_may_be_left_out(scim):
    """The same of `excludedAttributes`: what is left is the extensions, and what every resource has."""
    asking = Asking(scim)
    for way, resource in asking.resources({"excludedAttributes": CORE}):
        kept = {name: asking.full[name] for name in ("schemas", "id", "externalId", "meta", ENTERPRISE, DITIO)}
        assert resource == kept, way


@pytest.mark.parametrize("name", ["attributes", "excludedAttributes"])
@pytest.mark.parametrize("value", ['emails[type eq "work"]', "a b", "name..givenName", "emails.", ",userName;"])
def test_what_is_no_name_is_refused(scim, name, value):
    """RFC 7644 §3.9 wants names in the notation of §3.10: a malformed one is 400, and nothing is written."""
    asking = Asking(scim)
    for way, answer in asking.answers({name: value}):
        assert answer.status_code == 400, way
    changed = {"op": "replace", "path": "title", "value": "new"}
    assert (
        asking.send("PATCH", asking.path, json={"Operations": [changed]}, query_string={name: value}).status_code == 400
    )
    assert asking.send("GET", asking.path).json == asking.full


def test_both_at_once_are_refused_and_neither_is_nothing(scim):
    """RFC 7644 §3.9: "mutually exclusive"; an empty list asks for what is answered anyway."""
    asking = Asking(scim)
    for _, answer in asking.answers({"attributes": "userName", "excludedAttributes": "title"}):
        assert answer.status_code == 400
    for name in ("attributes", "excludedAttributes"):
        assert asking.send("GET", asking.path, query_string={name: ""}).json == asking.full
        assert asking.send("GET", asking.path, query_string={name: " , "}).json == asking.full


def test_a_group_is_answered_without_its_members(scim):
    """Entra matches groups with `excludedAttributes=members`."""
    sent = {"displayName": "Crew", "members": [{"value": "a", "type": "User"}, {"value": "b"}]}
    group = scim.send("POST", "/Groups", json=sent).json
    path = f"/Groups/{group['id']}"

    def answered(**parameters):
        query = {"filter": 'displayName eq "crew"', **parameters}
        (found,) = scim.send("GET", "/Groups", query_string=query).json["Resources"]
        assert found == scim.send("GET", path, query_string=parameters).json
        return {name: value for name, value in found.items() if name not in ("schemas", "id", "meta")}

    assert answered(excludedAttributes="Members") == {"displayName": "Crew"}
    assert answered(attributes="members.value") == {"members": [{"value": "a"}, {"value": "b"}]}
    assert answered(excludedAttributes="members.value") == {"displayName": "Crew", "members": [{"type": "User"}]}
    removal = {"op": "remove", "path": 'members[value eq "b"]'}
    patched = scim.send("PATCH", path, json={"Operations": [removal]}, query_string={"attributes": "members"})
    assert patched.json["members"] == [{"value": "a", "type": "User"}]

"""Resources and filters of all kinds: what a client may store, and what it may ask."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from unicodedata import normalize

from hypothesis import strategies as st
from scim2_models import ScimFilter

from scim_bridge.scim.reading import CORE_URN, DITIO_URN, ENTERPRISE_URN

GROUP_URN = "urn:ietf:params:scim:schemas:core:2.0:Group"

LONG = "Å" * 600
"""Longer than what an index holds, also folded."""

TEXTS = [
    *("", "a", "A", "ab", "10", "2", "Work"),
    # Letters that SQLite's lower() doesn't know, decomposed and compatibility ones, and what folds oddly.
    *("Å", "å", "A\u030a", "\u212b", "ß", "ss", "SS", "İ", "i", "I", "ı", "i\u0307", "ſ", "Σ", "ς", "\u212a", "ﬁ"),
    # The wildcards, quotes and placeholders of SQL and JSON.
    *("%", "_", "a_b%", "z'\"\\", "'; --", "%s", "%(x)s", ":x", "$1", '"]}', "\\u0061", "\n\t"),
    # Beyond the basic plane, what orders oddly in UTF-16, a combining mark alone, and what no index holds.
    *("😀", "\uffee", "\u0301", LONG, LONG.lower(), LONG + "x"),
]
kinds = st.sampled_from(["work", "Work", "WORK", "home", ""])
IDS = ["a", "A", "Å", "å", "10", "%", "id-1", "ID-1", "z'\"\\", "😀"]

START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
MOMENTS = [START + timedelta(microseconds=each) for each in (0, 1, 1000, 500_000, 999_999, 1_000_000)]
"""When resources were made and changed: a microsecond, a millisecond, half a second apart."""

OPERATORS = ["eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le"]
EQUALITY = OPERATORS[:2]
ORDER = [*EQUALITY, *OPERATORS[5:]]

COMMON = ["id", "externalId", "displayName", "schemas", "meta.version", "meta.resourceType"]
USER_TEXT = [
    *COMMON,
    *("userName", "title", "preferredLanguage", "name.givenName", "name.familyName", "name"),
    *("emails", "emails.value", "emails.type", "emails.display", "phoneNumbers.value", "roles", "roles.type"),
    *("addresses.country", "addresses.streetAddress", "addresses", "ims.value", "groups", "groups.display"),
    *(f"{ENTERPRISE_URN}:{name}" for name in ("department", "division", "manager", "manager.value")),
    *(f"{DITIO_URN}:{name}" for name in ("birthDate", "payroll", "deliveryState", "deliveryDetail")),
]
USER_BOOLEAN = ["active", "emails.primary", "phoneNumbers.primary", "addresses.primary"]
USER_DATE = ["meta.created", "meta.lastModified", f"{DITIO_URN}:deliveredAt"]
USER_BINARY = ["x509Certificates", "x509Certificates.value"]
GROUP_TEXT = [*COMMON, "members", "members.value", "members.type", "members.display", "members.$ref"]
GROUP_DATE = USER_DATE[:2]
DELIVERY = [f"{DITIO_URN}:{name}" for name in ("deliveryState", "deliveryDetail", "deliveredAt")]

words = st.sampled_from([*OPERATORS, *OPERATORS, *(each.upper() for each in OPERATORS), "Eq", "nE", "sW"])
presence = st.sampled_from(["pr", "PR"])
zones = st.sampled_from([UTC, timezone(timedelta(hours=2)), timezone(-timedelta(hours=9, minutes=30))])
instants = st.one_of(
    st.builds(lambda moment, zone: moment.astimezone(zone).isoformat(), st.sampled_from(MOMENTS), zones),
    st.sampled_from(
        [
            *("2026-03-02T08:00:00Z", "2026-03-02T08:00:00.5Z", "2026-03-02T08:00:00.0000010Z", "2026-03-02t08:00:01z"),
            *("0001-01-01T00:00:00Z", "0999-12-31T23:59:59Z", "9999-12-31T23:59:59.999999Z"),
            # Beyond the calendar once they are in UTC; without a zone; a day alone.
            *("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-03-02T08:00:00", "2026-03-02"),
        ]
    ),
).map(ScimFilter.quote)


def _kept(text: str) -> str:
    """Text that can be stored: without NUL and half surrogate pairs (rule A7)."""
    return "".join(each for each in text if each != "\x00" and not "\ud800" <= each <= "\udfff")


vocabularies = st.lists(
    st.one_of(*[st.sampled_from(TEXTS)] * 4, st.text(max_size=3).map(_kept)), min_size=2, max_size=4
)
"""The few texts of one example, so that what is stored and what is asked meet."""


def spelled(paths: list[str], core: str) -> st.SearchStrategy[str]:
    """Names in any letters, and with the schema's URN before those of the resource itself (RFC 7644 §3.10)."""

    def spellings(path: str) -> list[str]:
        whole = path if path.startswith("urn:") else f"{core}:{path}"
        return [path, path, path.swapcase(), path.lower(), whole, whole.upper()]

    return st.sampled_from([each for path in paths for each in spellings(path)])


def entries_of(**parts: Any) -> st.SearchStrategy[list[dict[str, Any]]]:
    """A few entries, one primary at most, as the protocol demands."""
    return st.lists(st.fixed_dictionaries({}, optional=parts), min_size=1, max_size=3).filter(
        lambda found: sum(each.get("primary", False) for each in found) < 2
    )


@st.composite
def joined(draw: st.DrawFn, simple: st.SearchStrategy[str], *, depth: int) -> str:
    """Conditions joined by and, or, not, in any letters, and nested up to a depth."""
    shape = draw(st.sampled_from(["simple", "simple", "not", "both", "mixed"])) if depth else "simple"
    if shape == "simple":
        return draw(simple)
    nested = joined(simple, depth=depth - 1)
    if shape == "not":
        return f"{draw(st.sampled_from(['not ', 'NOT ', 'not']))}({draw(nested)})"
    either = draw(st.sampled_from(["and", "or", "AND", "Or"]))
    if shape == "both":
        return f"({draw(nested)}) {either} ({draw(nested)})"
    # Without brackets: `and` binds more tightly than `or`.
    other = draw(st.sampled_from(["and", "or"]))
    return f"{draw(simple)} {either} {draw(simple)} {other} ({draw(nested)})"


class Cases:
    """What may be stored and asked with a few texts."""

    def __init__(self, vocabulary: list[str]) -> None:
        self._texts = texts = st.sampled_from(vocabulary)
        quoted = texts.map(ScimFilter.quote)
        named = st.sampled_from(['"user0"', '"USER1"', '"held"', '"Group"', '"W/\\"1\\""', "null"])
        self._operands = st.one_of(*[quoted] * 5, st.sampled_from(IDS).map(ScimFilter.quote), named)
        plural = entries_of(value=texts, type=kinds, display=texts, primary=st.booleans())
        name = st.fixed_dictionaries({"givenName": texts}, optional={"familyName": texts})
        enterprise = {"department": texts, "manager": st.fixed_dictionaries({"value": texts})}
        self.users = st.fixed_dictionaries(
            {"title": texts},
            optional={
                **dict.fromkeys(["displayName", "externalId", "preferredLanguage"], texts),
                "active": st.booleans(),
                "name": name,
                **dict.fromkeys(["emails", "phoneNumbers", "roles"], plural),
                "addresses": entries_of(streetAddress=texts, country=texts, type=kinds, primary=st.booleans()),
                "x509Certificates": st.lists(st.sampled_from([{"value": "YQ=="}, {"value": "Yg=="}]), max_size=2),
                ENTERPRISE_URN: st.fixed_dictionaries({}, optional=enterprise),
                DITIO_URN: st.fixed_dictionaries({}, optional={"birthDate": texts, "payroll": texts}),
            },
        )
        members = entries_of(value=st.sampled_from(IDS), type=kinds, display=texts)
        self.groups = st.fixed_dictionaries({"displayName": texts}, optional={"externalId": texts, "members": members})
        self.deliveries = st.fixed_dictionaries(
            {"state": st.sampled_from(["delivered", "due", "held", "parked"])},
            optional={
                "detail": texts.map(lambda text: normalize("NFC", text)),
                "delivered_at": st.sampled_from(MOMENTS),
            },
        )
        """What is known of a user's person."""
        self.people = st.tuples(self.users, st.none() | self.deliveries)
        of_users = st.one_of(
            self._conditions(USER_TEXT, USER_DATE, CORE_URN),
            self._conditions(USER_TEXT, USER_DATE, CORE_URN),
            self._of_other_types(),
            *(self._selections(each, ["value", "type", "display"], CORE_URN) for each in ("emails", "phoneNumbers")),
            self._selections("addresses", ["country", "type"], CORE_URN),
            st.sampled_from(['schemas[value co "enterprise"]', 'schemas[not (value ew "user")]', "schemas[other pr]"]),
        )
        of_groups = st.one_of(
            self._conditions(GROUP_TEXT, GROUP_DATE, GROUP_URN),
            self._selections("members", ["value", "type", "display"], GROUP_URN),
            st.builds("members[value eq {}]".format, st.sampled_from(IDS).map(ScimFilter.quote)),
        )
        of_delivery = st.one_of(
            st.builds("{} {} {}".format, spelled(DELIVERY[:2], CORE_URN), words, self._operands),
            st.builds("{} {} {}".format, spelled(DELIVERY[2:], CORE_URN), st.sampled_from(ORDER), instants),
            st.builds("{} {}".format, spelled(DELIVERY, CORE_URN), presence),
        )
        self.user_filters = st.one_of(*[joined(of_users, depth=4)] * 2, joined(of_delivery, depth=3))
        self.group_filters = joined(of_groups, depth=4)
        self.filters = joined(st.one_of(of_users, of_groups, of_delivery), depth=4)

    def _conditions(self, text: list[str], date: list[str], core: str) -> st.SearchStrategy[str]:
        """One condition on an attribute: of its type, and now and then of another."""
        whole = "{} {} {}".format
        # Whatever of it has no meaning for the type is refused before the database is asked.
        odd = st.sampled_from(["5", "-1.5", "true", "null", '"true"', '""'])
        return st.one_of(
            *[st.builds(whole, spelled(text, core), words, self._operands)] * 8,
            st.builds(
                whole, spelled(date, core), st.sampled_from(ORDER), st.one_of(instants, instants, st.just("null"))
            ),
            st.builds("{} {}".format, spelled([*text, *date, "meta"], core), presence),
            st.builds(whole, spelled(text, core), st.sampled_from(["co", "sw", "eq", "ne", "gt"]), odd),
        )

    def _of_other_types(self) -> st.SearchStrategy[str]:
        whole = "{} {} {}".format
        equality, booleans = st.sampled_from(EQUALITY), st.sampled_from(["true", "false", "null", "TRUE"])
        return st.one_of(
            st.builds(whole, spelled(USER_BOOLEAN, CORE_URN), equality, booleans),
            st.builds("{} {}".format, spelled([*USER_BOOLEAN, *USER_BINARY], CORE_URN), presence),
            st.builds(whole, spelled(USER_BINARY, CORE_URN), equality, st.sampled_from(['"YQ=="', '"yq=="', "null"])),
        )

    def _selections(self, attribute: str, parts: list[str], core: str) -> st.SearchStrategy[str]:
        """`emails[…]`, and Entra's `emails[…].value eq "x"`."""
        names, inside = spelled([attribute], core), self._inside(parts, has_primary=attribute != "members")
        return st.one_of(
            st.builds("{}[{}]".format, names, inside),
            st.builds("{}[{}].{} {} {}".format, names, inside, st.sampled_from(parts), words, self._operands),
            st.builds('{}[type eq "{}"].{} {} {}'.format, names, kinds, st.just(parts[0]), words, self._operands),
        )

    def _inside(self, parts: list[str], *, has_primary: bool) -> st.SearchStrategy[str]:
        """What may stand in brackets."""
        names = st.sampled_from([*parts, *(part.upper() for part in parts)])
        flags = st.sampled_from(["primary eq true", "PRIMARY ne true", "primary pr", "primary eq null"])
        whole = st.builds("{} {} {}".format, names, words, st.one_of(self._operands, kinds.map(ScimFilter.quote)))
        found = [whole, whole, st.builds("{} {}".format, names, presence), *([flags] if has_primary else [])]
        return joined(st.one_of(found), depth=2)

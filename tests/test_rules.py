"""Every rule of the bridge that is claimed to hold is named by a test that shows it."""

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent

RULES: dict[str, str] = {
    "A1": "answered 2xx once document and due mark are committed; no transaction is open while Ditio is called",
    "A2": "4xx never for a document that stays, 5xx never for what a client sent; Ditio's trouble stays with us",
    "A3": "401 only for a credential that was examined and found wrong",
    "A4": "the inline budget belongs to the request; intake leases the due mark to it",
    "A5": "what equals the acknowledged state costs no call; a repeated write makes a held person due again",
    "A6": "values come back as they were sent",
    "A7": "unknown attributes are ignored and counted; malformed filters and paths are 400 with the cure",
    "A8": "case-insensitive lookups compare a key that is made in Python",
    "A9": "every text is bounded where it is read; nothing unescaped reaches a log; no company makes another wait",
    "P1": "a person joins a SCIM user and an employee; DELETE leaves a tombstone",
    "P2": "whoever is created again takes his former person over",
    "P3": "employee numbers and phones are claimed; the second is held, naming the first",
    "P4": "Ditio is searched before a create or a change of phone; numbers are exact",
    "P5": "a linked person never causes a live create",
    "P6": "what is about to be POSTed or renumbered is stored before",
    "P7": "hostile employee numbers are held as unusable",
    "H1": "read by number, then create, adopt or refuse",
    "H2": "nothing is created for an inactive user, unless a creation was never answered",
    "H3": "a required value that is missing holds or refuses",
    "H4": "start and payroll have defaults; a birth date is never invented",
    "H5": "owners: entra, seed, ditio; a defaulted value is never compared; adoption clears nothing",
    "C1": "only differences are sent, in their order",
    "C2": "what counts as equal; Ditio's own form; two rounds",
    "C3": "a required value that vanishes keeps what was acknowledged; sources are followed",
    "C4": "login and employment follow Entra's edges; the rest converges",
    "C5": "just after a write what was acknowledged stands in for what is read",
    "L1": "days are decided once, at intake, in the company's time zone",
    "L2": "`active` decides the login, dates the employment",
    "L3": "dates that are left over are ignored and named",
    "L4": "returning: the same person, a new employment",
    "L5": "an employment ends at once, or after its last day",
    "L6": "an ending is never refused nor undone; each step is tried; no date is moved",
    "L7": "DELETE is an ending; a leaver's profile is kept in step; nothing is ever deleted",
    "L8": "too many endings, changes of login or creations within an hour are held; release and drop",
    "R1": "what Ditio refuses is reported or parked with its words; `no-operation` is no refusal",
    "R2": "401: renewed once, repeated once",
    "R3": "transient faults back off and nobody is dropped",
    "R4": "a POST is never repeated blindly",
    "D1": "one delivery for a person at a time",
    "D2": "one breaker for a tenant, shared by all processes; one probe at a time; fair leasing",
    "D3": "held, parked and due, with their reasons",
    "D4": "pausing a tenant, by setting or command",
    "D5": "every attempt is one row of history",
    "D6": "hands off a person, until a day or until that is cleared",
    "D7": "readiness, migrations, and how the databases are set",
    "Q1": "causes, by what is wanted, found and acknowledged; what is found as wanted is acknowledged",
    "Q2": "which kinds are repaired, which only from a reviewed plan, and which are only listed",
    "Q3": "a drift mark carries its scope: sent only while both sides are as the plan saw them",
    "Q4": "guards stop a run before anything is sent; only a reviewed plan goes on",
    "Q5": "a stored plan is immutable, but for erasure and age; a run that dies leaves no lock",
    "K1": "one ledger of certificates for three ways in; the newest counts, and the loser is told",
    "K2": "certificates follow the employee, to another number and to a return, and wait for who is not there",
    "K3": "certificate drift is wanted and not acknowledged; what agrees is sent again after a while",
    "K4": "a refused batch is bisected, a hopeless one is parked as one",
    "K5": "withdrawing a certificate; a certificate without an end",
    "K6": "a certificate's day goes out unshifted",
    "T1": "which texts are which days",
}

NOT_YET: dict[str, str] = {
    "G1": "erasing a person",
}
"""Rules that this version does not keep yet, or keeps in part; those who builds one moves it up."""

_NAMED = re.compile(r"\b[ACDGHKLPQRT]\d\b")


def named_rules() -> dict[str, list[str]]:
    """Rule → the tests that name it, in their docstring or in their name."""
    found: dict[str, list[str]] = {}
    for path in sorted(TESTS.rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                text = f"{ast.get_docstring(node) or ''} {node.name.upper().replace('_', ' ')}"
                for rule in set(_NAMED.findall(text)):
                    found.setdefault(rule, []).append(f"{path.relative_to(TESTS)}::{node.name}")
    return found


@pytest.fixture(scope="module")
def named() -> dict[str, list[str]]:
    return named_rules()


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_that_is_claimed_is_named_by_a_test(named: dict[str, list[str]], rule: str):
    """Of every rule that this version keeps there is a test that says so."""
    assert named.get(rule), f"no test names {rule}: {RULES[rule]}"


def test_no_test_names_a_rule_that_does_not_exist(named: dict[str, list[str]]):
    """A slip of the pen would let a rule look tested."""
    assert {rule: tests for rule, tests in named.items() if rule not in RULES | NOT_YET} == {}


def test_what_is_not_built_yet_is_claimed_nowhere():
    """A rule is kept or it is not."""
    assert set(RULES) & set(NOT_YET) == set()

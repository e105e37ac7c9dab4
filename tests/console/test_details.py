"""What the bridge stored in English is told in Norwegian: each sentence of the code, and whole texts on the pages."""

import re
from typing import Any

import pytest
from flask import Flask, g

from scim_bridge.domain.outcome import Reason
from scim_bridge.reconcile.report import Request
from scim_bridge.storage.database import Database
from scim_bridge.web.console import details
from tests.conftest import Clock
from tests.console import sentences
from tests.console.company import SETTINGS, fill
from tests.console.conftest import SignsIn, person_id
from tests.world import World

MADE_OF_WORDS = {
    # A word, or words that are put together, which the code does not have as a sentence.
    "endings",
    "creations",
    "worker",
    "employee number {value}",
    "phone {value}",
    '{attribute} is "{shown}": {why}',
    "should-be-inactive: {text}",
    "its values were blanked",
    # Of checks: what they are about, and what stands in places.
    *("Ditio", "Entra", "clients", "clock", "companies", "database", "deliveries", "disk", "migrations", "notices"),
    *("settings", "tokens", "versions", "token", "client", "mail", "behind", "production", "test"),
    *("semicolons", "commas", "tabs", "{name} is {shown}: {why}"),
    # Why there is no preview: what is not found is an answer to a command elsewhere.
    "there is no preview: the person is not known, or Entra has deleted the user",
    "there is no preview: the person would be forgotten, because nothing is left to deliver",
}


def entries(kind: str) -> dict[str, str]:
    return {str(each.id): str(each.string) for each in details.catalogue(f"nb.{kind}") if each.id}


def test_every_sentence_is_translated_and_none_is_left_over():
    for kind, told in (("details", sentences.told()), ("checks", sentences.of_checks())):
        translated = set(entries(kind)) - MADE_OF_WORDS
        assert sorted(told - sentences.FOR_COMMANDS - translated) == []
        assert sorted(translated - told) == []
    assert sentences.told() | sentences.of_checks() >= sentences.FOR_COMMANDS


@pytest.mark.parametrize("kind", ["details", "checks"])
def test_a_translation_has_the_places_and_commands_of_its_sentence(kind: str):
    marks = re.compile(r"\{\w+\}|`[^`]+`")
    for source, said in entries(kind).items():
        assert said, source
        assert sorted(marks.findall(said)) == sorted(marks.findall(source)), source


def in_norwegian(text: str, kind: str = "details") -> str:
    with Flask(__name__).test_request_context():
        g.language = "nb"
        return str(details.detail(text, kind))


@pytest.mark.parametrize(
    ("stored", "told"),
    [
        (
            "phone is missing: map mobile to x in Entra's attribute mapping, and fill it in for this user",
            "Telefon mangler: tilordne mobile til x i attributtilordningen i Entra, og fyll det inn for denne brukeren",
        ),
        (
            "the ending is held by the guard: it would make 2 endings within an hour, more than "
            "DELIVERY__MAX_ENDED_PER_HOUR (1) and DELIVERY__MAX_ENDED_FRACTION (0.1 of 20 people at work) allow. "
            "Correct it in Entra if it is a mistake, send it with `outbox release`, or withdraw it with `outbox drop`",
            "avslutningen er holdt tilbake av vakten: det ville blitt 2 avslutninger i løpet av en time, flere enn "
            "DELIVERY__MAX_ENDED_PER_HOUR (1) og DELIVERY__MAX_ENDED_FRACTION (0.1 av 20 personer i arbeid) tillater. "
            "Er det en feil, rett det i Entra. Ellers send det med <code>outbox release</code>, eller trekk det "
            "tilbake med <code>outbox drop</code>",
        ),
        (
            "an operator stopped deliveries to this person until the end of 2026-04-01: nothing is sent, the end of "
            "employment included",
            "en operatør har stanset leveringene til denne personen til slutten av 1. apr. 2026: ingenting sendes, "
            "heller ikke slutten på ansettelsen",
        ),
        (
            "phone +4740000001 belongs to kari@bygg.example (employee 7): correct one of the two in Entra; kept by the "
            "operator",
            "telefonnummer +4740000001 tilhører kari@bygg.example (ansatt 7): rett en av de to i Entra; beholdt av "
            "operatøren",
        ),
        (
            'phoneNumbers[type eq "mobile"].value is "12": it is not a valid phone number: correct it in Entra, with '
            "its country code (+47 …)",
            "phoneNumbers[type eq &#34;mobile&#34;].value er «12»: det er ikke et gyldig telefonnummer: rett det i "
            "Entra, med landkode (+47 …)",
        ),
    ],
)
def test_a_stored_text_is_told_with_what_stands_in_its_places(stored: str, told: str):
    assert in_norwegian(stored) == told


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (
            "check that this machine can reach DITIO__API_URL (name server, firewall, proxy), and that it is right; if "
            "Ditio itself is down, wait: nothing is lost",
            "sjekk at denne maskinen når DITIO__API_URL (navnetjener, brannmur, proxy), og at den er riktig; vent hvis "
            "selve Ditio er nede: ingenting går tapt",
        ),
        (
            "if it is in use in Entra: `scim-bridge token issue --name Entra --tenant nord`, and paste it as Secret "
            "Token in Entra",
            "hvis det er i bruk i Entra: <code>scim-bridge token issue --name Entra --tenant nord</code>, og lim det "
            "inn som Secret Token i Entra",
        ),
        (
            'the certificate "Truck" of employee 7 comes from a CSV file (certificates import): number B-1, issued '
            "2026-01-15, valid until 2031-01-15. The newest issuedDateTime wins, then the later validUntilDateTime; on "
            "equal dates the stored one stays. Send a newer one, or correct it there",
            "kompetansebeviset «Truck» for ansatt 7 kommer fra en CSV-fil (certificates import): nummer B-1, utstedt "
            "15. jan. 2026, gyldig til 15. jan. 2031. Nyeste issuedDateTime vinner, så seneste validUntilDateTime; er "
            "datoene like, blir det lagrede stående. Send et nyere, eller rett det der",
        ),
        (
            "2 could not be sent by mail since 2026-01-15 07:00 UTC: the mail server mail.x.no:587 (starttls): it "
            "refused user name or password (535)",
            "2 kunne ikke sendes med e-post siden 2026-01-15 07:00 UTC: e-posttjeneren mail.x.no:587 (starttls): den "
            "avviste brukernavn eller passord (535)",
        ),
        (
            "1 could not be sent by webhook since 2026-01-15 07:00 UTC: the webhook answered 404: no_service",
            "1 kunne ikke sendes med webhook siden 2026-01-15 07:00 UTC: webhooken svarte 404: "
            '<span lang="en">no_service</span>',
        ),
        (
            "1 could not be sent by webhook since 2026-01-15 07:00 UTC: the webhook: no answer in time",
            "1 kunne ikke sendes med webhook siden 2026-01-15 07:00 UTC: webhooken: ikke svar i tide",
        ),
    ],
)
def test_what_a_check_found_is_told_with_the_commands_of_the_company(found: str, told: str):
    assert in_norwegian(found, "checks") == told


def test_the_short_sentences_of_checks_are_not_looked_for_in_words_of_others():
    """Ditio, too, may say that something is missing."""
    assert in_norwegian("Phone is missing") == '<span lang="en">Phone is missing</span>'
    assert in_norwegian("Phone is missing", "checks") == "Phone mangler"


@pytest.mark.parametrize(
    ("stored", "told"),
    [
        ("The <b>company</b> is closed.", '<span lang="en">The &lt;b&gt;company&lt;/b&gt; is closed.</span>'),
        (
            "employee 7: create: Ditio refused it (400, request r-1): Phone is not unique; try another",
            "ansatt 7: create: Ditio avviste det (400, forespørsel r-1): "
            '<span lang="en">Phone is not unique; try another</span>',
        ),
        ("Ask `me. Kept by ` nobody's rule", '<span lang="en">Ask <code>me. Kept by </code> nobody&#39;s rule</span>'),
        ("\ue000kept by the operator\ue001", '<span lang="en"> kept by the operator </span>'),
    ],
)
def test_words_of_others_stay_as_they_are_and_are_marked(stored: str, told: str):
    assert in_norwegian(stored) == told


@pytest.mark.parametrize("joint", ["; ", ": ", ". ", "{", "} is held by the guard: it would make ", "`"])
def test_a_text_of_very_many_parts_is_soon_told(joint: str):
    """No text that others have written keeps the page waiting: a thousand characters are the most that is stored."""
    text = (joint * 1000)[:1000]

    assert in_norwegian(text).count("<span") <= 1 + text.count("guard")


@pytest.fixture
def world(database: Database, clock: Clock) -> World:
    return World(database, clock, settings=SETTINGS)


def test_the_pages_of_a_company_have_no_english_sentence(world: World, signs_in: SignsIn):
    """Every state and cause, a plan, and a run that a guard stopped; only what others have said stays English."""
    people = fill(world)
    ids = {name: person_id(world, str(user.employee_id)) for name, user in people.items() if name != "refused"}
    world.clock.passes(hours=1)
    world.ditio.plant("77", phone="+4790000077")
    reconciliation = world.parts.reconciliations["default"]
    plan = reconciliation.run(Request()).run.id
    employees = dict(world.ditio.company.employees)
    world.ditio.company.employees.clear()
    stopped = reconciliation.run(Request()).run.id
    world.ditio.company.employees.update(employees)
    kari = signs_in()

    def page(path: str) -> Any:
        return kari.get(path, **{"Accept-Language": "nb"}).text

    paths = ["", "waiting", *(f"people/{each}" for each in ids.values()), f"drift/{plan}", f"drift/{stopped}"]
    paths += [f"waiting/held/{reason}" for reason in Reason] + [f"waiting/parked/{reason}" for reason in Reason]
    foreign = {found for path in paths for found in re.findall(r'<span lang="en">(.*?)</span>', page(path))}

    assert foreign == set()

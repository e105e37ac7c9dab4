"""The catalogues: every message of the console has its Norwegian, with the same places to fill."""

import re
from collections.abc import Iterator
from importlib.resources import files
from io import BytesIO
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_file
from babel.messages.pofile import read_po
from flask import Flask, g
from jinja2.ext import babel_extract

from scim_bridge.domain.outcome import BY_REASON, DUE
from scim_bridge.operator import first_day as steps
from scim_bridge.operator import history, person, quirks
from scim_bridge.operator.repair import WHY_NOT
from scim_bridge.operator.settings import shown
from scim_bridge.operator.waiting import CHANGES
from scim_bridge.reconcile.report import CAUSES
from scim_bridge.settings import Settings
from scim_bridge.web.console import audit, certificates, drift, first_day, repair, words
from scim_bridge.web.console.language import ngettext
from scim_bridge.web.console.pages import PAGES
from tests.console.conftest import SignsIn
from tests.world import World, a_user

FOLDER = Path(str(files("scim_bridge.web.console")))
KEYWORDS = {"_": None, "gettext": None, "ngettext": (1, 2)}


def messages() -> set[str | tuple[str, ...]]:
    """Every message: of the templates, of the code, and of the tables whose entries are translated."""
    return {*_written(), *_tabled()}


def _written() -> Iterator[str | tuple[str, ...]]:
    for path in sorted((FOLDER / "templates").glob("*.html")):
        for _, _, found, _ in babel_extract(BytesIO(path.read_bytes()), KEYWORDS, (), {"newstyle_gettext": "true"}):
            if found:
                ids = [found] if isinstance(found, str) else [each for each in found if each]
                yield ids[0] if len(ids) == 1 else (ids[0], ids[1])
    for path in sorted(FOLDER.glob("*.py")):
        for _, found, _, _ in extract_from_file("python", str(path), KEYWORDS):
            yield found


def _tabled() -> Iterator[str | tuple[str, ...]]:
    for explanation in (DUE, words.REFUSAL):
        yield from (explanation.meaning, explanation.cure)
    for reason, explanation in BY_REASON.items():
        yield from (explanation.meaning, words.CURES.get(reason, explanation.cure))
    for table in (words.STATES, words.REASONS, words.ROLES, words.FIELDS, words.SOURCES, CHANGES, person.SUPPLIED):
        yield from table.values()
    yield from quirks.MEANINGS.values()
    for table in (audit.ACTIONS, audit.ACTORS, audit.TYPES, certificates.WINDOWS, drift.KINDS, drift.SENTENCES, CAUSES):
        yield from table.values()
    yield from (said for said, _ in drift.ENDS.values())
    yield from (drift.NO_PLAN, *repair.EFFECTS.values(), *WHY_NOT, *first_day.BY.values(), *steps.WHY_NOT)
    for table in (history.SAID, history.ALSO, history.ASKED, history.ANSWERED, history.PATTERNS):
        yield from table.values()
    yield from words.NOTICES.values()
    yield from (page.title for page in PAGES if page.title)
    yield from (each.about for each in shown(Settings(), with_shared=True))


def catalogue() -> Catalog:
    with (FOLDER / "locale" / "nb.po").open("rb") as source:
        return read_po(source, locale="nb")


def test_every_message_is_translated_and_none_is_left_over():
    translated = {each.id if isinstance(each.id, str) else tuple(each.id) for each in catalogue() if each.id}

    assert sorted(map(str, messages() - translated)) == []
    assert sorted(map(str, translated - messages())) == []


def test_a_translation_has_the_places_of_its_message():
    """`%(name)s` and `{name}` that are missing, or too many, would fail while a page is shown."""
    places = re.compile(r"%\(\w+\)\w|\{\w+\}|`[^`]+`")
    for each in catalogue():
        if not each.id:
            continue
        ids = [each.id] if isinstance(each.id, str) else list(each.id)
        strings = [each.string] if isinstance(each.string, str) else list(each.string)
        assert all(strings), f"{ids} has no translation"
        for string in strings:
            assert set(places.findall(string)) == set(places.findall(ids[-1])), ids


@pytest.mark.parametrize(
    ("asked", "language"), [("nb-NO,nb;q=0.9,en;q=0.8", "nb"), ("no", "nb"), ("nn", "nb"), ("de", "en"), ("", "en")]
)
def test_the_browser_chooses_the_language(world: World, asked: str, language: str):
    told = world.app.test_client().get("/console/-/sign-in", headers={"Accept-Language": asked}).text

    assert f'<html lang="{language}">' in told
    assert ("Logg inn" in told) is (language == "nb")


@pytest.mark.parametrize(("language", "said"), [("en", "2,012 people"), ("nb", "2\N{NO-BREAK SPACE}012 personer")])
def test_a_large_number_is_written_as_people_write_it(language: str, said: str):
    with Flask(__name__).test_request_context():
        g.language = language
        assert ngettext("%(num)d person", "%(num)d people", 2012) == said


def test_a_person_may_choose_another_one(world: World, signs_in: SignsIn):
    world.provisions(a_user(mobile=None))
    kari = signs_in()

    answer = kari.get("/console/-/language/nb?next=/console/default/waiting", **{"Accept-Language": "en"})
    told = kari.get("waiting", **{"Accept-Language": "en"}).text

    assert answer.headers["Location"] == "/console/default/waiting"
    assert "Venter" in told
    assert "opplysninger mangler" in told
    assert kari.get("/console/-/language/xx").status_code == 404

"""Sentences that the bridge tells in English, as a page in another language tells them.

Why a person waits, why a row was skipped and why a guard stopped a run is stored as the commands print it. The
catalogue `*.details.po` has each sentence of the code that makes them, with its places in braces. A text that fits a
sentence is shown in the language of the reader, and so is what stands in its places. What fits none is not the
bridge's, such as Ditio's own words: it stays as it is, and is marked as English.

What checks find, such as those of the doctor and of a file, has shorter sentences, which the words of others could fit
too. So they have a catalogue of their own, `*.checks.po`, which is not used for a person.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache, lru_cache
from importlib.resources import files

from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po
from markupsafe import Markup

from scim_bridge.operator.commands import about_tenant
from scim_bridge.web.console import language, words

MOST_JOINTS = 20
"""A text of more parts than this is not the bridge's; it would take long to find out."""

MOST_REMEMBERED = 2000

_PLACE = re.compile(r"\{(\w+)\}")
_JOINT = re.compile(r"; |\. |: ")
_TENANT = re.compile(r" --tenant ([a-z0-9_-]+)`")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)

_SENTENCES = frozenset({"why", "error", "said", "printable", "words"})
"""The places for whole sentences; in all others stands a name, a number or a value."""

_NAMED: Mapping[str, Callable[[str], str]] = {"state": words.state, "reason": words.reason}
"""The places for names that the pages have words for."""

# No text that is stored has these: they are not printable.
_BEGIN, _END = "\ue000", "\ue001"
_MARKED = re.compile(f"({_BEGIN}.*?{_END})")


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence with places."""

    literals: Sequence[str]
    """What stands between the places."""

    form: re.Pattern[str]
    said: str
    """The same in the language of the reader."""

    @classmethod
    def of(cls, source: str, said: str) -> "Sentence":
        """Return the sentence of an entry of the catalogue."""
        parts = _PLACE.split(source)
        form = "".join(f"(?P<{part}>.*?)" if place % 2 else re.escape(part) for place, part in enumerate(parts))
        return cls(parts[::2], re.compile(form), said)

    def places(self, text: str) -> Mapping[str, str] | None:
        """Return what stands in the places of a text; None if it is another sentence."""
        if not (text.startswith(self.literals[0]) and text.endswith(self.literals[-1])):
            return None
        found = self.form.fullmatch(text) if all(each in text for each in self.literals) else None
        return None if found is None else found.groupdict()


@dataclass(frozen=True, slots=True)
class Sentences:
    """The sentences of a language, by their English."""

    without_places: Mapping[str, str]
    with_places: Sequence[Sentence]
    """Those with most words of their own first: they fit fewest texts."""


def catalogue(name: str) -> Catalog:
    """Return a catalogue such as `nb.details`, as its translators edit it."""
    path = files("scim_bridge.web.console").joinpath(f"locale/{name}.po")
    with path.open("rb") as source:
        return read_po(source, locale=name.partition(".")[0])


@cache
def sentences(name: str) -> Sentences:
    """Return the sentences of a catalogue; those of checks have those of details too."""
    names = dict.fromkeys((f"{name.partition('.')[0]}.details", name))
    entries = {str(each.id): str(each.string) for each_name in names for each in catalogue(each_name) if each.id}
    placed = [Sentence.of(*entry) for entry in entries.items() if _PLACE.search(entry[0])]
    placed.sort(key=lambda each: -sum(map(len, each.literals)))
    return Sentences({source: said for source, said in entries.items() if not _PLACE.search(source)}, placed)


def detail(text: str | None, kind: str = "details") -> Markup:
    """Return a text in the language of the request, with its commands marked as such.

    :param kind: The catalogue: `details` of a person or a run, `checks` of the doctor or a file.
    """
    if not text:
        return Markup("")
    code = language.current()
    if code == "en":
        return words.code(text)
    text = text.replace(_BEGIN, " ").replace(_END, " ")
    # The catalogue has the commands of the company without a name.
    tenant = _TENANT.search(text)
    told = _parts(f"{code}.{kind}", _TENANT.sub("`", text))
    if tenant is not None:
        told = about_tenant(tenant[1], told)
    # Parts that follow each other and are not the bridge's are one.
    told = re.sub(f"{_END}({_JOINT.pattern}){_BEGIN}", r"\1", told)
    return Markup("").join(
        Markup('<span lang="en">{}</span>').format(words.code(part[1:-1]))
        if part.startswith(_BEGIN)
        else words.code(part)
        for part in _MARKED.split(told)
    )


@lru_cache(maxsize=MOST_REMEMBERED)
def _parts(name: str, text: str) -> str:
    """Return a text, sentence by sentence, in a language; what is not the bridge's is marked."""
    joints = list(_JOINT.finditer(text))
    if len(joints) > MOST_JOINTS:
        return f"{_BEGIN}{text}{_END}"
    # A place may take in more than belongs there. The first of these ends that leaves nothing foreign is the right one.
    notes = [joint.start() for joint in joints if joint.group() == "; "]
    others = [joint.start() for joint in reversed(joints) if joint.group() != "; "]
    found: list[tuple[int, str]] = []
    for end in (len(text), *notes, *others):
        told = _told(name, text[:end])
        if told is not None and _BEGIN not in told:
            return _with_rest(name, text, end, told)
        if told is not None:
            found.append((end, told))
    end = joints[0].start() if joints else len(text)
    return _with_rest(name, text, *(found[0] if found else (end, f"{_BEGIN}{text[:end]}{_END}")))


def _with_rest(name: str, text: str, end: int, told: str) -> str:
    joint = _JOINT.match(text, end)
    return told if joint is None else f"{told}{joint.group()}{_parts(name, text[joint.end() :])}"


@lru_cache(maxsize=MOST_REMEMBERED)
def _told(name: str, text: str) -> str | None:
    """Return a sentence in a language; None if it is not the bridge's."""
    known = sentences(name)
    if text in known.without_places:
        return known.without_places[text]
    for each in known.with_places:
        places = each.places(text)
        if places is not None:
            begins = each.said.startswith("{")
            return each.said.format_map(
                {place: _in_place(name, place, value, begins=begins) for place, value in places.items()}
            )
    return None


def _in_place(catalogue: str, name: str, value: str, *, begins: bool) -> str:
    """Return what stands in a place. :param begins: Whether the sentence begins with a place."""
    if name == "field":
        said = words.field(value)
        return said if begins else said[:1].lower() + said[1:]
    if _DAY.fullmatch(value):
        return language.day(date.fromisoformat(value))
    told = _told(catalogue, value)
    if told is not None:
        return told
    if name in _NAMED:
        return _NAMED[name](value)
    return _parts(catalogue, value) if name in _SENTENCES or _JOINT.search(value) else value

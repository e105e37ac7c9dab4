"""Find people by what an operator knows of them: name, user name, number, phone or id; deleted users too."""

from collections.abc import Iterable
from dataclasses import dataclass

from scim_bridge.domain.employee import EmployeeNumber, Field
from scim_bridge.domain.outcome import Reason
from scim_bridge.domain.person import PersonId
from scim_bridge.domain.values import canonical, to_e164
from scim_bridge.errors import BridgeError, NotFound
from scim_bridge.scim.mapping import Rules, desired_from_user
from scim_bridge.scim.reading import name_of
from scim_bridge.storage.database import Session
from scim_bridge.storage.directory import Choice, Listed, department_of, folded
from scim_bridge.storage.people import PersonRecord
from scim_bridge.storage.refusals import REFUSED, RefusedWrite

MOST = 100
"""How many people one search returns: more words find fewer."""


@dataclass(frozen=True, slots=True)
class Found:
    """A person that a search found."""

    user_name: str | None
    employee_number: EmployeeNumber | str | None
    """The employee's number; for a person who is not linked yet, the one that Entra wants for them."""

    name: str | None
    state: str
    """The delivery state; `refused` if Entra's write that would have created the user was refused."""

    active: bool | None
    """Whether Entra's user is active: False for a deleted user, None for a refused one."""

    person_id: PersonId | None
    refused: RefusedWrite | None = None
    reason: Reason | None = None
    """Why the person is held or parked."""

    department: str | None = None


class Several(BridgeError):
    """A text fits several people."""

    def __init__(self, text: str, found: list[Found]) -> None:
        super().__init__(f"{len(found)} people fit {text!r}: name one by user name or employee number")
        self.found = found


def find(s: Session, rules: Rules, text: str) -> list[Found]:
    """Return people who fit a text: exact matches first, then names that contain each of its words.

    A number or phone that a person has exactly is not looked for in names: that takes long in a large company.
    """
    text = text.strip()
    if not text:
        return []
    phone, words = to_e164(text, rules.phone_region), folded(text).split()
    directory = s.directory
    exactly = directory.exactly(text, phone)
    is_number = not any(letter.isalpha() for letter in text)
    ids = [
        *exactly,
        *(() if exactly and is_number else directory.called(words, MOST)),
        *directory.deleted(lambda each: _fits(each, text, phone, words), MOST),
    ]
    listed = list(directory.of(list(dict.fromkeys(ids))))
    refused = [each for each in s.refused_writes.all() if each.user_id is None and _is_about(each, text, words)]
    return [*(found_of(each, s, rules) for each in listed), *map(_found_refused, refused)][:MOST]


PAGE = 50
"""How many people one page of a listing has."""


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a listing."""

    people: list[Found]
    next_after: PersonId | None
    """The last person, if more follow."""


def page(s: Session, rules: Rules, choice: Choice, *, after: PersonId | None = None) -> Page:
    """Return the next people of a company, by user name. :param after: The last person of the previous page."""
    ids = s.directory.page(choice, PAGE + 1, after=after)
    people = [found_of(each, s, rules) for each in s.directory.of(ids[:PAGE])]
    return Page(people, ids[PAGE - 1] if len(ids) > PAGE else None)


def chosen(found: Iterable[Found], choice: Choice) -> list[Found]:
    """Return those of the people that a search found that a choice has."""
    return [
        each
        for each in found
        if (choice.state is None or each.state == choice.state)
        and (choice.reason is None or each.reason is choice.reason)
        and (choice.department is None or folded(each.department or "") == folded(choice.department))
    ]


def resolve(s: Session, rules: Rules, text: str) -> PersonRecord | RefusedWrite:
    """Return the one person who fits a text. An employee number or user name always names one.

    :raises NotFound: no person fits.
    :raises Several: several people fit.
    """
    record = s.people.find(text)
    if record is not None:
        return record
    found = find(s, rules, text)
    if not found:
        raise NotFound(f"no person fits {text!r}: search for a part of the name with `people find`")
    if len(found) > 1:
        raise Several(text, found)
    (only,) = found
    record = s.people.get(only.person_id) if only.person_id is not None else None
    one = record or only.refused
    assert one is not None
    return one


def also_refused(s: Session, text: str) -> list[RefusedWrite]:
    """Return refused creations with exactly this employee number or user name, beside a person who has it."""
    text = text.strip()
    return [
        each
        for each in s.refused_writes.all()
        if each.user_id is None and folded(text) in (folded(each.employee_number or ""), folded(each.user_name or ""))
    ]


def found_of(listed: Listed, s: Session, rules: Rules) -> Found:
    """Return a person for a listing."""
    document, number = listed.document, listed.employee_number
    if number is None and document is not None:
        number = desired_from_user(document, rules, today=s.now.astimezone(rules.zone).date()).employee_number
    return Found(
        user_name=listed.user_name,
        employee_number=number,
        name=name_of(document) if document is not None else listed.acknowledged_name,
        state=listed.state,
        active=listed.is_active and document is not None,
        person_id=listed.id,
        reason=listed.reason,
        department=department_of(document) if document is not None else None,
    )


def _found_refused(refused: RefusedWrite) -> Found:
    return Found(refused.user_name, refused.employee_number, refused.name, REFUSED, None, None, refused)


def _fits(listed: Listed, text: str, phone: str | None, words: list[str]) -> bool:
    """Return whether a deleted user was called so."""
    if listed.external_id is not None and listed.external_id.lower() == text.lower():
        return True
    known = listed.acknowledged
    if phone is not None and canonical(Field.phone, known.get(Field.phone)) == canonical(Field.phone, phone):
        return True
    return _contain([listed.deleted_user_name, listed.acknowledged_name, known.get(Field.email)], words)


def _is_about(refused: RefusedWrite, text: str, words: list[str]) -> bool:
    return text in (refused.employee_number, refused.external_id) or _contain([refused.user_name, refused.name], words)


def _contain(names: Iterable[object], words: list[str]) -> bool:
    """Return whether each word is in one of the names."""
    texts = [folded(str(each)) for each in names if each]
    return all(any(word in text for text in texts) for word in words)

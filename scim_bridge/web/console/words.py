"""The words of the console for states, causes, roles and what was done; each is a message of the catalogue."""

import re
from collections.abc import Mapping
from datetime import date

from markupsafe import Markup, escape

from scim_bridge.domain.outcome import BY_REASON, DUE, Explanation, State
from scim_bridge.domain.person import GuardedChange
from scim_bridge.operator import history
from scim_bridge.operator.person import SUPPLIED
from scim_bridge.operator.waiting import CHANGES
from scim_bridge.storage.history import Entry
from scim_bridge.storage.refusals import REFUSED
from scim_bridge.web.console import language
from scim_bridge.web.console.language import gettext, ngettext

STATES: Mapping[str, str] = {
    State.delivered: "delivered",
    State.due: "due",
    State.held: "held",
    State.parked: "parked",
    REFUSED: "refused",
}

REASONS: Mapping[str, str] = {
    "incomplete": "data is missing",
    "claimed": "number or phone is taken",
    "guard": "too many changes at once",
    "no-operation": "Ditio lacks the operation",
    "hands-off": "stopped by an operator",
    "paused": "deliveries are paused",
    "refused": "Ditio refused",
    "gone": "gone from Ditio",
    "stranger": "another person in Ditio",
    "not-converging": "Ditio changes the value",
    "out-of-reach": "Ditio denies access",
}
"""Every reason in a few words; `BY_REASON` has the whole explanation."""

REFUSAL = Explanation(
    meaning="the bridge answered Entra's last write about this person with an error; Entra got the reason",
    cure="correct what the answer names; Entra sends the write again by itself, or at once with Provision on demand",
)

CURES: Mapping[str, str] = {
    "claimed": "correct one of the two, in Entra, or in Ditio if the other has left or they swap; then try again here, "
    "which checks Ditio first",
    "guard": "if it is a mistake, correct it in Entra: what is held is then dropped; if it is intended, release it "
    "here; to keep Ditio as it is, withdraw it",
    "hands-off": "resume deliveries on the page of the person, or wait until the day that was set is over",
    "paused": "resume deliveries on the first page; if the setting `DELIVERY__PAUSED` pauses them, remove it first",
    "no-operation": "correct the setting that the detail names, or do it by hand in Ditio; then try again here",
    "refused": "correct it in Entra or in Ditio; then try again here; if the employee there is this user, "
    "`adopt --accept EMPLOYEE_NUMBER USER_NAME`",
    "gone": "find out in Ditio what became of the employee; then try again here; each comparison with Ditio looks "
    "again by itself",
    "stranger": "correct the number in Ditio or in Entra, then try again here; if the employee is this user after all, "
    "`adopt --accept EMPLOYEE_NUMBER USER_NAME`",
    "not-converging": "enter it in Entra as Ditio shows it, or leave the field to Ditio (`MAPPING__FIELDS`, owner "
    "`ditio`); then try again here",
    "out-of-reach": "check in Ditio that the emulation user of the API client may change this employee; then try again "
    "here",
}
"""The cures of which the console has the command as a button; `BY_REASON` has the others."""

ROLES: Mapping[str, str] = {"viewer": "viewer", "operator": "operator"}

FIELDS: Mapping[str, str] = {
    "employeeNumber": "Employee number",
    "firstName": "First name",
    "lastName": "Last name",
    "phone": "Phone",
    "email": "E-mail",
    "workTitle": "Title",
    "department": "Department",
    "birthDate": "Birth date",
    "startDate": "First day",
    "endDate": "Last day",
    "payroll": "Payroll",
    "login": "Login",
    "certificateType": "Certificate",
    "certificateNumber": "Number",
    "issuedDateTime": "Issued",
    "validUntilDateTime": "Valid until",
    "notes": "Notes",
}

SOURCES: Mapping[str, str] = {"slot": "Entra", "csv": "a file", "certificates": "/Certificates"}
"""Where what is said of a certificate comes from."""

NOTICES: Mapping[str, tuple[str, str]] = {
    "retried": ("%(n)d person is tried again now.", "%(n)d people are tried again now."),
    "retried-paused": (
        "%(n)d person is tried again once deliveries are resumed.",
        "%(n)d people are tried again once deliveries are resumed.",
    ),
    "released": ("The change of %(n)d person is released.", "The changes of %(n)d people are released."),
    "dropped": ("The change of %(n)d person is withdrawn.", "The changes of %(n)d people are withdrawn."),
    "stopped": ("Deliveries to this person are stopped.", "Deliveries to this person are stopped."),
    "resumed": ("Deliveries to this person are resumed.", "Deliveries to this person are resumed."),
    "paused": ("Deliveries are paused; %(n)d person is held.", "Deliveries are paused; %(n)d people are held."),
    "revoked": ("It is revoked: Entra can no longer sign in with it.",) * 2,
    "approved": ("The repair of %(n)d difference is approved.", "The repair of %(n)d differences is approved."),
    "confirmed": ("What was shown is confirmed: compare again.",) * 2,
    "repair-stopped": (
        "The repair is stopped; %(n)d difference was left as it is.",
        "The repair is stopped; %(n)d differences were left as they are.",
    ),
    "finding": ("Pairs are looked for.", "Pairs are looked for."),
    "decided": ("The decision is stored.", "The decision is stored."),
    "linking": ("%(n)d pair is to be linked.", "%(n)d pairs are to be linked."),
    "comparing": ("A comparison is asked for.", "A comparison is asked for."),
    "continued": ("Deliveries are resumed; %(n)d person is due.", "Deliveries are resumed; %(n)d people are due."),
}
"""What an action did, for one person and for several."""


def state(name: str) -> str:
    """Return a state in words."""
    return gettext(STATES.get(name, name))


def reason(name: str | None) -> str:
    """Return a reason in a few words; the client's own word for one that is none of ours; empty without one."""
    return gettext(REASONS.get(name, name)) if name else ""


def role(name: str) -> str:
    """Return a role in words."""
    return gettext(ROLES[name])


def field(name: str) -> str:
    """Return a field in words."""
    return gettext(FIELDS.get(name, name))


def explanation(state: str, reason: str | None) -> tuple[str, str] | None:
    """Return what a state means and what to do about it; None for a delivered person."""
    if state == REFUSED:
        return _sentence(REFUSAL.meaning), _sentence(REFUSAL.cure)
    found = BY_REASON.get(reason or "") or (DUE if state == State.due else None)
    if found is None:
        return None
    return _sentence(found.meaning), _sentence(CURES.get(reason or "", found.cure))


def _sentence(message: str) -> str:
    text = gettext(message)
    return f"{text[:1].upper()}{text[1:]}."


def rule(found: str) -> str:
    """Return where a value comes from: a SCIM attribute without its schema, or why the bridge supplies it."""
    return gettext(found) if found in SUPPLIED.values() else history.short_name(found)


def source(name: str) -> str:
    """Return where what is said of a certificate comes from."""
    return gettext(SOURCES.get(name, name))


_BUTTON = re.compile(r"\*(\w[^*]*\w)\*")


def code(text: str) -> Markup:
    """Return a text whose commands, each in backticks, and buttons, each in asterisks, are marked as such."""
    parts = text.split("`")
    # Without a partner, a backtick is only a backtick.
    if len(parts) % 2 == 0:
        return escape(text)
    marked = (
        Markup("<code>{}</code>").format(part) if number % 2 else _named(part) for number, part in enumerate(parts)
    )
    return Markup("").join(marked)


def _named(text: str) -> Markup:
    said, end, parts = escape(text), 0, list[Markup]()
    for found in _BUTTON.finditer(said):
        # A part of what is escaped already is not escaped again.
        parts += [said[end : found.start()], Markup("<em>{}</em>").format(said[found.start(1) : found.end(1)])]
        end = found.end()
    return Markup("").join([*parts, said[end:]])


def setting(about: str) -> Markup:
    """Return what a setting means."""
    return code(gettext(about))


def change(kind: GuardedChange) -> str:
    """Return a kind of change that the guard counts, in words."""
    return gettext(CHANGES[kind])


def value(found: object) -> str:
    """Return a value of a person for a cell of a table."""
    match found:
        case None:
            return ""
        case bool():
            return gettext("open") if found else gettext("closed")
        case date():
            return language.day(found)
        case dict() | list():
            return gettext("several values")
        case _:
            return str(found)


def event(entry: Entry, changed: history.Changed) -> str:
    """Return an event of a history as a sentence."""
    return history.sentence(entry, changed, lambda each: gettext(REASONS.get(each, each)))


def asked(what: str) -> str:
    """Return a call to Ditio in words, with a capital letter."""
    said = gettext("send certificates") if what == history.CERTIFICATES else gettext(history.ASKED.get(what, what))
    return f"{said[:1].upper()}{said[1:]}"


def notice(what: str, number: int) -> str:
    """Return what an action did; empty for anything that no action does."""
    if what not in NOTICES:
        return ""
    return ngettext(*NOTICES[what], number) % {"n": number}

"""What the loser between two ways in is told: what, whose, and what to do (rule K1)."""

from scim_bridge.domain.certificate import Certificate, Entry, Source

WAYS_IN = {
    Source.certificates: "/Certificates",
    Source.csv: "a CSV file (certificates import)",
    Source.slot: "Entra (a slot of the user)",
}
"""How a message calls a source."""

_ORDER = "the newest issuedDateTime counts, then the later validUntilDateTime, and on equal dates what is there stays"


def called(entry: Entry) -> str:
    """A certificate, for a message about it."""
    number = entry.employee_number or "somebody without a number"
    return f'the certificate "{entry.certificate.type}" of employee {number}'


def lost_to(winner: Entry) -> str:
    """Another source's word counts: nothing was stored."""
    return (
        f"{called(winner)} comes from {WAYS_IN[winner.source]}: {described(winner.certificate)}; "
        f"{_ORDER}: send a newer one, or correct it there"
    )


def held_already(entry: Entry) -> str:
    """`/Certificates` itself holds that type already."""
    return (
        f"{called(entry)} is in /Certificates already, with the id {entry.id}: {described(entry.certificate)}; "
        "replace or patch that one"
    )


def belongs_to(entry: Entry) -> str:
    """What another source says is changed by that source alone."""
    return (
        f"{called(entry)} comes from {WAYS_IN[entry.source]}: {described(entry.certificate)}; "
        "change it there, or POST a newer one of your own"
    )


def withdrawn_elsewhere(entry: Entry) -> str:
    """What came in another way than by a file is not withdrawn by a command."""
    where = "clear the slot there" if entry.source is Source.slot else f"delete it there, id {entry.id}"
    return f"{called(entry)} comes from {WAYS_IN[entry.source]}: {described(entry.certificate)}; {where}"


def described(certificate: Certificate) -> str:
    """The number and the days."""
    number = f"number {certificate.number}" if certificate.number else "without a number"
    return f"{number}, issued {certificate.issued}, {ending(certificate)}"


def ending(certificate: Certificate) -> str:
    """Until when it is valid."""
    return f"valid until {certificate.valid_until}" if certificate.valid_until else "without an end"

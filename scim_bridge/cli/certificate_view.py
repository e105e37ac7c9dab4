"""A person's certificates, as `people show` tells them: who says what, and what Ditio has."""

from collections.abc import Iterable, Iterator

from scim_bridge.domain.certificate import Certificate, Entry, Line
from scim_bridge.domain.documents import JsonObject

CERTIFICATE_COLUMNS = {
    "type": "Certificate",
    "number": "Number",
    "issued": "Issued",
    "valid_until": "Valid until",
    "source": "From",
    "ditio": "Ditio took it",
}
"""A source in brackets says something that does not count: another's word does."""


def rows(lines: Iterable[Line]) -> Iterator[JsonObject]:
    """A row for what each source says, and one for what is withdrawn, for people."""
    for line in lines:
        for entry in line.entries:
            yield {
                "type": line.type,
                **_parts(entry.certificate),
                "source": entry.source if entry.wins else f"({entry.source})",
                "ditio": _in_ditio(line, entry) if entry.wins else None,
            }
        if not line.entries and line.acknowledged is not None:
            yield {"type": line.type, **_parts(line.acknowledged.certificate), "source": None, "ditio": _left(line)}


def _in_ditio(line: Line, entry: Entry) -> str:
    known = line.acknowledged
    if line.reason is not None:
        return line.reason
    if known is None or line.sending is not None:
        return "not yet"
    is_same = known.certificate.rank == entry.certificate.rank and not known.is_withdrawn
    return f"{known.at:%Y-%m-%d}" if is_same else "not yet"


def _left(line: Line) -> str:
    is_withdrawn = line.acknowledged is not None and line.acknowledged.is_withdrawn
    return "withdrawn" if is_withdrawn else "to be withdrawn"


def _parts(certificate: Certificate) -> JsonObject:
    return {"number": certificate.number, "issued": certificate.issued, "valid_until": certificate.valid_until}

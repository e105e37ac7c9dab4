"""Certificate import: put the lines of a file into the ledger in batches, each line by itself (rule K1)."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from scim_bridge.certificates.entries import Outranked
from scim_bridge.certificates.reading import InvalidCertificate, certificate_from, changed_parts, lost_to, number_from
from scim_bridge.certificates.sources import CertificateSources, Stored
from scim_bridge.domain.audit import Action, AuditEvent, Author
from scim_bridge.domain.certificate import Certificate, Entry, HolderKind, Part, Source
from scim_bridge.domain.employee import EmployeeNumber
from scim_bridge.domain.person import PersonId
from scim_bridge.domain.values import CERTIFICATE, WRITE_IT
from scim_bridge.storage.certificate_queries import Pair, said_in_files
from scim_bridge.storage.database import Session

BATCH = 100
"""How many lines one transaction has: few, so that other writers wait only briefly."""


@dataclass(frozen=True, slots=True)
class FileLine:
    """A line of the file: its values, or why it can't be read."""

    number: int
    said: Mapping[Part, str] = field(default_factory=dict)
    flaw: str | None = None


@dataclass(frozen=True, slots=True)
class Remark:
    """A remark about one line of the file."""

    line: int
    employee_number: str | None
    certificate_type: str | None
    text: str


@dataclass(slots=True)
class Report:
    """The result of an import."""

    lines: int = 0
    new: int = 0
    changed: int = 0
    unchanged: int = 0
    unclaimed: int = 0
    """How many of the accepted lines have an employee number that no SCIM user has."""

    rejected: list[Remark] = field(default_factory=list)
    outranked: list[Remark] = field(default_factory=list)
    """Lines that were stored, but outranked by another source's entry."""

    due: set[PersonId] = field(default_factory=set)
    """The people whose certificates are due now."""

    def add(self, other: "Report") -> None:
        """Add the result of a batch."""
        self.new += other.new
        self.changed += other.changed
        self.unchanged += other.unchanged
        self.unclaimed += other.unclaimed
        self.rejected += other.rejected
        self.outranked += other.outranked
        self.due |= other.due


@dataclass(frozen=True, slots=True)
class _Wanted:
    line: FileLine
    number: EmployeeNumber
    certificate: Certificate

    @property
    def pair(self) -> Pair:
        return self.number, self.certificate.type


class _DryRun(Exception):
    """Rolls back the transaction of a dry run."""

    def __init__(self, report: Report) -> None:
        super().__init__()
        self.report = report


class CertificateImport:
    """Imports one file. Certificates missing from the file are not withdrawn: a file need not have all people in it.

    :param sources: Stores the lines. A worker delivers the people that are due: no one waits while the file is read.
    :param author: The author of the changes, for the audit trail.
    :param applies: Whether to store the lines; if not, all transactions are rolled back (a dry run).
    :param told: Gets the number of lines done so far.
    """

    def __init__(
        self,
        sources: CertificateSources,
        author: Author,
        *,
        applies: bool,
        told: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._sources = sources
        self._tenant = sources.tenant
        self._author = author
        self._applies = applies
        self._told = told
        self._seen: dict[Pair, int] = {}
        self._report = Report()

    def run(self, lines: Iterable[FileLine]) -> Report:
        """Import the lines, and return the result."""
        remaining = iter(lines)
        while batch := list(islice(remaining, BATCH)):
            self._take(batch)
            self._told(self._report.lines)
        self._tell()
        for remarks in (self._report.rejected, self._report.outranked):
            remarks.sort(key=lambda each: each.line)
        return self._report

    def _take(self, batch: Sequence[FileLine]) -> None:
        self._report.lines += len(batch)
        wanted = list(self._read(batch))
        if not wanted:
            return
        # In the order of the numbers: so two imports at once can't block each other for ever.
        wanted.sort(key=lambda each: each.pair)
        self._report.add(self._written(wanted))

    def _read(self, batch: Sequence[FileLine]) -> Iterator[_Wanted]:
        """Yield the lines that can be used, and reject the others."""
        with self._tenant.read() as s:
            today = self._tenant.today(s.now)
        terms = self._tenant.certificate_terms(today, cure=WRITE_IT)
        for line in batch:
            if line.flaw is not None:
                self._reject(line, line.flaw)
                continue
            number, certificate = number_from(line.said.get(Part.employee_number)), certificate_from(line.said, terms)
            if isinstance(number, InvalidCertificate) or isinstance(certificate, InvalidCertificate):
                flaws = [each.text for each in (number, certificate) if isinstance(each, InvalidCertificate)]
                self._reject(line, "; ".join(flaws))
                continue
            first = self._seen.setdefault((number, certificate.type), line.number)
            if first != line.number:
                self._reject(line, f"duplicate of line {first}, which has this employee and type: keep one of the two")
                continue
            yield _Wanted(line, number, certificate)

    def _tell(self) -> None:
        said = {Action.created: self._report.new, Action.changed: self._report.changed}
        with self._tenant.read() as s:
            for action, count in said.items():
                if self._applies and count:
                    s.audit.tell_of_many(action, CERTIFICATE, self._author, count)

    def _reject(self, line: FileLine, text: str) -> None:
        self._report.rejected.append(_remark(line, text))

    def _written(self, wanted: Sequence[_Wanted]) -> Report:
        try:
            return self._tenant.transact(lambda s: self._write_all(s, wanted))
        except _DryRun as dry:
            return dry.report

    def _write_all(self, s: Session, wanted: Sequence[_Wanted]) -> Report:
        report = Report()
        before = said_in_files(s, [each.pair for each in wanted])
        for each in wanted:
            self._write(s, each, before.get(each.pair), report)
        if not self._applies:
            raise _DryRun(report)
        return report

    def _write(self, s: Session, wanted: _Wanted, before: Entry | None, report: Report) -> None:
        if before is not None and before.wins and before.certificate == wanted.certificate:
            # Like most lines of most files: already stored, and not outranked.
            report.unchanged += 1
            report.unclaimed += before.holder.kind is HolderKind.number
            return
        outcome = self._sources.put(s, Source.csv, wanted.number, wanted.certificate)
        if isinstance(outcome, Outranked):
            report.rejected.append(_remark(wanted.line, lost_to(outcome.winner)))
            return
        assert isinstance(outcome, Stored), "only a POST fails on an entry of the same source"
        if outcome.entry.version == 1:
            report.new += 1
            self._note(s, Action.created, outcome.entry)
        elif before is not None and before.version == outcome.entry.version:
            report.unchanged += 1
        else:
            report.changed += 1
            self._note(s, Action.changed, outcome.entry, changed_parts(before, outcome.entry))
        report.unclaimed += outcome.entry.holder.kind is HolderKind.number
        report.due.update(outcome.due)
        if outcome.beaten_by is not None:
            report.outranked.append(_remark(wanted.line, lost_to(outcome.beaten_by)))

    def _note(self, s: Session, action: Action, entry: Entry, names: tuple[str, ...] = ()) -> None:
        deed = AuditEvent(action, CERTIFICATE, entry.id, entry.holder.person_id, names)
        s.audit.add(deed, self._author, is_one_of_many=True)


def _remark(line: FileLine, text: str) -> Remark:
    return Remark(line.number, line.said.get(Part.employee_number), line.said.get(Part.type), text)

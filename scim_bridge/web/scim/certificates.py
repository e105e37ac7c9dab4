"""`/Certificates` over the ledger: writes store entries there, and lists show the entries that count (rule K1)."""

from datetime import datetime
from typing import Any, NoReturn, cast

from scim2_models import (
    ConflictException,
    InvalidValueException,
    Resource,
    ResourceType,
    ScimProvider,
    UniquenessException,
)

from scim_bridge.certificates.entries import Outranked
from scim_bridge.certificates.reading import (
    InvalidCertificate,
    belongs_to,
    certificate_from,
    changed_parts,
    held_already,
    lost_to,
    number_from,
)
from scim_bridge.certificates.sources import CertificateSources, Exists, OtherSource, Stored
from scim_bridge.delivery.intake import Intake, Ticket
from scim_bridge.domain.audit import Action, AuditEvent
from scim_bridge.domain.certificate import Certificate, Entry, EntryId, Part, Source
from scim_bridge.domain.employee import EmployeeNumber
from scim_bridge.domain.person import PersonId
from scim_bridge.domain.values import CERTIFICATE, WRITE_IT, nfc
from scim_bridge.logs import get_logger
from scim_bridge.scim.resources import certificate_resource, identity_of_entry
from scim_bridge.storage.certificate_queries import with_external_id
from scim_bridge.storage.database import Session
from scim_bridge.storage.filters import Model
from scim_bridge.web.scim.errors import not_found, refuse_another_version
from scim_bridge.web.scim.transaction import RequestTransaction

log = get_logger(__name__)


class Certificates:
    """The certificates of one tenant, for one request; each method is called within its transaction.

    :param transaction: Writes the audit trail, and delivers people once it is committed.
    """

    def __init__(self, tenant: str, provider: ScimProvider, intake: Intake, transaction: RequestTransaction) -> None:
        self._tenant = tenant
        self._provider = provider
        self._intake = intake
        self._transaction = transaction
        self._sources = CertificateSources(intake.tenant, self._mark_due)

    def resource(self, resource_type: ResourceType, entry: Entry) -> Resource[Any]:
        """Return the SCIM resource of an entry."""
        model = cast(Model, self._provider.model_for(resource_type))
        return certificate_resource(model, self._provider, entry)

    def get(self, s: Session, resource_type: ResourceType, resource_id: str) -> Resource[Any]:
        """Return a certificate, whether or not its entry is the one that counts."""
        entry = s.ledger.entry(EntryId(resource_id))
        if entry is None:
            raise not_found(resource_type, resource_id)
        return self.resource(resource_type, entry)

    def lock(self, s: Session, resource_type: ResourceType, resource_id: str) -> Resource[Any]:
        """Return a certificate that is about to be written.

        :raises ConflictException: it belongs to another source.
        """
        entry = self._sources.lock(s, EntryId(resource_id))
        if entry is None:
            raise not_found(resource_type, resource_id)
        if entry.source is not Source.certificates:
            _refuse(OtherSource(entry))
        return self.resource(resource_type, entry)

    def create(self, s: Session, resource_type: ResourceType, resource: Resource[Any]) -> Resource[Any]:
        """Store a new certificate.

        :raises SCIMException: 400 or 409; nothing was stored.
        """
        number, certificate = self._read(resource, s.now)
        outcome = self._sources.put(s, Source.certificates, number, certificate, is_new=True)
        entry = self._with_external_id(s, self._kept(outcome), resource, before=None)
        self._note(Action.created, entry, s.now)
        return self.resource(resource_type, entry)

    def update(
        self, s: Session, resource_type: ResourceType, resource: Resource[Any], expected_version: str | None
    ) -> Resource[Any]:
        """Store the new state of a certificate.

        :raises SCIMException: 400, 404, 409 or 412; nothing was stored.
        """
        resource_id = str(resource.id)
        before = self._checked(s, resource_id, expected_version)
        number, certificate = self._read(resource, s.now)
        outcome = self._sources.change(s, EntryId(resource_id), number, certificate)
        if before is None or outcome is None:
            raise not_found(resource_type, resource_id)
        entry = self._with_external_id(s, self._kept(outcome), resource, before=before)
        if entry.version != before.version:
            told = ("externalId",) if entry.external_id != before.external_id else ()
            self._note(Action.changed, entry, s.now, (*told, *changed_parts(before, entry)))
        return self.resource(resource_type, entry)

    def delete(self, s: Session, resource_type: ResourceType, resource_id: str, expected_version: str | None) -> None:
        """Withdraw a certificate: another source's entry takes its place, if there is one.

        :raises SCIMException: 404, 409 or 412; nothing was changed.
        """
        before = self._checked(s, resource_id, expected_version)
        outcome = self._sources.withdraw(s, EntryId(resource_id))
        if before is None or outcome is None:
            raise not_found(resource_type, resource_id)
        if isinstance(outcome, OtherSource):
            _refuse(outcome)
        self._note(Action.deleted, before, s.now)

    def _note(self, action: Action, entry: Entry, now: datetime, names: tuple[str, ...] = ()) -> None:
        self._transaction.note(AuditEvent(action, CERTIFICATE, entry.id, entry.holder.person_id, names), now)

    def repeat(self, s: Session, resource_id: str) -> None:
        """Try again what Ditio refused, after a write that changed nothing."""
        self._sources.repeat(s, EntryId(resource_id))

    def _mark_due(self, s: Session, person_id: PersonId, what: str) -> Ticket | None:
        ticket = self._intake.certificate_said(s, person_id, what)
        self._transaction.collect(ticket)
        return ticket

    def _read(self, resource: Resource[Any], now: datetime) -> tuple[EmployeeNumber, Certificate]:
        tenant = self._intake.tenant
        said = {part: _text(resource[part.value]) for part in Part}
        number = number_from(said[Part.employee_number])
        if isinstance(number, InvalidCertificate):
            raise InvalidValueException(detail=number.text)
        certificate = certificate_from(said, tenant.certificate_terms(tenant.today(now), cure=WRITE_IT))
        if isinstance(certificate, InvalidCertificate):
            raise InvalidValueException(detail=certificate.text)
        return number, certificate

    def _checked(self, s: Session, resource_id: str, expected_version: str | None) -> Entry | None:
        entry = s.ledger.entry(EntryId(resource_id))
        if entry is not None:
            refuse_another_version(identity_of_entry(entry), expected_version)
        return entry

    def _kept(self, outcome: Stored | Outranked | Exists | OtherSource) -> Entry:
        if not isinstance(outcome, Stored):
            _refuse(outcome)
        if outcome.beaten_by is not None:
            # A source may always correct its own entry, so this is not refused; the list shows the one that counts.
            log.info("certificates.beaten", tenant=self._tenant, entry_id=outcome.entry.id, by=outcome.beaten_by.source)
        return outcome.entry

    def _with_external_id(self, s: Session, entry: Entry, resource: Resource[Any], *, before: Entry | None) -> Entry:
        external_id = nfc(resource.external_id) if resource.external_id else None
        known = before.external_id if before is not None else None
        if external_id is None and known is None:
            return entry
        # Written even if it is the same: an entry that moved to another line was created anew, without it.
        changes_alone = external_id != known and before is not None and before.version == entry.version
        version = entry.version + changes_alone
        return with_external_id(s, entry, external_id, version=version)


def _text(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else value


def _refuse(outcome: Outranked | Exists | OtherSource) -> NoReturn:
    """Raise the 409 for a write that stored nothing."""
    match outcome:
        case Outranked(winner):
            raise UniquenessException(attribute=Part.type, value=winner.certificate.type, detail=lost_to(winner))
        case Exists(entry):
            raise UniquenessException(attribute=Part.type, value=entry.certificate.type, detail=held_already(entry))
        case OtherSource(entry):
            raise ConflictException(detail=belongs_to(entry))

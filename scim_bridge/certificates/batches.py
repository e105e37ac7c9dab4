"""Certificate batches: certificates of many people in one request, if Ditio shows their numbers (K2-K4, P5)."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from scim_bridge.certificates.sending import (
    PAUSED,
    Hold,
    NotSent,
    PersonLeases,
    Refused,
    UnclaimedHold,
    send_narrowing,
    store_refusal,
)
from scim_bridge.domain.certificate import CertificateToSend, Holder, Line, body_of, outstanding, wanted_of
from scim_bridge.domain.employee import ActualEmployee, DesiredEmployee, EmployeeNumber
from scim_bridge.domain.operations import Answer
from scim_bridge.domain.person import Person, PersonId
from scim_bridge.errors import CredentialsRefused, DeliveryError, Paused, PermanentError
from scim_bridge.storage.candidates import candidates
from scim_bridge.storage.certificate_queries import Key
from scim_bridge.storage.database import Session
from scim_bridge.storage.history import Entry
from scim_bridge.tenant import Tenant, desired_of_candidate

FRESH = timedelta(minutes=15)
"""For how long after a run began its snapshot shows which employee has which number."""

STRANGER = "employee number {number} belongs to another person in Ditio now: nothing was sent, see `outbox list`"
NOT_SHOWN = "employee {number} is not in Ditio now: nothing was sent, see `outbox list`"


@dataclass(frozen=True, slots=True)
class CertificateIdentity:
    """Checks which employees have some numbers: first in the snapshot of a run, then in Ditio if that is not enough.

    :param run_id: The run that has read the employees; None if no run did.
    """

    tenant: Tenant
    run_id: str | None

    def strangers(self, shipments: Iterable[CertificateToSend]) -> dict[Holder, str]:
        """Return people who do not have their number in Ditio now, and why. Their own deliveries say what is wrong.

        A person in the run's snapshot costs no call. Every other person costs one.

        :raises DeliveryError: Ditio can't be read.
        """
        numbers = {
            person_id: each.employee_number
            for each in shipments
            if (person_id := each.line.holder.person_id) is not None
        }
        if not numbers:
            return {}
        found = {
            person.id: why
            for person, desired in self._unsettled(numbers)
            if (why := self._why_not(person, desired, numbers[person.id])) is not None
        }
        if found:
            self.tenant.transact(lambda s: [s.outbox.mark_due(person_id) for person_id in sorted(found)])
        return {Holder.of_person(person_id): why for person_id, why in found.items()}

    def _unsettled(self, numbers: Mapping[PersonId, EmployeeNumber]) -> list[tuple[Person, DesiredEmployee]]:
        """Return people that the run has not read under their numbers, or has not recognised there."""
        tenant, run_id = self.tenant, self.run_id
        with tenant.read() as s:
            now = s.now
            known = candidates(s, run_id or "", sorted(numbers))
            run = s.runs.get(run_id) if run_id is not None else None
            shown: dict[str, ActualEmployee] = {}
            if run is not None and now - run.started_at <= FRESH:
                shown = s.snapshot(run.id).of(numbers.values())
        people = [(each.record.person, desired_of_candidate(each, tenant, tenant.today(now))) for each in known]
        return [
            (person, desired)
            for person, desired in people
            if (found := shown.get(numbers[person.id])) is None or not tenant.is_theirs(person, desired, found)
        ]

    def _why_not(self, person: Person, desired: DesiredEmployee, number: EmployeeNumber) -> str | None:
        try:
            shown = self.tenant.ditio.get(number)
        except PermanentError as error:
            return str(error)
        except CredentialsRefused as error:
            if error.status != 403:
                raise
            return str(error)  # Perhaps only for this employee: the person's own delivery finds that out (rule R2).
        if shown is None:
            return NOT_SHOWN.format(number=number)
        is_theirs = shown.employee_number == number and self.tenant.is_theirs(person, desired, shown)
        return None if is_theirs else STRANGER.format(number=number)


BATCH = 500
"""How many certificates to look up at a time; a setting limits how many one request has."""

NOT_WANTED = "it is as wanted already, or something else is wanted now"
NOT_CALLED = "Ditio is not called just now"
LATE = "another process delivered this person meanwhile: that delivery sends the certificate again"


_Taken = tuple[list[CertificateToSend], dict[Key, str | None]]
"""What may be sent, and why the others may not. A transaction returns it, because it may run more than once."""


@dataclass(slots=True)
class Batches:
    """Sends certificates in large batches, as long as Ditio accepts any."""

    tenant: Tenant
    choose: Callable[[Line, EmployeeNumber], CertificateToSend | None]
    """Return the certificate to send for a line under a number, if there is one."""

    report: Callable[[DeliveryError], None]
    """Gets the failure that stopped the sending: it may concern all deliveries (rule D2)."""

    run_id: str | None = None
    """The run that has read which employee has which number, if there is one."""

    outcomes: dict[Key, str | None] = field(default_factory=dict)
    """The outcome of each: None if Ditio accepted it, else why not."""

    halted: str | None = None
    """Why nothing more is sent; None while sending goes on."""

    _begun: set[Key] = field(default_factory=set)
    """Certificates that the ledger marks as being sent; they stay marked until they are settled."""

    def send_of_people(self, keys: Sequence[Key]) -> None:
        """Send the certificates of some lines of people."""
        self._send(keys, PersonLeases(self.tenant, self.tenant.new_id()))

    def send_unclaimed(self, keys: Sequence[Key]) -> None:
        """Send the certificates of some lines under numbers that no person is linked to."""
        self._send(keys, UnclaimedHold(self.tenant, self.tenant.new_id()))

    def _send(self, keys: Sequence[Key], hold: Hold) -> None:
        with self.tenant.read() as s:
            if (stopped := self._why_stopped(s)) is not None:
                self.outcomes |= dict.fromkeys(keys, stopped)
                return
            shipments = self._chosen(s, hold.look(s, keys))
        try:
            shipments = self._without_strangers(shipments)
            most = self.tenant.certificates.max_per_request
            refused = send_narrowing(lambda batch: self._post(batch, hold), shipments, most)
        except DeliveryError as error:
            self._halt(shipments, error)
            return
        for each in refused:
            self._refuse(each, hold)

    def _chosen(self, s: Session, numbers: Mapping[Key, EmployeeNumber | NotSent]) -> list[CertificateToSend]:
        lines = self._lines(s, numbers)
        shipments: list[CertificateToSend] = []
        for key, number in numbers.items():
            line = lines.get(key)
            chosen = None
            if not isinstance(number, NotSent) and line is not None:
                chosen = self.choose(line, number)
            if chosen is not None:
                shipments.append(chosen)
            else:
                self.outcomes[key] = number.why if isinstance(number, NotSent) else NOT_WANTED
        return shipments

    def _without_strangers(self, shipments: Sequence[CertificateToSend]) -> list[CertificateToSend]:
        """Return the certificates under whose numbers Ditio shows no other person (rule P5)."""
        strangers = CertificateIdentity(self.tenant, self.run_id).strangers(shipments)
        self.outcomes |= {_key(each): why for each in shipments if (why := strangers.get(each.line.holder))}
        return [each for each in shipments if each.line.holder not in strangers]

    def _post(self, batch: Sequence[CertificateToSend], hold: Hold) -> None:
        """Send one request, and commit at once what Ditio accepted.

        The lease on these holders lasts for this request only, so a person's ending never waits for the other requests.

        :raises DeliveryError: Ditio refused it, or the call failed.
        :raises Paused: deliveries were paused since the batch began; nothing was sent.
        """
        ditio, monotonic = self.tenant.ditio, self.tenant.monotonic
        ready: list[CertificateToSend] = []
        answer: Answer | None = None
        try:
            with ditio.permit():
                ends = monotonic() + self.tenant.lease_seconds - 1
                ready, left = self.tenant.transact(lambda s: self._begin(s, batch, hold))
                self.outcomes |= left
                self._begun.update(map(_key, ready))
                if ready:
                    answer = ditio.post_certificates([body_of(each) for each in ready], within=ends - monotonic())
        finally:
            if ready:
                late = self.tenant.transact(lambda s: self._end(s, batch, ready, hold, answer))
                self.outcomes |= {_key(each): LATE for each in late}
                if answer is not None:
                    self.outcomes |= {_key(each): None for each in ready if each not in late}

    def _begin(self, s: Session, batch: Sequence[CertificateToSend], hold: Hold) -> _Taken:
        """Lease the holders, and mark as being sent what is still wanted as chosen. Return both parts of `_leased`."""
        if s.breaker.get().is_paused:
            raise Paused(PAUSED)
        ready, left = self._leased(s, batch, hold)
        s.certificate_deliveries.begin(ready)
        if not ready:
            hold.give_back(s, _holders(batch))
        return ready, left

    def _leased(self, s: Session, batch: Sequence[CertificateToSend], hold: Hold) -> _Taken:
        """Lease the holders. Return what this process may send and is still wanted, and why the others are left out."""
        numbers = hold.take(s, list(map(_key, batch)))
        lines, ready, left = self._lines(s, numbers), list[CertificateToSend](), dict[Key, str | None]()
        for each in batch:
            number, line = numbers[_key(each)], lines.get(_key(each))
            if isinstance(number, NotSent):
                left[_key(each)] = number.why
            elif line is None or not self._is_wanted(each, line, number):
                left[_key(each)] = NOT_WANTED
            else:
                ready.append(each)
        return ready, left

    def _is_wanted(self, shipment: CertificateToSend, line: Line, number: EmployeeNumber) -> bool:
        """Return whether a certificate is still wanted as chosen; the person's delivery may have sent it already."""
        if _key(shipment) in self._begun and line.sending is None:
            return False
        wanted = wanted_of(line, number, self.tenant.certificates)
        return isinstance(wanted, CertificateToSend) and replace(wanted, line=shipment.line) == shipment

    def _end(
        self,
        s: Session,
        batch: Sequence[CertificateToSend],
        sent: Sequence[CertificateToSend],
        hold: Hold,
        answer: Answer | None,
    ) -> list[CertificateToSend]:
        """Give the leases back, and store what Ditio accepted. Return what was sent after its lease was lost.

        :param answer: None if Ditio did not accept what was sent, or if that is unknown.
        """
        deliveries, ours = s.certificate_deliveries, hold.give_back(s, _holders(batch))
        late = [each for each in sent if each.line.holder not in ours]
        # Mark the person due again: the certificate may have come too late (rule D1).
        deliveries.begin(late)
        for person_id in {each.line.holder.person_id for each in late}:
            if person_id is not None:
                s.outbox.mark_due(person_id)
        if answer is not None:
            deliveries.acknowledge([each for each in sent if each.line.holder in ours])
            hold.note(s, sent, _entry_of(answer))
        return late

    def _refuse(self, refused: Refused[CertificateToSend], hold: Hold) -> None:
        error = refused.error
        entry = Entry(
            "certificates", "refused", cause="reconcile", status=error.status, ditio_request_id=error.request_id
        )
        items, left = self.tenant.transact(lambda s: self._note_refused(s, refused, hold, entry))
        self.outcomes |= left | dict.fromkeys(map(_key, items), refused.why)

    def _note_refused(self, s: Session, refused: Refused[CertificateToSend], hold: Hold, entry: Entry) -> _Taken:
        """Note a refusal of what is still wanted. For people who are due by now, their own delivery notes it."""
        items, left = self._leased(s, refused.items, hold)
        store_refusal(s, refused, items)
        hold.note(s, items, entry)
        hold.park(s, Refused(items, refused.error))
        hold.give_back(s, _holders(refused.items))
        return items, left

    def _lines(self, s: Session, keys: Iterable[Key]) -> dict[Key, Line]:
        return {(line.holder, line.type): line for line in s.ledger.lines_of(keys)}

    def _halt(self, shipments: Sequence[CertificateToSend], error: DeliveryError) -> None:
        """Stop sending. What was about to be sent is outstanding, and the next run finds it."""
        self.halted = f"it did not settle: {error}"
        self.outcomes |= {_key(each): self.halted for each in shipments if _key(each) not in self.outcomes}
        self.report(error)

    def _why_stopped(self, s: Session) -> str | None:
        breaker = s.breaker.get()
        if self.tenant.is_paused or breaker.is_paused:
            return PAUSED
        return self.halted or (None if breaker.lets_through(s.now) else NOT_CALLED)


def _key(shipment: CertificateToSend) -> Key:
    return shipment.line.holder, shipment.line.type


def _holders(shipments: Iterable[CertificateToSend]) -> set[Holder]:
    return {each.line.holder for each in shipments}


def _entry_of(answer: Answer) -> Entry:
    return Entry(
        "certificates",
        "done",
        cause="reconcile",
        status=answer.status,
        ditio_request_id=answer.request_id,
        seconds=answer.seconds,
    )


def send_all_unclaimed(tenant: Tenant, report: Callable[[DeliveryError], None]) -> None:
    """Send the outstanding certificates under numbers that no person is linked to.

    :param report: See `Batches`.
    """

    def choose(line: Line, number: EmployeeNumber) -> CertificateToSend | None:
        owed = outstanding([line], number, tenant.certificates)
        # A refused certificate is tried again when a source changes it.
        return next((each for each in owed if isinstance(each, CertificateToSend) and line.reason is None), None)

    batches, after = Batches(tenant, choose, report), ("", "")
    while tenant.certificates.delivers_unclaimed and batches.halted is None:
        with tenant.read() as s:
            searches = s.certificate_searches(tenant.certificates.missing_expiry)
            keys = searches.unclaimed(after, BATCH, untried=True)
        if not keys:
            break
        after = (keys[-1][0].value, keys[-1][1])
        batches.send_unclaimed(keys)

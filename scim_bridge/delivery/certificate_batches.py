"""Certificates of many in one request: for reconciliation, and for employees whom nobody is (rules K2-K4)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection

from scim_bridge.delivery.bisecting import Refused, send_narrowing
from scim_bridge.delivery.certificate_holds import Hold, PeopleHold, UnclaimedHold, Withheld
from scim_bridge.delivery.converge import Convergence
from scim_bridge.delivery.drift_applying import PAUSED
from scim_bridge.delivery.outcome import printable
from scim_bridge.delivery.retry import Fault, decide
from scim_bridge.domain.certificate import Line
from scim_bridge.domain.delivery_state import Reason
from scim_bridge.domain.employee import EmployeeNumber
from scim_bridge.domain.shipment import Shipment
from scim_bridge.errors import BridgeError, CredentialsRefused, DeliveryError, LeaseLost, Paused, RateLimited
from scim_bridge.logs import get_logger
from scim_bridge.mapping.certificates_to_ditio import body_of
from scim_bridge.storage.breakers import Breakers
from scim_bridge.storage.certificate_deliveries import CertificateDeliveries
from scim_bridge.storage.certificate_searches import Key
from scim_bridge.storage.certificates import Ledger
from scim_bridge.storage.database import Database
from scim_bridge.storage.history import Entry

log = get_logger(__name__)

BATCH = 500
"""How many certificates are looked up at a time; one request has no more of them than the setting says."""

NOT_WANTED = "it is as wanted already, or something else is wanted now"
NOT_CALLED = "Ditio is not called just now"


@dataclass(slots=True)
class Batches:
    """Sends certificates in large batches, as long as Ditio takes any."""

    convergence: Convergence
    choose: Callable[[Line, EmployeeNumber], Shipment | None]
    """What is to be sent of a line under a number, if anything."""

    outcomes: dict[Key, str | None] = field(default_factory=dict)
    """What became of each: None for one that Ditio took, else why not."""

    halted: str | None = None
    """Why nothing more is sent."""

    def send_of_people(self, keys: Sequence[Key]) -> None:
        """Send what is to be sent of some lines of people."""
        self._send(keys, PeopleHold(self.convergence.tenant, self.convergence.new_id()))

    def send_unclaimed(self, keys: Sequence[Key]) -> None:
        """The same of numbers that no person is linked to."""
        self._send(keys, UnclaimedHold(self.convergence.tenant, self.convergence.new_id()))

    def _send(self, keys: Sequence[Key], hold: Hold) -> None:
        with self._database.write() as connection:
            now = self._database.now(connection)
            if (stopped := self._why_stopped(connection, now)) is not None:
                self.outcomes |= dict.fromkeys(keys, stopped)
                return
            shipments = self._chosen(connection, now, keys, hold)
            CertificateDeliveries(connection, self._name).begin(shipments)
        try:
            if shipments:
                self._ship(shipments, hold)
        finally:
            with self._database.write() as connection:
                hold.give_back(connection, self._database.now(connection))

    def _chosen(self, connection: Connection, now: datetime, keys: Sequence[Key], hold: Hold) -> list[Shipment]:
        numbers = hold.take(connection, now, keys)
        lines = {(line.holder, line.type): line for line in Ledger(connection, self._name).lines_of(keys)}
        shipments: list[Shipment] = []
        for key, number in numbers.items():
            line = lines.get(key)
            chosen = None
            if not isinstance(number, Withheld) and line is not None:
                chosen = self.choose(line, number)
            if chosen is not None:
                shipments.append(chosen)
            else:
                self.outcomes[key] = number.why if isinstance(number, Withheld) else NOT_WANTED
        return shipments

    def _ship(self, shipments: Sequence[Shipment], hold: Hold) -> None:
        try:
            most = self.convergence.tenant.certificates.max_per_request
            refused = send_narrowing(lambda batch: self._post(batch, hold), shipments, most)
        except (DeliveryError, LeaseLost) as error:
            self._halt(shipments, error)
            return
        for each in refused:
            self._refuse(each, hold)

    def _post(self, batch: Sequence[Shipment], hold: Hold) -> None:
        """One request. What Ditio took is committed at once.

        :raises DeliveryError: Ditio's answer.
        :raises LeaseLost: somebody else sends one of these; nothing was sent.
        :raises Paused: deliveries were paused since the batch was begun; nothing was sent.
        """
        ditio, items = self.convergence.tenant.ditio, [body_of(each) for each in batch]
        monotonic = self.convergence.monotonic
        with ditio.permit():
            ends = monotonic() + self.convergence.tenant.lease_seconds - 1
            with self._database.write() as connection:
                now = self._database.now(connection)
                if Breakers(connection, self._name, now).get().is_paused:
                    raise Paused(PAUSED)
                hold.renew(connection, now)
            answer = ditio.post_certificates(items, within=ends - monotonic())
        entry = Entry(
            "certificates",
            "done",
            cause="reconcile",
            status=answer.status,
            ditio_request_id=answer.request_id,
            seconds=answer.seconds,
        )
        with self._database.write() as connection:
            now = self._database.now(connection)
            CertificateDeliveries(connection, self._name).acknowledge(batch, now)
            hold.note(connection, now, batch, entry)
        self.outcomes.update(dict.fromkeys(map(_key, batch)))

    def _refuse(self, refused: Refused[Shipment], hold: Hold) -> None:
        is_certain = len(refused.items) == 1 and refused.items[0].line.sending is None
        error = refused.error
        entry = Entry(
            "certificates", "refused", cause="reconcile", status=error.status, ditio_request_id=error.request_id
        )
        with self._database.write() as connection:
            now = self._database.now(connection)
            CertificateDeliveries(connection, self._name).refuse(
                refused.items, Reason.refused, printable(refused.why), is_certain=is_certain
            )
            hold.note(connection, now, refused.items, entry)
            hold.park(connection, now, refused)
        self.outcomes |= {_key(each): refused.why for each in refused.items}

    def _halt(self, shipments: Sequence[Shipment], error: BridgeError) -> None:
        """Nothing more is sent; what was about to be sent is outstanding, and the next run finds it."""
        self.halted = f"it did not settle: {error}"
        self.outcomes |= {_key(each): self.halted for each in shipments if _key(each) not in self.outcomes}
        if isinstance(error, DeliveryError):
            self._tell_breaker(error)

    def _tell_breaker(self, error: DeliveryError) -> None:
        if isinstance(error, CredentialsRefused):
            try:
                self.convergence.tenant.ditio.check(renews=error.status != 401)
            except DeliveryError as cause:
                error = cause
            else:
                return  # Ditio accepts the API client otherwise (rule R2).
        retry = decide(error, 0, self.convergence.random())
        with self._database.write() as connection:
            breakers = Breakers(connection, self._name, self._database.now(connection))
            breaker = breakers.locked()
            if isinstance(error, RateLimited):
                breakers.keep_quiet(retry.quiet_seconds)
            elif retry.fault is Fault.of_all and not breaker.is_open:
                breakers.open(printable(str(error)))
                log.error("breaker.opened", tenant=self._name, cause=printable(str(error)))

    def _why_stopped(self, connection: Connection, now: datetime) -> str | None:
        breaker = Breakers(connection, self._name, now).get()
        if self.convergence.tenant.is_paused or breaker.is_paused:
            return PAUSED
        return self.halted or (None if breaker.lets_through(now) else NOT_CALLED)

    @property
    def _database(self) -> Database:
        return self.convergence.database

    @property
    def _name(self) -> str:
        return self.convergence.tenant.name


def _key(shipment: Shipment) -> Key:
    return shipment.line.holder, shipment.line.type

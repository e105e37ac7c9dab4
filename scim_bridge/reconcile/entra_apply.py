"""Repair what Entra did not send: the SCIM user is changed as Entra's PATCH would have changed it, and delivered."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from itertools import chain, groupby
from typing import TYPE_CHECKING, Any, cast

from scim_bridge.delivery.deliver import deliver_person
from scim_bridge.delivery.intake import Intake
from scim_bridge.domain.audit import BY_GRAPH, Action, AuditEvent, changed_names
from scim_bridge.domain.drift import Drift, Kind
from scim_bridge.domain.employee import Days, Field
from scim_bridge.domain.entra import GONE, Assignment, Stored
from scim_bridge.domain.outcome import IncompleteRefused, State
from scim_bridge.domain.person import PersonId
from scim_bridge.domain.values import JsonObject, UserId
from scim_bridge.errors import EntraError
from scim_bridge.plan.entra_side import Believed, differences, doubts_of_read, same_form, serving
from scim_bridge.reconcile.entra_compare import (
    GUESSED,
    LOOK_SECONDS,
    MADE_AGAIN,
    READ_SECONDS,
    believed_of,
    is_again,
    telling,
)
from scim_bridge.reconcile.entra_read import FEW_USERS, EntraRead, Terms, terms_of, who_is_assigned
from scim_bridge.scim.reading import read, without
from scim_bridge.scim.resources import Identity, document_of, keys_of, resource_of
from scim_bridge.storage.database import Session
from scim_bridge.storage.entra import Sides
from scim_bridge.storage.history import said_since
from scim_bridge.storage.resources import StoredResource, Taken
from scim_bridge.tenant import Budget, Entra, Tenant

if TYPE_CHECKING:
    from scim2_models import Resource, ScimProvider

USER = "User"

FRESH_SECONDS = 300.0
"""How old the assignments may be that a repair relies on: deliveries in between take their time."""

MOST_UNREAD = 3
"""After so many failed reads in a row, the other people are not asked for."""

ENTRA_MOVED = "Entra sent something for this person since the plan was made: run `reconcile --with-entra` again"
GRAPH_MOVED = "Entra shows something else by now: run `reconcile --with-entra` again"
GONE_HERE = "the bridge no longer has this user: run `reconcile --with-entra` again"
UNREADABLE = "Entra could not be read again, and nothing is changed without that"
OPENS = "the last day is over, so this would open the employment and the login again: read the plan, and apply it by ID"
REFUSED = "the bridge refuses the user by DELIVERY__ON_INCOMPLETE"
NOT_READ = "Entra is not read by these settings"


@dataclass(slots=True)
class EntraRepairing:
    """Repair the rows of a plan that compare with Entra."""

    tenant: Tenant
    run_id: str
    plan_id: str
    provider: "Callable[[], ScimProvider]"
    only_approved: bool = False
    """Whether rows are left alone whose approval in the console was withdrawn meanwhile."""

    def apply(self, items: Iterable[Drift], progress: Callable[[int], None]) -> None:
        """Repair these rows, and store the outcome of each. Each person is read again in Entra right before.

        :param items: Grouped by person.
        :param progress: Called with the number of rows done.
        """
        now, read_at = self._now(), self.tenant.monotonic()
        done, unread = 0, 0
        for person_id, group in groupby(items, key=lambda item: item.person_id):
            rows = list(group)
            if self.only_approved and not (rows := self._still_approved(rows)):
                continue
            if self.tenant.monotonic() - read_at > FRESH_SECONDS and not isinstance(now, str):
                now, read_at = self._now(), self.tenant.monotonic()
            why = now if isinstance(now, str) else self._repair(person_id or PersonId(""), rows, now)
            unread = unread + 1 if why is not None and why.startswith(UNREADABLE) else 0
            if unread == MOST_UNREAD:
                now = why or UNREADABLE
            with self.tenant.write() as s:
                s.plan(self.plan_id).settle([(row.position or 0, why) for row in rows])
            done += len(rows)
            progress(done)

    def _still_approved(self, rows: Sequence[Drift]) -> list[Drift]:
        with self.tenant.read() as s:
            return s.plan(self.plan_id).still_approved(rows)

    def _now(self) -> "_Now | str":
        """Read what decides about all of them; return why that can't be."""
        entra = self.tenant.entra
        if entra is None:
            return NOT_READ
        try:
            with entra.limited(READ_SECONDS):
                terms = terms_of(self.tenant, entra)
                assigned, is_known = set[str](), True
                for each in () if terms.all_users else who_is_assigned(entra, terms.granted):
                    if not isinstance(each, Assignment):
                        is_known = False
                    elif not each.is_nested:
                        assigned.add(each.object_id)
        except EntraError as error:
            return f"{UNREADABLE}: {error}"
        reader = EntraRead(self.tenant, entra, terms, self.run_id, lambda stage, done, total: None)
        with self.tenant.read() as s:
            marked = s.entra.marked()
            if marked is None or not terms.is_source_of(marked, reader.key):
                return GRAPH_MOVED
            believed = believed_of(s, self.tenant, terms, marked, reader)
            linked = s.people.count()
            unseen = self._unseen(s, assigned) if marked.delta_link is None else []
        doubts = () if is_known else ("",)
        reading = replace(marked, assigned=len(assigned), assigned_before=marked.assigned, doubts=doubts)
        for why in doubts_of_read(reading, None, linked, all_users=terms.all_users):
            return f"{UNREADABLE}: {why}"
        believed = replace(believed, assignments_known=is_known)
        return _Now(entra, terms, reader, believed, assigned, marked.delta_link, unseen)

    def _unseen(self, s: Session, assigned: Collection[str]) -> list[str]:
        """Return the assigned users that no read has shown; of more than a few, all are read with a mark."""
        return sorted(set(assigned) - s.entra.of(sorted(assigned)).keys()) if len(assigned) <= FEW_USERS else []

    def _repair(self, person_id: PersonId, rows: Sequence[Drift], now: "_Now") -> str | None:
        """Repair the rows of one person. Return why they are skipped; None if they are repaired."""
        with self.tenant.read() as s:
            sides = s.entra.sides_of([person_id]).get(person_id)
        if sides is None:
            return GONE_HERE
        try:
            with now.entra.limited(LOOK_SECONDS):
                stored = now.stored(sides)
                if stored.removed is not None and self._is_again(sides, now):
                    return MADE_AGAIN
        except EntraError as error:
            return f"{UNREADABLE}: {error}"
        if now.terms.job is None and any(row.kind is Kind.cleared_in_entra for row in rows):
            return f"{UNREADABLE}: {GUESSED}"
        is_assigned = str(sides.external_id).lower() in now.assigned
        shown = {
            (each.kind, each.field or None) for each in differences(sides.document, stored, is_assigned, now.believed)
        }
        if not all((row.kind, row.field) in shown for row in rows):
            return GRAPH_MOVED
        try:
            return self._write(sides, stored, rows, now.believed)
        except IncompleteRefused as refused:
            return f"{REFUSED}: {refused}"

    def _is_again(self, sides: Sides, now: "_Now") -> bool:
        with self.tenant.read() as s:
            is_stored = is_again(s, sides, now.terms)
        return is_stored or now.is_again(sides)

    def _write(self, sides: Sides, stored: Stored, rows: Sequence[Drift], believed: Believed) -> str | None:
        lease = self.tenant.new_id()
        with self.tenant.write() as s:
            before = s.resources.lock(USER, sides.user_id)
            record = s.people.of_user(sides.user_id, lock=True)
            if before is None or record is None:
                return GONE_HERE
            plan = s.runs.get(self.plan_id)
            if any(row.revision != record.revision for row in rows) or (
                plan is not None and said_since(s, record.person.id, plan.started_at)
            ):
                return ENTRA_MOVED
            if self._opens_again(record.person.days, rows, self.tenant.today(s.now)):
                return OPENS
            after = repaired(before.document, stored, rows, believed)
            if after == before.document:
                return GRAPH_MOVED
            try:
                self._change(s, before, after)
            except Taken as exc:
                raise AssertionError("a value that goes takes nothing") from exc
            is_ours = s.outbox.lease(record.person.id, lease, self.tenant.lease_seconds)
            s.entra.forget_findings(record.person.id)
        if is_ours:
            deliver_person(
                self.tenant,
                record.person.id,
                lease,
                lease_seconds=self.tenant.lease_seconds,
                budget=Budget(self.tenant.monotonic),
                cause="reconcile",
            )
        return self._outcome(record.person.id)

    def _opens_again(self, days: Days, rows: Sequence[Drift], today: date) -> bool:
        """Return whether a repair without review would employ someone again whose last day is over."""
        is_reviewed = self.run_id != self.plan_id
        clears = any(row.kind is Kind.cleared_in_entra and row.field == Field.end_date for row in rows)
        return clears and not is_reviewed and days.active and not days.wants_employment(today)

    def _change(self, s: Session, before: StoredResource, document: JsonObject) -> None:
        """Store the user with a new version, and make the person due, in one transaction (rule A1)."""
        stored = self._stored(before, document, Identity(before.id, USER, before.version + 1, before.created_at, s.now))
        s.resources.replace(stored)
        intake = Intake(self.tenant, self.run_id, queues_only=True)
        intake.user_changed(s, UserId(before.id), {**stored.document}, before.document, "entra-repaired")
        record = s.people.of_user(UserId(before.id))
        names = changed_names(before.document, stored.document)
        person_id = record.person.id if record is not None else None
        s.audit.add(AuditEvent(Action.changed, USER, before.id, person_id, names), BY_GRAPH)

    def _stored(self, before: StoredResource, document: JsonObject, identity: Identity) -> StoredResource:
        """Return the row of a changed user, in the form that every write has."""
        provider = self.provider()
        kind = next(each for each in provider.resource_types if each.name == USER)
        model = cast("type[Resource[Any]]", provider.model_for(kind))
        kept = document_of(resource_of(model, provider, document, identity))
        with provider:
            keys = keys_of(model, kept, identity)
        return replace(
            before, document=kept, keys=keys, version=identity.version, last_modified_at=identity.last_modified_at
        )

    def _outcome(self, person_id: PersonId) -> str | None:
        with self.tenant.read() as s:
            record = s.people.get(person_id)
        if record is None or record.state is State.delivered:
            return None
        reason = f", {record.reason}" if record.reason else ""
        return f"the user was changed as Entra shows it, and the delivery is {record.state}{reason}: see `outbox list`"


@dataclass(slots=True)
class _Now:
    """What Entra shows right before the repair."""

    entra: Entra
    terms: Terms
    reader: EntraRead
    believed: Believed
    assigned: set[str]
    mark: str | None
    """Of the last complete read."""

    unseen: Sequence[str]
    """The assigned users that no read has shown, where the last one left no mark."""

    _later: dict[tuple[str, str | None], set[str]] | None = None
    """Who has which hash, of those who were made or changed since the last read."""

    def stored(self, sides: Sides) -> Stored:
        """Return one user as Entra shows them now."""
        user = self.entra.user(str(sides.external_id).lower(), self.terms.attributes)
        if user is None:
            day = sides.stored.removed_on if sides.stored is not None else None
            return Stored(None, {}, GONE, day)
        return self.reader.stored(user)

    def is_again(self, sides: Sides) -> bool:
        """Return whether another user of Entra has the user name, or by now the number, of one who was deleted."""
        name, own = str(sides.document.get("userName")), {str(sides.external_id).lower()}
        if "@" in name and self.entra.user(name, self.terms.attributes) is not None:
            return True
        if self._later is None:
            self._later = self._read_later()
        return any(
            found is not None and self._later.get((each, found), own) - own
            for each, found in telling(sides, self.terms).items()
        )

    def _read_later(self) -> dict[tuple[str, str | None], set[str]]:
        if self.mark is not None:
            pages = (page for page, _ in self.entra.changes(self.mark, self.terms.attributes))
        else:
            pages = (
                [user for _, user in page if user] for page in self.entra.users_of(self.unseen, self.terms.attributes)
            )
        later: dict[tuple[str, str | None], set[str]] = {}
        for user in chain.from_iterable(pages):
            is_there = user.removed is None and user.enabled is not False
            if is_there and (self.terms.all_users or user.object_id in self.assigned):
                for each in self.reader.stored(user).hashes.items():
                    later.setdefault(each, set()).add(user.object_id)
        return later


def repaired(document: JsonObject, stored: Stored, rows: Iterable[Drift], believed: Believed) -> JsonObject:
    """Return a user as a PATCH from Entra would have left it: inactive, or without the values that were cleared."""
    after = {**document}
    for row in rows:
        if row.kind is Kind.left_without_notice:
            key = next((name for name in after if name.casefold() == "active"), "active")
            after[key] = False
        elif row.kind is Kind.cleared_in_entra:
            for each in list(serving(after, stored, believed)):
                is_empty = each.attribute in stored.hashes and stored.hashes[each.attribute] is None
                ours = same_form(each, read(after, each.path), believed.rules)
                if each.name == row.field and is_empty and ours is not None:
                    after = without(after, each.path)
    return after

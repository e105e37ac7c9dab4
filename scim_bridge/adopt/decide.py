"""An operator's decisions about disputed pairs: checked line by line, and followed only if every line fits."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from scim_bridge.domain.drift import By, Decision, Misfit, Pair, Proposal
from scim_bridge.domain.employee import EmployeeNumber
from scim_bridge.domain.person import Claim, ClaimKind
from scim_bridge.errors import WrongDecisions
from scim_bridge.plan.matching import TAKEN
from scim_bridge.storage.database import Session
from scim_bridge.storage.pairs import Pairs
from scim_bridge.storage.people import PersonRecord
from scim_bridge.storage.resources import document_of, user_names
from scim_bridge.storage.snapshot import Snapshot, number_key
from scim_bridge.tenant import Tenant

BATCH = 200
"""Lines that are in memory, and in one transaction, at a time."""

MOST_TOLD = 50
"""Misfits that are named; the rest are counted."""


@dataclass(frozen=True, slots=True)
class Deciding:
    """Check and store the decisions of one run."""

    tenant: Tenant
    run_id: str
    now: datetime

    def take(self, lines: Iterable[Decision | Misfit]) -> None:
        """Store every decision; linking follows them later.

        :raises WrongDecisions: a line does not fit. Nothing has been linked then.
        """
        misfits: list[Misfit] = []
        count = 0
        rows = iter(lines)
        while batch := list(islice(rows, BATCH)):
            with self.tenant.write() as s:
                for line in batch:
                    misfit = line if isinstance(line, Misfit) else self._take(s, line)
                    if misfit is not None:
                        count += 1
                        misfits += [misfit] if count <= MOST_TOLD else []
        if misfits:
            raise _wrong(misfits, count)

    def take_one(self, s: Session, decision: Decision) -> None:
        """Store one decision, in the caller's transaction. :raises WrongDecisions: it does not fit."""
        misfit = self._take(s, decision)
        if misfit is not None:
            raise _wrong([misfit], 1)

    def _take(self, s: Session, decision: Decision) -> Misfit | None:
        record = s.people.of_user_name(decision.user_name)
        why = self._why_not(s, decision, record)
        if why is not None or record is None:
            return Misfit(decision.line, why or "no user has this user name")
        if record.person.employee_number is None:
            self._note(s, decision, record)
        return None

    def _why_not(self, s: Session, decision: Decision, record: PersonRecord | None) -> str | None:
        number, name = decision.employee_number, decision.user_name
        if record is None:
            return f'no user is called "{name}": write the user name as Entra sends it'
        snapshot = s.snapshot(self.run_id)
        if number not in snapshot.of([number]):
            return _unknown(number, snapshot.similar_number(number))
        holder = s.people.linked_to(number)
        if holder is not None and holder.person.id == record.person.id:
            # An earlier run has followed this line.
            return None if decision.is_link else f'employee {number} is "{name}" already: take this line out'
        if not decision.is_link:
            return self._contradiction(s, decision, record)
        if record.person.employee_number is not None:
            return f'"{name}" is employee {record.person.employee_number} already: take this line out, or write skip'
        if holder is not None:
            who = _name(s, holder)
            return f"employee {number} is {who} already: take this line out, or write skip"
        if record.person.creating is not None:
            return f'"{name}" is being created in Ditio now: wait for that delivery to end, then see `people show`'
        if (claimant := self._claimant(s, number, record)) is not None:
            return f"Entra gives the number {number} to {claimant}: correct it there first"
        return self._contradiction(s, decision, record) or self._another(s, snapshot, number, record)

    def _contradiction(self, s: Session, decision: Decision, record: PersonRecord) -> str | None:
        pairs, number, cure = self._pairs(s), decision.employee_number, "write one of them as skip"
        decided = [each for each in pairs.of_person(record.person.id) if _is_decided(each)]
        if not decision.is_link:
            is_linked = any(each.employee_number == number for each in decided)
            return "another line says link of the same two: take one of them out" if is_linked else None
        if pairs.is_skipped(record.person.id, number):
            return "another line says skip of the same two: take one of them out"
        other = next((each for each in decided if each.employee_number != number), None)
        if other is not None:
            return f"another line links this user to employee {other.employee_number}: {cure}"
        holder = pairs.decided_for(number)
        if holder is not None and holder.person_id != record.person.id:
            return f'another line links employee {number} to "{holder.user_name}": {cure}'
        return None

    def _another(self, s: Session, snapshot: Snapshot, number: EmployeeNumber, record: PersonRecord) -> str | None:
        """Return why the line may name the wrong employee: for its number, or for the one that Entra gives."""
        proposed = {pair.employee_number for pair in self._pairs(s).of_person(record.person.id)}
        meant = next((each for each in proposed if number_key(each) == number_key(number)), None)
        if number not in proposed and meant is not None:
            return (
                f"employee {number} was not proposed, but {meant} was: a spreadsheet may have dropped zeros in front; "
                "have it read the column as text"
            )
        user_id = record.person.user_id
        document = document_of(s, user_id) if user_id is not None else None
        desired = self.tenant.desired(document or {}, record.person, self.tenant.today(self.now))
        wanted = desired.employee_number
        if wanted is not None and wanted != number and wanted in snapshot.of([wanted]):
            return f"Entra gives this user the number {wanted}, which is another employee: correct one of the two first"
        return None

    def _claimant(self, s: Session, number: EmployeeNumber, record: PersonRecord) -> str | None:
        """Return the name of another user that has the number from Entra; None if there is none (rule P3)."""
        holder = s.claims.holder(Claim(ClaimKind.employee_number, number))
        if holder is None or holder == record.person.id:
            return None
        other = s.people.get(holder)
        return _name(s, other) if other is not None else None

    def _note(self, s: Session, decision: Decision, record: PersonRecord) -> None:
        proposal = Proposal(decision.employee_number, By.decision, contends=decision.is_link)
        pair = Pair(record.person.id, decision.user_name, record.revision, proposal)
        if decision.is_link:
            self._pairs(s).decide(pair, why_not_others=TAKEN)
        else:
            self._pairs(s).skip(pair)

    def _pairs(self, s: Session) -> Pairs:
        return s.pairs(self.run_id)


def _wrong(misfits: list[Misfit], count: int) -> WrongDecisions:
    more = [f"… and {count - MOST_TOLD} more"] if count > MOST_TOLD else []
    named = "\n".join([*map(str, misfits), *more])
    return WrongDecisions(f"The decisions do not fit, so none was followed and nothing was linked:\n{named}")


def _is_decided(pair: Pair) -> bool:
    return pair.proposal.by is By.decision and pair.proposal.why is None


def _unknown(number: str, similar: str | None) -> str:
    if similar is not None:
        return (
            f"Ditio shows no employee {number}, but {similar}: a spreadsheet may have dropped zeros in front; have it "
            "read the column as text"
        )
    return f"Ditio shows no employee {number}: write the number as Ditio does"


def _name(s: Session, record: PersonRecord) -> str:
    user_id = record.person.user_id
    names = user_names(s, [user_id]) if user_id else {}
    return f'"{names[user_id]}"' if user_id in names else "another user"

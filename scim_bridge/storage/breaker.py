"""The breaker and the pause of each company, shared by all processes (rules D2, D4)."""

from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import Row, and_, bindparam, case, exists, or_, select, update

from scim_bridge.domain.breaker import LONGEST_GAP_SECONDS, Breaker, gap_seconds
from scim_bridge.domain.outcome import CAP_SECONDS, State
from scim_bridge.domain.person import PersonId
from scim_bridge.storage.engine import Repository, asked_now
from scim_bridge.storage.prepared import Prepared, insert_if_absent
from scim_bridge.storage.tables import breakers, people

# Built once, because every delivery reads it several times.
_LOCKED = select(breakers).where(breakers.c.tenant == bindparam("tenant")).with_for_update()


@cache
def _with_time(dialect: str) -> Prepared:
    """Return the statement that reads the breaker, if there is one, and tells the time."""
    one = select(asked_now(dialect).label("now_is")).subquery("one")
    its = breakers.c.tenant == bindparam("tenant")
    return Prepared(select(breakers, one.c.now_is).select_from(one.outerjoin(breakers, its)))


class Breakers(Repository):
    """The breaker of one tenant, within one transaction. `now` is the database's clock.

    A transaction that changes the breaker locks its row first, and people afterwards. A transaction that has locked a
    person never waits for the breaker's row.
    """

    _known: Breaker | None = None

    def get(self) -> Breaker:
        """Return the breaker; without a row it is closed. As the first statement it saves asking for the time."""
        ((row,),) = self._s.answers([self.asking])
        return self.learn(row)

    @property
    def asking(self) -> tuple[Prepared, dict[str, object]]:
        """What `get` executes, and its parameters."""
        return _with_time(self._s.dialect), {"tenant": self._tenant, "now": self._s.told_now}

    def learn(self, row: Any) -> Breaker:
        """Return the breaker of what `asking` has found."""
        self._s.learn_now(row.now_is)
        self._known = self._breaker(row) if row.tenant is not None else Breaker()
        return self._known

    def lately(self) -> Breaker:
        """Return the breaker as this transaction has read it before, if it has."""
        return self._known or self.get()

    def locked(self) -> Breaker:
        """Return the breaker, locked: no other transaction changes it before this one ends."""
        found = self._read(_LOCKED)
        if found is not None:
            return found
        insert_if_absent(self._connection, breakers, {"tenant": self._tenant})
        return self._read(_LOCKED) or Breaker()

    def suspect(self, suspects: tuple[PersonId, ...]) -> None:
        """Store the people whose deliveries met a fault."""
        self._update(suspects=list(suspects))

    def open(self, why: str, suspects: tuple[PersonId, ...] = ()) -> None:
        """Open the breaker.

        :param suspects: The people whose faults opened it; none if a single failed connection was enough.
        """
        next_probe_at = self._now + timedelta(seconds=gap_seconds(0))
        self.suspect(suspects)
        self._update(opened_at=self._now, why=why, next_probe_at=next_probe_at, probes=0, on_trial=False)

    def stay_open(self, why: str) -> None:
        """Keep the breaker open after a failed probe. :param why: What the probe met."""
        self._update(why=why)

    def close(self, *, on_trial: bool = False) -> None:
        """Close the breaker, and reset the back-off of the people who are due, except those who fail alone (rule R3).

        :param on_trial: An operator closed it: the next fault opens it again.
        """
        self._update(
            opened_at=None,
            why=None,
            next_probe_at=None,
            probes=0,
            probe_lease=None,
            probe_person_id=None,
            on_trial=on_trial,
            quiet_until=None,
        )
        # People who were not tried yet stay first: Ditio may fail only for one particular person.
        soon = case((people.c.due_at > self._now, self._now), else_=people.c.due_at)
        self._connection.execute(
            update(people)
            .where(people.c.tenant == self._tenant, people.c.state == State.due, ~people.c.fails_alone)
            .where(or_(people.c.attempts > 0, people.c.detail.is_not(None), people.c.due_at > self._now))
            .values(attempts=0, detail=None, due_at=soon)
        )

    def close_by_operator(self) -> None:
        """Close the breaker for `outbox retry`, until the next fault, and forget that Ditio asked to wait."""
        breaker = self.get()
        if breaker.is_open or breaker.is_quiet(self._now):
            self.close(on_trial=breaker.is_open)
            self.suspect(())

    def go_well(self, person_id: PersonId) -> None:
        """Note a successful delivery, and mark the suspects as failing alone: Ditio is not at fault for them.

        :param person_id: The person who was delivered.
        """
        alone = [suspect for suspect in self.get().suspects if suspect != person_id]
        if alone:
            those = and_(people.c.tenant == self._tenant, people.c.id.in_(alone), people.c.state == State.due)
            self._connection.execute(update(people).where(those).values(fails_alone=True))
        self._update(suspects=[], on_trial=False)

    def fails_alone(self, person_id: PersonId) -> bool:
        """Return whether this person's delivery failed, and another person's succeeded since (rule R3)."""
        query = select(people.c.fails_alone).where(people.c.tenant == self._tenant, people.c.id == person_id)
        return bool(self._connection.execute(query).scalar_one_or_none())

    def keep_quiet(self, seconds: float) -> None:
        """Store for how long Ditio asked not to be called."""
        self._update(quiet_until=self._now + timedelta(seconds=seconds))

    def is_probed(self) -> bool:
        """Return whether a probe is running. The person's lease shows it, and ends if the process crashes."""
        tried = exists().where(
            people.c.tenant == breakers.c.tenant,
            people.c.id == breakers.c.probe_person_id,
            people.c.lease == breakers.c.probe_lease,
            people.c.leased_until > self._now,
        )
        return self._connection.execute(select(breakers.c.tenant).where(self._is(), tried)).first() is not None

    def begin_probe(self, person_id: PersonId, lease: str, probes: int) -> None:
        """Store which person is tried now, and when the next probe may begin."""
        self._update(
            probe_person_id=person_id,
            probe_lease=lease,
            probes=probes,
            next_probe_at=self._now + timedelta(seconds=gap_seconds(probes)),
        )

    def _read(self, query: Any) -> Breaker | None:
        row = self._connection.execute(query, {"tenant": self._tenant}).first()
        return None if row is None else self._breaker(row)

    def _breaker(self, row: Row[Any]) -> Breaker:
        return Breaker(
            opened_at=row.opened_at,
            why=row.why,
            next_probe_at=within(row.next_probe_at, self._now, LONGEST_GAP_SECONDS),
            probes=row.probes,
            probe_lease=row.probe_lease,
            suspects=tuple(PersonId(each) for each in row.suspects or ()),
            on_trial=row.on_trial,
            quiet_until=within(row.quiet_until, self._now, CAP_SECONDS),
            paused_at=row.paused_at,
        )

    def _update(self, **values: object) -> None:
        self._connection.execute(update(breakers).where(self._is()).values(**values))

    def _is(self) -> Any:
        return breakers.c.tenant == self._tenant


def within(moment: datetime | None, now: datetime, cap_seconds: float) -> datetime | None:
    """Return a moment to wait for; None if it is further ahead than the cap, which only a wrong clock can cause."""
    return None if moment is None or moment > now + timedelta(seconds=cap_seconds) else moment

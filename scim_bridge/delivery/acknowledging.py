"""What Ditio took, or was seen to have, is kept at once: a crash between two calls loses nothing (rules D1, D5)."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection

from scim_bridge.delivery.calls import Errand
from scim_bridge.delivery.guarding import settle_guarded
from scim_bridge.domain.employee import EmployeeNumber, Field, FoundEmployee, Value
from scim_bridge.domain.person import Person, Taking
from scim_bridge.plan.limits import settled_occasions
from scim_bridge.plan.matching import known_by
from scim_bridge.plan.readback import Write, takings_of
from scim_bridge.storage.acknowledged import Acknowledgements
from scim_bridge.storage.guard import Guard
from scim_bridge.storage.people import People


def acknowledge(
    errand: Errand,
    values: Mapping[Field, Value | None] | None = None,
    *,
    login: bool | None = None,
    employed: bool | None = None,
    link: EmployeeNumber | None = None,
    employee: FoundEmployee | None = None,
    write: Write | None = None,
    learned: Mapping[Field, Taking] | None = None,
) -> None:
    """Keep what Ditio took, or was seen to have, and with `link` whose employee it is. Committed at once.

    :param employee: With `link`, the employee as it was shown, if it was: what tells who it is (rule P5).
    :param write: What is known of the write that Ditio took; None for what was only read.
    :param learned: What a read tells of values that Ditio took earlier (rule C2).
    """
    known, learned = errand.person.acknowledged, learned or {}
    values = values or {}
    sources = {name: errand.wish.sources[name] for name in values if name in errand.wish.sources}
    settled = settled_occasions(errand.person, errand.wish, values)

    profile_id = employee.company_profile_id if employee is not None else None
    linked_as = known_by(errand.wish, employee) if employee is not None else None

    def keep(connection: Connection, now: datetime) -> Person:
        takings = {**takings_of(known, values, write, now), **learned}
        if link is not None:
            people = People(connection, errand.tenant.name)
            people.link(errand.person.id, link, profile_id=profile_id, linked_as=linked_as, now=now)
        stored = Acknowledgements(connection, errand.tenant.name)
        stored.add(
            errand.person.id,
            values,
            sources=sources,
            takings=takings,
            login=login,
            employed=employed,
            is_written=write is not None,
            revision=errand.revision,
            now=now,
        )
        stored.learn(errand.person.id, learned)
        after = known.after(
            values,
            sources=sources,
            takings=takings,
            login=login,
            employed=employed,
            changed_at=now if write is not None else None,
        )
        person = replace(errand.person, acknowledged=after)
        if link is not None:
            person = replace(
                person,
                employee_number=link,
                linked_at=now,
                company_profile_id=profile_id or person.company_profile_id,
                linked_as=person.linked_as if linked_as is None else linked_as,
                creating=None,
                renumbering=None,
            )
        guard = Guard(connection, errand.tenant.name, now)
        settle_guarded(guard, person, errand.tenant.policy, settled, login=login, employed=employed)
        return person

    errand.person = errand.write(keep)

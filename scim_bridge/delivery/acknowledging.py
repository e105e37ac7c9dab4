"""What Ditio took, or was seen to have, is kept at once: a crash between two calls loses nothing (rules D1, D5)."""

from collections.abc import Mapping
from dataclasses import replace

from scim_bridge.delivery.calls import Errand
from scim_bridge.delivery.guarding import settle_guarded
from scim_bridge.domain.employee import EmployeeNumber, Field, Value
from scim_bridge.domain.person import Taking
from scim_bridge.plan.occasions import settled_occasions
from scim_bridge.plan.rounds import Write, takings_of
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
    write: Write | None = None,
    learned: Mapping[Field, Taking] | None = None,
) -> None:
    """Keep what Ditio took, or was seen to have, and with `link` whose employee it is. Committed at once.

    :param write: What is known of the write that Ditio took; None for what was only read.
    :param learned: What a read tells of values that Ditio took earlier (rule C2).
    """
    known, learned = errand.person.acknowledged, learned or {}
    sources = {name: errand.wish.sources[name] for name in values or {} if name in errand.wish.sources}
    settled = settled_occasions(errand.person, errand.wish, values or {})
    with errand.database.write() as connection:
        now = errand.still_ours(connection)
        takings = {**takings_of(known, values or {}, write, now), **learned}
        if link is not None:
            People(connection, errand.tenant.name).link(errand.person.id, link, now=now)
        stored = Acknowledgements(connection, errand.tenant.name)
        stored.add(
            errand.person.id,
            values or {},
            sources=sources,
            takings=takings,
            login=login,
            employed=employed,
            is_written=write is not None,
            revision=errand.revision,
            now=now,
        )
        stored.learn(errand.person.id, learned)
        errand.person = replace(
            errand.person,
            acknowledged=known.after(
                values or {},
                sources=sources,
                takings=takings,
                login=login,
                employed=employed,
                changed_at=now if write is not None else None,
            ),
        )
        guard = Guard(connection, errand.tenant.name, now)
        settle_guarded(guard, errand.person, errand.tenant.policy, settled, login=login, employed=employed)
    if link is not None:
        errand.person = replace(errand.person, employee_number=link, creating=None, renumbering=None)

"""When a person's changes were said, as intake notes it in the transaction of the write (rule L8)."""

from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import Connection

from scim_bridge.delivery.tenant import EMPTY_WISH, Tenant
from scim_bridge.domain.employee import Days, Wish
from scim_bridge.domain.person import Guarded, Occasions, Person, Verdict
from scim_bridge.domain.values import JsonObject
from scim_bridge.plan.limits import Moment, next_occasions
from scim_bridge.storage.guard import kept_back


def occasions_after(
    connection: Connection,
    tenant: Tenant,
    person: Person,
    days: Days,
    wish: Wish,
    earlier: JsonObject | None,
    now: datetime,
) -> Occasions:
    """Those of a person of whom Entra has said something again.

    :param person: As he was before the write; days and wish are those after it.
    :param earlier: The document before it; None where there is none of this person's.
    """
    moment = Moment(now, tenant.today(now), tenant.rules.zone)

    def before() -> Wish | None:
        return None if earlier is None else tenant.wish(earlier, person, moment.today)

    after = next_occasions(person, days, wish, moment, before)
    is_said_anew = person.days.active and not days.active
    return _said_anew(connection, tenant, person, after, now) if is_said_anew else after


def occasions_of_deleted(
    connection: Connection, tenant: Tenant, person: Person, days: Days, now: datetime
) -> Occasions:
    """Those of a person whose user was deleted: of him only the ending is owed (rule L7)."""
    moment = Moment(now, tenant.today(now), tenant.rules.zone)
    after = next_occasions(person, days, EMPTY_WISH, moment, lambda: None)
    return _said_anew(connection, tenant, person, after, now)


def _said_anew(connection: Connection, tenant: Tenant, person: Person, after: Occasions, now: datetime) -> Occasions:
    """An ending that the operator withdrew meets the guard anew once Entra changes `active`, or deletes the user."""
    said = after.ending
    if said is None or said != person.occasions.ending:
        return after
    if kept_back(connection, tenant.name, person.id).get(Guarded.ending) is not Verdict.dropped:
        return after
    return replace(after, ending=max(now, said + timedelta(microseconds=1)))

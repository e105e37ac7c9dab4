"""One attempt to deliver one person: what Ditio is asked, in which order, and how it ended (rules H1-H3, P3, D6)."""

from scim_bridge.delivery.aligning import align
from scim_bridge.delivery.aside import aside_note
from scim_bridge.delivery.breaker import tested, try_again
from scim_bridge.delivery.calls import Errand
from scim_bridge.delivery.certificate_delivery import deliver_certificates
from scim_bridge.delivery.hiring import find_created, hire, settle_absence
from scim_bridge.delivery.holders import look_at_holders
from scim_bridge.delivery.outcome import Outcome, Settled
from scim_bridge.delivery.refusing import refusal
from scim_bridge.delivery.remarks import remarks
from scim_bridge.delivery.scoped import bring_about_rows
from scim_bridge.delivery.undo import Undo
from scim_bridge.errors import CredentialsRefused, DeliveryError, NotYet, PermanentError
from scim_bridge.plan.readback import is_recent
from scim_bridge.plan.steps import is_still_active


def attempt(errand: Errand, undo: Undo | None = None) -> Outcome:
    """Bring one person about as far as Ditio lets us; how it ended. Nothing of it is raised.

    :param undo: Takes the causing write back where Ditio refuses it.
    """
    try:
        _bring_about(errand, undo)
    except PermanentError as error:  # A read that Ditio refuses; a refused write is noted where it is sent.
        errand.notes.append(refusal(error))
    except CredentialsRefused as error:
        return tested(errand, error)
    except DeliveryError as error:
        return try_again(errand, error)
    is_owed = is_still_active(
        errand.person, errand.tenant.policy, errand.today, awaits_last_day=errand.last_day is not None
    )
    return Settled(tuple(errand.notes), should_be_inactive=is_owed)


def _bring_about(errand: Errand, undo: Undo | None) -> None:
    person = errand.person
    if person.hands_off is not None and person.hands_off.lasts(errand.today):
        errand.notes.append(aside_note(person.hands_off))
        return
    _wait_for_doubt(errand)
    if errand.scope is not None:
        bring_about_rows(errand, errand.scope)
        return
    looked = look_at_holders(errand)
    if looked.has_changed:
        return  # He was marked due, and goes round again with what is known now.
    if person.employee_number is not None:
        align(errand)
    elif (created := find_created(errand)) is not None:
        align(errand, created)
    elif person.is_tombstone or not person.days.wants_employment(errand.today):
        settle_absence(errand)
    elif not errand.waits_for_claim:
        # Somebody not yet linked waits as a whole for a claim (rule P3).
        found = hire(errand)
        if found is not None:
            align(errand, found)
    if undo is None or not undo.is_to_come(errand):
        deliver_certificates(errand)
    if looked.trouble is not None:
        raise looked.trouble
    errand.notes += remarks(errand.person, errand.wish, last_day=errand.last_day)


def _wait_for_doubt(errand: Errand) -> None:
    """Neither read nor write while an earlier write may still be applied: no read would prove anything (rule C5).

    :raises NotYet: it is too early.
    """
    doubted_at = errand.person.doubted_at
    if doubted_at is None:
        return
    now, lag = errand.now(), errand.tenant.read_lag_seconds
    left = lag - (now - doubted_at).total_seconds()
    if left > 0 and is_recent(doubted_at, now, lag):
        raise NotYet("an earlier write may still be applied: its answer was lost", retry_after_seconds=left)

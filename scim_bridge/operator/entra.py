"""Entra's side of provisioning for an operator: the job in words, and the log of one person beside our answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from scim_bridge.domain.entra import (
    GONE,
    WORDS,
    Assignment,
    DirectoryUser,
    EntraReading,
    Job,
    JobReading,
    JobState,
    LogEntry,
    Stored,
    is_object_id,
)
from scim_bridge.domain.values import JsonObject
from scim_bridge.errors import EntraError, NotFound, SettingsError
from scim_bridge.operator.find import resolve
from scim_bridge.operator.history import SAID
from scim_bridge.operator.overview import last_call
from scim_bridge.plan.entra_side import Compared, in_scope, same_form, serving
from scim_bridge.reconcile.entra_compare import believed_of
from scim_bridge.reconcile.entra_read import EntraRead, Terms, terms_of
from scim_bridge.scim.mapping import Rules
from scim_bridge.scim.reading import read
from scim_bridge.storage.database import Session
from scim_bridge.storage.history import Entry
from scim_bridge.storage.people import PersonRecord
from scim_bridge.storage.refusals import RefusedWrite
from scim_bridge.storage.resources import document_of
from scim_bridge.tenant import ENTRA_NOT_SET, Entra, Tenant

MOST_OTHERS = 3
"""How many other people are asked for, to prove that links are shown at all."""

CURE_OF_LINK = "press *Provision on demand* for this user in Entra"

JOB_SECONDS = 100.0
"""How long reading the job for the metrics may take."""

SAME_MOMENT = timedelta(minutes=5)
"""How far Entra's log and our answer may be apart: the log has the time at which Entra dealt with the user."""

REASONS = {
    "EncounteredBaseEscrowThreshold": "too many people failed",
    "EncounteredTotalEscrowThreshold": "too many people failed",
    "EncounteredEscrowProportionThreshold": "too large a share of the people failed",
    "EncounteredQuarantineException": "the bridge could not be reached, or refused the credentials of Entra: "
    "*Test Connection*",
    "TooManyDeletes": "more people would leave than the accidental-deletion limit of Entra allows: they are waiting "
    "there. Check them, then *Allow deletes*",
    "QuarantinedOnDemand": "an administrator or Microsoft asked for it",
    "IngestionInterrupted": "reading the source was interrupted",
}


def entra_of(tenant: Tenant) -> Entra:
    """Return the way to Entra. :raises SettingsError: it is not set."""
    if tenant.entra is None:
        raise SettingsError(ENTRA_NOT_SET)
    return tenant.entra


@dataclass(frozen=True, slots=True)
class JobView:
    """The job at one moment."""

    job: Job
    now: datetime
    last_call_at: datetime | None
    """The last time that a token or client signed in to the bridge, as far as that is stored."""

    @property
    def state(self) -> JobState:
        """Return the state in one word."""
        return self.job.state(self.now)

    def document(self) -> JsonObject:
        job, quarantine = self.job, self.job.quarantine
        return {
            "state": self.state,
            "job": job.id,
            "code": job.code,
            "schedule": job.schedule,
            "interval_seconds": None if job.interval is None else job.interval.total_seconds(),
            "last_cycle": _cycle(job) if job.last.has_run else None,
            "last_success_at": None if job.last_success is None else job.last_success.ended_at,
            "next_cycle_at": job.next_at,
            "escrowed": job.last.escrowed,
            "escrows_pruned": job.escrows_pruned,
            "quarantine": None
            if quarantine is None
            else {
                "reason": quarantine.reason,
                "began_at": quarantine.began_at,
                "next_attempt_at": quarantine.next_attempt_at,
                "off_at": quarantine.off_at,
                "error_code": quarantine.error_code,
                "error": quarantine.error,
            },
            "last_call_at": self.last_call_at,
            "read_at": self.now,
        }

    def told(self) -> list[str]:
        """Return it in words, a sentence a line."""
        job, quarantine = self.job, self.job.quarantine
        shown = f" ({job.code}, schedule {job.schedule})" if self.state is JobState.unknown else ""
        lines = [f"{self.state}: {WORDS[self.state]}{shown}"]
        if quarantine is not None:
            why = REASONS.get(quarantine.reason)
            lines.append(f"Reason: {quarantine.reason}" + (f", {why}" if why else ""))
            if quarantine.error:
                lines.append(f"Entra's words: {quarantine.error}")
            lines.append(f"In quarantine since {_at(quarantine.began_at)}; next try {_at(quarantine.next_attempt_at)}")
            if quarantine.off_at is not None:
                lines.append(f"Entra switches the job off on {quarantine.off_at:%Y-%m-%d}, four weeks after its start")
        if job.last.has_run:
            lines.append(f"Last cycle: {job.last.state}, ended {_at(job.last.ended_at)}")
            if job.last.error and job.last.state == "Failed":
                lines.append(f"Entra's words: {job.last.error}")
        if quarantine is None and job.next_at is not None:
            lines.append(f"Next cycle: about {_at(job.next_at)}")
        if job.last.escrowed:
            lines.append(f"{job.last.escrowed} failed and are tried again: `entra log` shows why, for one person")
        if job.escrows_pruned:
            lines.append(
                "The first cycle had too many failures: their list was dropped. Restart provisioning once cured"
            )
        lines.append(f"The bridge was last called {_at(self.last_call_at)}")
        return lines


def _cycle(job: Job) -> JsonObject:
    last = job.last
    return {
        "state": last.state,
        "began_at": last.began_at,
        "ended_at": last.ended_at,
        "error_code": last.error_code,
        "error": last.error,
    }


def _at(moment: datetime | None) -> str:
    return "at a time that is not known" if moment is None else f"{moment:%Y-%m-%d %H:%M} UTC"


def job_view(tenant: Tenant) -> JobView:
    """Read the job now. :raises EntraError: it can't be read."""
    job = entra_of(tenant).job()
    with tenant.read() as s:
        return JobView(job, s.now, last_call(s))


def read_job(tenant: Tenant) -> JobReading:
    """Read the job, and store what it says for the metrics. Trouble is stored too: it never ends the process."""
    entra = entra_of(tenant)
    try:
        with entra.limited(JOB_SECONDS):
            job = entra.job()
    except EntraError as error:
        state, detail = "none" if error.code == "NoJob" else "unread", str(error)
        return tenant.transact(lambda s: s.entra_jobs.put(JobReading(s.now, state, detail=detail)))
    began_at = None if job.quarantine is None else job.quarantine.began_at
    return tenant.transact(lambda s: s.entra_jobs.put(JobReading(s.now, job.state(s.now), began_at, job.last.escrowed)))


@dataclass(frozen=True, slots=True)
class Traced:
    """An entry of Entra's log, and what the bridge answered at that moment."""

    entry: LogEntry
    status: int | None = None
    """The status of a refusal; None where the write was accepted, or no write is known."""

    answer: str | None = None

    def document(self) -> JsonObject:
        entry = self.entry
        return {
            "at": entry.at,
            "action": entry.action,
            "status": entry.status,
            "error_code": entry.error_code,
            "reason": entry.reason,
            "changed": list(entry.changed),
            "answer_status": self.status,
            "answer": self.answer,
        }


@dataclass(frozen=True, slots=True)
class Subject:
    """The user that a log is about."""

    object_id: str
    record: PersonRecord | None = None
    user_id: str | None = None
    refused: tuple[RefusedWrite, ...] = ()
    entries: tuple[Entry, ...] = ()


def subject_of(s: Session, rules: Rules, text: str) -> Subject:
    """Return the user that a text fits: as `people show`, or an object id in Entra that the bridge does not know.

    :raises NotFound: no person fits, or Entra's id of the person is not known.
    :raises Several: several people fit.
    """
    text = text.strip()
    try:
        found = resolve(s, rules, text)
    except NotFound:
        if not is_object_id(text):
            raise
        return Subject(text.lower())
    refused = tuple(each for each in s.refused_writes.all() if each.external_id or each.user_id)
    if isinstance(found, RefusedWrite):
        object_id = _object_id(found.external_id, text)
        return Subject(object_id, refused=tuple(each for each in refused if each.external_id == found.external_id))
    user_id = found.person.user_id
    document = document_of(s, user_id) if user_id is not None else None
    (listed,) = s.directory.of([found.person.id])
    external_id = document.get("externalId") if document is not None else listed.external_id
    about = tuple(
        each
        for each in refused
        if (user_id is not None and each.user_id == user_id) or (external_id and each.external_id == external_id)
    )
    return Subject(_object_id(external_id, text), found, user_id, about, tuple(s.history.of(found.person.id)))


def _object_id(external_id: object, text: str) -> str:
    if not is_object_id(external_id):
        raise NotFound(
            f"Entra's id of {text!r} is not known: the user's `externalId` is no object id. Map `objectId` to "
            "`externalId`, or give the object id itself"
        )
    return str(external_id).lower()


def traced(subject: Subject, entries: Sequence[LogEntry]) -> list[Traced]:
    """Return the log with our answer beside each entry that has our id of the user, or no id yet."""
    return [_traced(subject, entry) for entry in entries]


def _traced(subject: Subject, entry: LogEntry) -> Traced:
    is_ours = entry.target_id is None or subject.user_id is None or entry.target_id == subject.user_id
    if not is_ours:
        return Traced(entry)
    near = [each for each in subject.refused if each.at is not None and abs(each.at - entry.at) <= SAME_MOMENT]
    if near and entry.status.casefold() == "failure":
        return Traced(entry, near[-1].status, near[-1].detail)
    said = [
        each
        for each in subject.entries
        if each.what in SAID and each.at is not None and abs(each.at - entry.at) <= SAME_MOMENT
    ]
    if not said:
        return Traced(entry)
    closest = min(said, key=lambda each: abs((each.at or entry.at) - entry.at))
    return Traced(entry, None, f"accepted: {SAID[closest.what]}")


@dataclass(frozen=True, slots=True)
class EntraView:
    """One person as Entra has them now; who is assigned is as of the last complete read."""

    object_id: str
    exists: bool
    enabled: bool | None
    assigned: tuple[Assignment, ...]
    in_scope: bool | None
    """None where it is not known."""

    differs: tuple[tuple[str, str | None, str | None], ...]
    """By field: what Entra has, and what the SCIM user has."""

    link: bool | None
    """Whether Entra still links its user to the SCIM user; None where it does not show that."""

    doubts: tuple[str, ...]
    """Why it is not known as a whole who is assigned."""

    last_log: Traced | None
    read_at: datetime | None
    """When the assignments were read; None before they were."""

    def document(self) -> JsonObject:
        return {
            "object_id": self.object_id,
            "exists": self.exists,
            "enabled": self.enabled,
            "assigned": [{"by": "group" if each.via else "direct", "name": each.name} for each in self.assigned],
            "in_scope": self.in_scope,
            "differs": [{"field": name, "entra": theirs, "scim": ours} for name, theirs, ours in self.differs],
            "link": self.link,
            "last_log": None if self.last_log is None else self.last_log.document(),
            "read_at": self.read_at,
        }

    def told(self) -> list[str]:
        """Return it in words, a sentence a line."""
        words = ["there is no such user"]
        if self.exists:
            enabled = {True: "enabled", False: "disabled"}
            reasons = [each.name or each.via if each.via else "directly" for each in self.assigned]
            words = [enabled[self.enabled] if self.enabled is not None else "enabled or not: not shown"]
            if self.read_at is not None:
                unassigned = "assigned or not: not known" if self.doubts else "not assigned"
                words.append(f"assigned ({', '.join(reasons)})" if reasons else unassigned)
        as_of = "" if self.read_at is None else f" (assignments of {self.read_at:%Y-%m-%d %H:%M} UTC)"
        lines = [f"In Entra now: {', '.join(words)}{as_of}"]
        if not self.assigned:
            lines += [f"Not known as a whole: {doubt}" for doubt in self.doubts]
        if self.link is False:
            lines.append("Entra links its user to no user here, so it sends no change and no ending: " + CURE_OF_LINK)
        lines += [
            f"{name} is {theirs or 'empty'} in Entra, {ours or 'empty'} here" for name, theirs, ours in self.differs
        ]
        if self.last_log is not None:
            entry = self.last_log.entry
            why = f": {entry.reason}" if entry.reason else ""
            lines.append(f"Entra's log: {entry.action}, {entry.status}, {entry.at:%Y-%m-%d %H:%M} UTC{why}")
        return lines


def entra_side_of(tenant: Tenant, document: JsonObject | None) -> EntraView | None:
    """Read one user in Entra now. None where Entra is not read, or the user's object id is not known.

    :param document: The SCIM user; None for a deleted one.
    :raises EntraError: Entra can't be read.
    """
    external_id = (document or {}).get("externalId")
    if tenant.entra is None or document is None or not is_object_id(external_id):
        return None
    entra, object_id = tenant.entra, str(external_id).lower()
    terms = terms_of(tenant, entra)
    user = entra.user(object_id, terms.attributes)
    reader = EntraRead(tenant, entra, terms, tenant.new_id(), lambda stage, done, total: None)
    with tenant.read() as s:
        marked = s.entra.marked()
        reasons = tuple(each for each in s.entra.assignments_of(object_id) if not each.is_nested)
        reading = marked or EntraReading("", s.now, s.now, "", None, 0, 0)
        believed = believed_of(s, tenant, terms, reading, reader)
    stored = Stored(None, {}, GONE) if user is None else reader.stored(user)
    compared = [] if user is None else list(serving(document, stored, believed))
    is_known = marked is not None or terms.all_users
    differing = (_differing(document, user, each, tenant.rules) for each in compared)
    return EntraView(
        object_id=object_id,
        exists=user is not None,
        enabled=None if user is None else user.enabled,
        assigned=reasons,
        in_scope=in_scope(stored, bool(reasons), believed) if is_known else None,
        differs=tuple(each for each in differing if each is not None),
        link=_link(tenant, entra, terms, object_id, document),
        doubts=reading.doubts,
        last_log=_last_log(entra, object_id),
        read_at=None if marked is None else marked.read_at,
    )


def _differing(
    document: JsonObject, user: DirectoryUser | None, compared: Compared, rules: Rules
) -> tuple[str, str | None, str | None] | None:
    if user is None or compared.attribute not in user.values:
        return None
    theirs, ours = user.values[compared.attribute], read(document, compared.path)
    is_same = same_form(compared, theirs, rules) == same_form(compared, ours, rules)
    if is_same or (compared.is_formatted and theirs is not None):
        return None
    return compared.name, theirs, None if ours is None else str(ours)


def _link(tenant: Tenant, entra: Entra, terms: Terms, object_id: str, document: JsonObject) -> bool | None:
    """Return whether Entra links its user to the SCIM user; None where it is not shown.

    "There is none" is also the answer of a Graph, or for an application, that shows no links: another person's proves
    that they are shown.
    """
    if terms.job is None:
        return None
    try:
        target = entra.target_of(terms.job.id, object_id)
        if target is not None:
            return target == document.get("id")
        with tenant.read() as s:
            others = [each.lower() for each in s.entra.some_active(MOST_OTHERS + 1)]
        proofs = [each for each in others if each != object_id and is_object_id(each)][:MOST_OTHERS]
        return False if any(entra.target_of(terms.job.id, each) is not None for each in proofs) else None
    except EntraError:
        return None


def _last_log(entra: Entra, object_id: str) -> Traced | None:
    """Return the last entry of Entra's log; None where there is none, or it may not be read."""
    try:
        entries = entra.log_of(object_id, most=1)
    except EntraError:
        return None
    return Traced(entries[0]) if entries else None

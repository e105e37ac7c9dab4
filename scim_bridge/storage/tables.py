"""The tables of people, documents and certificates, and their column types. All have the tenant, indexes too."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Date,
    DateTime,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine

from scim_bridge.domain.employee import Value

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_N_label)s",
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    }
)


class UtcDateTime(TypeDecorator[datetime]):
    """An instant with the time zone UTC. SQLite returns instants without one, and this adds it again."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> Callable[[datetime | None], object] | None:
        """Return what makes a parameter. A write has a dozen instants: the library's own way takes much longer."""
        return _text_in_utc if dialect.name == "sqlite" else super().bind_processor(dialect)

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse instants without a time zone, and store UTC."""
        return None if value is None else _in_utc(value)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return UTC, with whatever time zone the driver returns it."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _in_utc(value: datetime) -> datetime:
    if value.tzinfo is UTC:
        return value
    if value.tzinfo is None:
        raise ValueError("an instant without a time zone can't be stored")
    return value.astimezone(UTC)


def _text_in_utc(value: datetime | None) -> str | None:
    """Return the text that SQLAlchemy's `DateTime` stores in SQLite."""
    return None if value is None else _in_utc(value).replace(tzinfo=None).isoformat(" ", "microseconds")


def json_column() -> TypeEngine[Any]:
    """Return the type of searchable JSON: JSONB on PostgreSQL, JSON text on SQLite."""
    return JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


def exact_text() -> TypeEngine[str]:
    """Return the type of text that is compared byte by byte, so that both databases sort and compare like Python."""
    return Text().with_variant(Text(collation="C"), "postgresql")


breakers = Table(
    "breakers",
    metadata,
    # One row for each tenant, shared by all processes (rule D2).
    Column("tenant", exact_text(), primary_key=True),
    Column("opened_at", UtcDateTime),
    # For the operator: ids, no personal data.
    Column("why", Text),
    # The probe: the one person who is tried while the breaker is open, and their lease.
    Column("next_probe_at", UtcDateTime),
    Column("probes", Integer, nullable=False, server_default=text("0")),
    Column("probe_person_id", exact_text()),
    Column("probe_lease", exact_text()),
    # The people whose deliveries met a fault since the last successful delivery (rule R3).
    Column("suspects", json_column()),
    Column("on_trial", Boolean, nullable=False, server_default=text("false")),
    Column("quiet_until", UtcDateTime),
    # Since when deliveries are paused by the operator (rule D4). It is read together with the breaker.
    Column("paused_at", UtcDateTime),
)


certificate_entries = Table(
    "certificate_entries",
    metadata,
    Column("tenant", exact_text(), primary_key=True),
    # The id of the SCIM resource, for every source.
    Column("id", exact_text(), primary_key=True),
    # `person` and the person's id, or `employee-number` and a number without a linked person.
    Column("holder_kind", exact_text(), nullable=False),
    Column("holder", exact_text(), nullable=False),
    Column("type", exact_text(), nullable=False),
    Column("source", exact_text(), nullable=False),
    # The holder's number, if it is known, for lists and filters.
    Column("employee_number", exact_text()),
    Column("number", Text),
    Column("issued", Date, nullable=False),
    # Empty if there is no expiry date.
    Column("valid_until", Date),
    Column("notes", Text),
    # Whether this is the entry that Ditio should have.
    Column("wins", Boolean, nullable=False),
    Column("version", Integer, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("last_modified_at", UtcDateTime, nullable=False),
    # The client's own id of the entry; only entries of `/Certificates` have one (RFC 7643 §3.1).
    Column("external_id", exact_text()),
)
_line = (certificate_entries.c.tenant, certificate_entries.c.holder_kind, certificate_entries.c.holder)
Index("uq_certificate_entries_source", *_line, certificate_entries.c.type, certificate_entries.c.source, unique=True)
Index(
    "uq_certificate_entries_winner",
    *_line,
    certificate_entries.c.type,
    unique=True,
    sqlite_where=certificate_entries.c.wins,
    postgresql_where=certificate_entries.c.wins,
)
Index("ix_certificate_entries_number", certificate_entries.c.tenant, certificate_entries.c.employee_number)
Index("ix_certificate_entries_valid_until", certificate_entries.c.tenant, certificate_entries.c.valid_until)
# Which types there are. Only a statement that says it in these words uses the index on SQLite: those about one holder
# have a better one.
IS_WINNING = text("wins")
Index(
    "ix_certificate_entries_type",
    certificate_entries.c.tenant,
    certificate_entries.c.type,
    sqlite_where=IS_WINNING,
    postgresql_where=IS_WINNING,
)

certificate_ledger = Table(
    "certificate_ledger",
    metadata,
    # One line for each holder and type. It exists as long as a source has an entry, or Ditio has the certificate.
    Column("tenant", exact_text(), primary_key=True),
    Column("holder_kind", exact_text(), primary_key=True),
    Column("holder", exact_text(), primary_key=True),
    Column("type", exact_text(), primary_key=True),
    # What Ditio accepted with a 2xx, when, and under which employee number; empty before that.
    Column("acknowledged_at", UtcDateTime),
    Column("acknowledged_under", exact_text()),
    Column("acknowledged_number", Text),
    Column("acknowledged_issued", Date),
    Column("acknowledged_valid_until", Date),
    Column("acknowledged_notes", Text),
    # Whether that was a withdrawal (rule K5), and whether all of it has to be sent again (rule K2).
    Column("is_withdrawn", Boolean, nullable=False, server_default=text("false")),
    Column("is_stale", Boolean, nullable=False, server_default=text("false")),
    # The issue date of a certificate that is being POSTed, until the outcome is known (rule R4).
    Column("sending", Date),
    # Why it is held or parked, with Ditio's words.
    Column("reason", exact_text()),
    Column("detail", Text),
)
Index("ix_certificate_ledger_acknowledged_at", certificate_ledger.c.tenant, certificate_ledger.c.acknowledged_at)


guarded = Table(
    "guarded",
    metadata,
    Column("tenant", exact_text(), primary_key=True),
    Column("kind", exact_text(), primary_key=True),
    Column("person_id", exact_text(), primary_key=True),
    # When the change was requested, by which it is counted. It is the present change if `people` has the same time.
    Column("said_at", UtcDateTime, primary_key=True),
    Column("verdict", exact_text(), nullable=False),
    # Why it is held, for the operator: figures and settings.
    Column("why", Text),
    Column("decided_at", UtcDateTime, nullable=False),
)
Index("ix_guarded_said_at", guarded.c.tenant, guarded.c.kind, guarded.c.said_at)
Index("ix_guarded_person", guarded.c.tenant, guarded.c.person_id)
Index("ix_guarded_decided_at", guarded.c.tenant, guarded.c.decided_at)


resources = Table(
    "resources",
    metadata,
    Column("tenant", exact_text(), primary_key=True),
    Column("id", exact_text(), primary_key=True),
    Column("resource_type", exact_text(), nullable=False),
    # What the client sent, after all patches, with unchanged values: the JSON text that is returned to clients.
    Column("document", Text, nullable=False),
    # The same values, folded for comparison (rule A8), in the form that filters use.
    Column("keys", json_column(), nullable=False),
    Column("user_name_key", exact_text()),
    Column("external_id_key", exact_text()),
    Column("work_email_key", exact_text()),
    Column("display_name_key", exact_text()),
    Column("version", Integer, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("last_modified_at", UtcDateTime, nullable=False),
)
Index(
    "uq_resources_user_name",
    resources.c.tenant,
    resources.c.resource_type,
    resources.c.user_name_key,
    unique=True,
    sqlite_where=resources.c.user_name_key.is_not(None),
    postgresql_where=resources.c.user_name_key.is_not(None),
)
for _column in ("external_id_key", "work_email_key", "display_name_key"):
    Index(f"ix_resources_{_column}", resources.c.tenant, resources.c.resource_type, resources.c[_column])
Index("ix_resources_type", resources.c.tenant, resources.c.resource_type, resources.c.id)

people = Table(
    "people",
    metadata,
    Column("tenant", exact_text(), primary_key=True),
    Column("id", exact_text(), primary_key=True),
    Column("user_id", exact_text()),
    # Kept for a tombstone, so that a user who is created again can be recognised (rule P2).
    Column("external_id", exact_text()),
    # The link (rule P1): the employee's number as acknowledged.
    Column("employee_number", exact_text()),
    Column("linked_at", UtcDateTime),
    # Ditio's id of that employee's profile, if shown. It reveals another person who got the number (rule P5).
    Column("company_profile_id", exact_text()),
    # The values that identify the employee, if none agreed with the user, and an operator linked them anyway.
    Column("linked_as", json_column()),
    # The creation or change of number that is about to be sent, stored before the call (rule P6).
    Column("creating", json_column()),
    Column("renumbering", exact_text()),
    # The days that intake decided (rule L1).
    Column("active", Boolean, nullable=False),
    Column("active_since", Date),
    Column("inactive_since", Date),
    Column("leave_date", Date),
    Column("leave_is_stale", Boolean, nullable=False, server_default=text("false")),
    Column("provisioned_on", Date),
    Column("wakes_on", Date),
    # Hands-off: the operator stopped deliveries. No day means until the operator clears it (rule D6).
    Column("hands_off", Boolean, nullable=False, server_default=text("false")),
    Column("hands_off_until", Date),
    # When each change that is still to be sent was requested: it identifies the change, and its hour (rule L8).
    Column("ending_said_at", UtcDateTime),
    Column("ending_is_announced", Boolean, nullable=False, server_default=text("false")),
    Column("creation_said_at", UtcDateTime),
    Column("phone_said_at", UtcDateTime),
    Column("employee_number_said_at", UtcDateTime),
    # The due mark (rules D1, D3).
    Column("state", exact_text(), nullable=False),
    Column("reason", exact_text()),
    Column("detail", Text),
    Column("state_since", UtcDateTime, nullable=False),
    Column("delivered_at", UtcDateTime),
    Column("due_since", UtcDateTime),
    Column("due_at", UtcDateTime),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    # Failed, while another person's delivery succeeded since: it does not count against Ditio (rule R3).
    Column("fails_alone", Boolean, nullable=False, server_default=text("false")),
    # Counts the changes from Entra: a process that delivers an older revision delivers again.
    Column("revision", Integer, nullable=False, server_default=text("1")),
    Column("request_id", exact_text()),
    Column("lease", exact_text()),
    Column("leased_until", UtcDateTime),
    # When a write was sent whose outcome is unknown: no read is believed until the read lag is over (rule C5).
    Column("doubted_at", UtcDateTime),
    # A drift mark's scope (rule Q3): plan, rows, and the state before. Empty for a person who is due as a whole.
    Column("scope", json_column()),
    Column("created_at", UtcDateTime, nullable=False),
    Column("deleted_at", UtcDateTime),
    # What the user was called when Entra deleted it, so that operators find the person.
    Column("deleted_user_name", Text),
)
Index("uq_people_user", people.c.tenant, people.c.user_id, unique=True)
Index("uq_people_employee", people.c.tenant, people.c.employee_number, unique=True)
Index(
    "ix_people_due",
    people.c.tenant,
    people.c.due_at,
    sqlite_where=people.c.state == text("'due'"),
    postgresql_where=people.c.state == text("'due'"),
)
Index("ix_people_state", people.c.tenant, people.c.state, people.c.reason)
Index(
    "ix_people_wakes_on",
    people.c.tenant,
    people.c.wakes_on,
    sqlite_where=people.c.wakes_on.is_not(None),
    postgresql_where=people.c.wakes_on.is_not(None),
)

Index(
    "ix_people_hands_off_until",
    people.c.tenant,
    people.c.hands_off_until,
    sqlite_where=people.c.hands_off_until.is_not(None),
    postgresql_where=people.c.hands_off_until.is_not(None),
)

acknowledged = Table(
    "acknowledged",
    metadata,
    Column("tenant", exact_text(), primary_key=True),
    Column("person_id", exact_text(), primary_key=True),
    # Ditio's name of the field, or `login` or `employment`.
    Column("field", exact_text(), primary_key=True),
    Column("value", json_column()),
    Column("acknowledged_at", UtcDateTime, nullable=False),
    # The person's revision that was delivered: it distinguishes a changed user from a changed mapping (rule Q1).
    Column("revision", Integer, nullable=False),
    # The SCIM attribute that the value came from: its changes are sent, and no other replaces it unnoticed (rule C3).
    Column("source", exact_text()),
    # When Ditio last accepted the value from us, and how it reads back (rules C2, C5); empty if it was only read.
    Column("taken_at", UtcDateTime),
    Column("before", json_column()),
    Column("shown", json_column()),
    Column("form", json_column()),
    Column("is_confirmed", Boolean, nullable=False, server_default=text("false")),
    Column("rounds", Integer, nullable=False, server_default=text("0")),
)

claims = Table(
    "claims",
    metadata,
    Column("tenant", exact_text(), primary_key=True),
    Column("kind", exact_text(), primary_key=True),
    Column("value", exact_text(), primary_key=True),
    Column("person_id", exact_text(), nullable=False),
)
Index("ix_claims_person", claims.c.tenant, claims.c.person_id)

claim_waiters = Table(
    "claim_waiters",
    metadata,
    Column("tenant", exact_text(), primary_key=True),
    Column("kind", exact_text(), primary_key=True),
    Column("value", exact_text(), primary_key=True),
    Column("person_id", exact_text(), primary_key=True),
    # Whether `outbox retry` asked to check the holder in Ditio before the next attempt (rule P3).
    Column("reads_holder", Boolean, nullable=False, server_default=text("false")),
)
Index("ix_claim_waiters_person", claim_waiters.c.tenant, claim_waiters.c.person_id)

adoption_permissions = Table(
    "adoption_permissions",
    metadata,
    # Used once: an operator said that this employee is this user (rule H1).
    Column("tenant", exact_text(), primary_key=True),
    Column("employee_number", exact_text(), primary_key=True),
    Column("user_name_key", exact_text(), primary_key=True),
    Column("granted_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
)

history = Table(
    "history",
    metadata,
    Column("tenant", exact_text(), primary_key=True),
    Column("id", exact_text(), primary_key=True),
    Column("person_id", exact_text(), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("what", exact_text(), nullable=False),
    Column("cause", exact_text()),
    Column("outcome", exact_text(), nullable=False),
    Column("status", Integer),
    # Connects Entra's request, our delivery and Ditio's call.
    Column("request_id", exact_text()),
    Column("ditio_request_id", exact_text()),
    Column("duration_ms", Integer),
)
Index("ix_history_person", history.c.tenant, history.c.person_id, history.c.at)
# For removing old rows, and for reading the latest ones.
Index("ix_history_at", history.c.tenant, history.c.at)
# What Entra wrote, and the calls to Ditio: only they took time. The chart of a week counts them without their rows.
IS_ACTIVITY = text("(duration_ms IS NOT NULL OR (what >= 'user-' AND what < 'user.'))")
Index(
    "ix_history_activity",
    history.c.tenant,
    history.c.at,
    history.c.what,
    history.c.outcome,
    sqlite_where=IS_ACTIVITY,
    postgresql_where=IS_ACTIVITY,
)

refused_writes = Table(
    "refused_writes",
    metadata,
    # One row for each person whose last write was answered 400 or 409; a limited number for each tenant.
    Column("tenant", exact_text(), primary_key=True),
    # The id of the SCIM user; without one, its `externalId` and user name.
    Column("subject", exact_text(), primary_key=True),
    # Empty if the refused write would have created the user.
    Column("user_id", exact_text()),
    Column("external_id", exact_text()),
    Column("user_name", Text),
    Column("user_name_key", exact_text()),
    Column("employee_number", Text),
    Column("name", Text),
    # The answer, as Entra's provisioning log shows it.
    Column("status", Integer, nullable=False),
    Column("scim_type", exact_text()),
    Column("detail", Text),
    Column("at", UtcDateTime, nullable=False),
    Column("request_id", exact_text()),
)

quirks = Table(
    "quirks",
    metadata,
    Column("tenant", exact_text(), primary_key=True),
    # The kind of departure from the RFCs, and the name of the attribute; never a value (rule A7).
    Column("kind", exact_text(), primary_key=True),
    Column("name", exact_text(), primary_key=True),
    # How many committed writes had it.
    Column("count", Integer, nullable=False),
    Column("first_seen", UtcDateTime, nullable=False),
    Column("last_seen", UtcDateTime, nullable=False),
)


Stored = str | int | dict[str, str] | None


def to_stored(value: Value | None) -> Stored:
    """Return a value as JSON; a day as ``{"day": "2026-03-01"}``."""
    return {"day": value.isoformat()} if isinstance(value, date) else value


def from_stored(stored: Stored) -> Value | None:
    """Return the value of its stored form."""
    return date.fromisoformat(stored["day"]) if isinstance(stored, dict) else stored

"""The tables. Every one carries the tenant, and so does every index."""

from sqlalchemy import (
    Boolean,
    Column,
    Date,
    Index,
    Integer,
    Table,
    Text,
    text,
)

from scim_bridge.storage.metadata import metadata
from scim_bridge.storage.types import UtcDateTime, exact_text, json_column

resources = Table(
    "resources",
    metadata,
    Column("tenant", exact_text(), primary_key=True),
    Column("id", exact_text(), primary_key=True),
    Column("resource_type", exact_text(), nullable=False),
    # What the client sent, after the patches, values unchanged: the JSON text that is served again.
    Column("document", Text, nullable=False),
    # The same values folded for comparison (rule A8), in the form that filters look into.
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
    # Kept for a tombstone, so that whoever is created again can be recognised (rule P2).
    Column("external_id", exact_text()),
    # The link (rule P1): the employee's number as acknowledged.
    Column("employee_number", exact_text()),
    Column("linked_at", UtcDateTime),
    # Ditio's id of that employee's profile, where it shows one: it tells a stranger who got the number (rule P5).
    Column("company_profile_id", exact_text()),
    # What told who they were, where nothing agreed with the user and an operator linked them all the same.
    Column("linked_as", json_column()),
    # What was about to be created or renumbered, stored before the call (rule P6).
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
    # Put aside by the operator, and until which day; no day means until it is cleared (rule D6).
    Column("hands_off", Boolean, nullable=False, server_default=text("false")),
    Column("hands_off_until", Date),
    # When what is still to be sent was said: which hour it counts in, and which change it is (rule L8).
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
    # Failed, and another's delivery went well since: no witness against Ditio (rule R3).
    Column("fails_alone", Boolean, nullable=False, server_default=text("false")),
    # Counts what Entra said: whoever delivers an older revision goes round again.
    Column("revision", Integer, nullable=False, server_default=text("1")),
    Column("request_id", exact_text()),
    Column("lease", exact_text()),
    Column("leased_until", UtcDateTime),
    # When a write was sent whose outcome is not known: no read is believed before that is over (rule C5).
    Column("doubted_at", UtcDateTime),
    # A drift mark's scope (rule Q3): plan, rows, and the state before. Empty for whoever is due as a whole.
    Column("scope", json_column()),
    Column("created_at", UtcDateTime, nullable=False),
    Column("deleted_at", UtcDateTime),
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
    # The person's revision whose wish it was: tells a changed document from a changed mapping (rule Q1).
    Column("revision", Integer, nullable=False),
    # Which SCIM attribute served: its changes are followed, and no other takes over unnoticed (rule C3).
    Column("source", exact_text()),
    # When Ditio last took the value from us, and what it made of it (rules C2, C5); empty for what was only read.
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
    # Whether the holder is to be looked at in Ditio before the next try: `outbox retry` asked for it (rule P3).
    Column("reads_holder", Boolean, nullable=False, server_default=text("false")),
)
Index("ix_claim_waiters_person", claim_waiters.c.tenant, claim_waiters.c.person_id)

adoption_permissions = Table(
    "adoption_permissions",
    metadata,
    # One-time: an operator said that this employee is this user (rule H1).
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
    # Joins Entra's request, our delivery and Ditio's call.
    Column("request_id", exact_text()),
    Column("ditio_request_id", exact_text()),
    Column("duration_ms", Integer),
)
Index("ix_history_person", history.c.tenant, history.c.person_id, history.c.at)
# By which age is removed, and the latest looked at.
Index("ix_history_at", history.c.tenant, history.c.at)

quirks = Table(
    "quirks",
    metadata,
    Column("tenant", exact_text(), primary_key=True),
    # What kind of departure from the RFCs it was, and the name of the attribute; never a value (rule A7).
    Column("kind", exact_text(), primary_key=True),
    Column("name", exact_text(), primary_key=True),
    # In how many writes that were committed.
    Column("count", Integer, nullable=False),
    Column("first_seen", UtcDateTime, nullable=False),
    Column("last_seen", UtcDateTime, nullable=False),
)

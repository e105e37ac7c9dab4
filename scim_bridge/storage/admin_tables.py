"""The tables of credentials, the audit trail, `adopt` and `reconcile`."""

from sqlalchemy import Boolean, Column, Date, Index, Integer, Table, Text, text

from scim_bridge.storage.tables import UtcDateTime, exact_text, json_column

# Who imports it from here knows all tables.
from scim_bridge.storage.tables import metadata as metadata

tokens = Table(
    "tokens",
    metadata,
    Column("tenant", exact_text(), primary_key=True),
    Column("id", exact_text(), primary_key=True),
    Column("name", Text, nullable=False),
    Column("secret_hash", exact_text(), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime),
    Column("last_used_at", UtcDateTime),
    Column("revoked_at", UtcDateTime),
)
Index("uq_tokens_secret_hash", tokens.c.secret_hash, unique=True)

secrets = Table(
    "secrets",
    metadata,
    Column("tenant", exact_text(), primary_key=True),
    Column("name", exact_text(), primary_key=True),
    # Random, made once, and the same for all processes; it never leaves the server.
    Column("value", exact_text(), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)

clients = Table(
    "clients",
    metadata,
    Column("tenant", exact_text(), primary_key=True),
    Column("id", exact_text(), primary_key=True),
    Column("name", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("last_used_at", UtcDateTime),
    Column("revoked_at", UtcDateTime),
)

client_secrets = Table(
    "client_secrets",
    metadata,
    Column("tenant", exact_text(), primary_key=True),
    Column("secret_hash", exact_text(), primary_key=True),
    Column("client_id", exact_text(), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime),
    # Shows which of several secrets Entra uses: a rotation ends only the older ones.
    Column("last_used_at", UtcDateTime),
    Column("revoked_at", UtcDateTime),
)
Index("ix_client_secrets_client", client_secrets.c.tenant, client_secrets.c.client_id)

access_tokens = Table(
    "access_tokens",
    metadata,
    Column("tenant", exact_text(), primary_key=True),
    Column("secret_hash", exact_text(), primary_key=True),
    # A client's id, or the subject of an assertion.
    Column("client_id", exact_text(), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
)
Index("ix_access_tokens_expires_at", access_tokens.c.tenant, access_tokens.c.expires_at)
Index("ix_access_tokens_client", access_tokens.c.tenant, access_tokens.c.client_id)

# Administrators who are signed in to the console: a row for each company that a session may see. A link that was not
# used yet is a row too.
console_sessions = Table(
    "console_sessions",
    metadata,
    Column("tenant", exact_text(), primary_key=True),
    Column("secret_hash", exact_text(), primary_key=True),
    # `link` or `session`.
    Column("kind", exact_text(), nullable=False),
    Column("role", exact_text(), nullable=False),
    # Who it is, for the audit trail.
    Column("name", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("last_used_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
)


adoption_runs = Table(
    "adoption_runs",
    metadata,
    Column("tenant", exact_text(), primary_key=True),
    Column("id", exact_text(), primary_key=True),
    Column("started_at", UtcDateTime, nullable=False),
)

adoption_pairs = Table(
    "adoption_pairs",
    metadata,
    Column("tenant", exact_text(), primary_key=True),
    Column("run_id", exact_text(), primary_key=True),
    Column("person_id", exact_text(), primary_key=True),
    Column("employee_number", exact_text(), primary_key=True),
    Column("user_name", Text, nullable=False),
    Column("revision", Integer, nullable=False),
    # What user and employee have in common; `skip` if an operator said that they are not the same person.
    Column("by", exact_text(), nullable=False),
    # Why an operator has to decide; empty for an exact pair.
    Column("why", Text),
    Column("contends", Boolean, nullable=False),
)
Index(
    "ix_adoption_pairs_employee",
    adoption_pairs.c.tenant,
    adoption_pairs.c.run_id,
    adoption_pairs.c.employee_number,
)


audit = Table(
    "audit",
    metadata,
    Column("tenant", exact_text(), primary_key=True),
    # Begins with the instant, so the key alone sorts, finds and ages the rows.
    Column("id", exact_text(), primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    Column("actor", exact_text(), nullable=False),
    Column("actor_id", exact_text()),
    Column("action", exact_text(), nullable=False),
    Column("resource_type", exact_text(), nullable=False),
    Column("resource_id", exact_text()),
    Column("person_id", exact_text()),
    # Names of attributes, never values.
    Column("attributes", json_column()),
    Column("detail", exact_text()),
    Column("request_id", exact_text()),
)
# Each write keeps it up, which costs a hundredth of a write. Without it, one person's rows are looked for among all.
Index("ix_audit_person", audit.c.tenant, audit.c.person_id)
# Nearly all rows are of Entra's writes, which do not pay for this index.
IS_RARE = text("action NOT IN ('created', 'changed')")
Index(
    "ix_audit_rare",
    audit.c.tenant,
    audit.c.action,
    audit.c.id,
    sqlite_where=IS_RARE,
    postgresql_where=IS_RARE,
)


reconcile_runs = Table(
    "reconcile_runs",
    metadata,
    Column("tenant", exact_text(), primary_key=True),
    Column("id", exact_text(), primary_key=True),
    # The plan that the run made or applied. A plan has the id of the run that made it.
    Column("plan_id", exact_text(), nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    # Empty for a run that is still running, or crashed.
    Column("finished_at", UtcDateTime),
    Column("exit", Integer),
    # Employees that Ditio showed. If this read was complete and believed, the next one is compared with it (rule Q4).
    Column("shown", Integer),
    Column("is_believed", Boolean, nullable=False, server_default=text("false")),
    # Whether it was about all people and every kind.
    Column("is_whole", Boolean, nullable=False, server_default=text("false")),
    Column("linked", Integer, nullable=False, server_default=text("0")),
    Column("at_work", Integer, nullable=False, server_default=text("0")),
    Column("people", Integer, nullable=False, server_default=text("0")),
    Column("in_sync", Integer, nullable=False, server_default=text("0")),
    Column("by_kind", json_column()),
    Column("new", Integer, nullable=False, server_default=text("0")),
    Column("applied", Integer, nullable=False, server_default=text("0")),
    # Why a guard stopped the run: figure and limit.
    Column("stopped", Text),
)
Index("ix_reconcile_runs_started", reconcile_runs.c.tenant, reconcile_runs.c.started_at)

plan_items = Table(
    "plan_items",
    metadata,
    Column("tenant", exact_text(), primary_key=True),
    Column("plan_id", exact_text(), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("kind", exact_text(), nullable=False),
    Column("cause", exact_text(), nullable=False),
    Column("person_id", exact_text()),
    Column("revision", Integer),
    Column("employee_number", exact_text()),
    Column("field", exact_text()),
    Column("listed", Text),
    # Blanked by erasure and age (rule Q5); everything else of a plan is immutable.
    Column("user_name", Text),
    Column("wanted", json_column()),
    Column("found", json_column()),
    Column("acknowledged", json_column()),
    Column("is_blank", Boolean, nullable=False, server_default=text("false")),
)
Index("ix_plan_items_person", plan_items.c.tenant, plan_items.c.person_id)
# The order in which a plan is read, kind by kind: a page is taken from it without a row of the table.
Index(
    "ix_plan_items_order",
    plan_items.c.tenant,
    plan_items.c.plan_id,
    plan_items.c.kind,
    plan_items.c.employee_number,
    plan_items.c.person_id,
    plan_items.c.position,
    plan_items.c.cause,
)
# Few rows are only listed, or were blanked. To count the others, these are counted, and no other row is looked at.
IS_LISTED = text("(listed IS NOT NULL OR is_blank)")
Index(
    "ix_plan_items_listed",
    plan_items.c.tenant,
    plan_items.c.plan_id,
    plan_items.c.kind,
    sqlite_where=IS_LISTED,
    postgresql_where=IS_LISTED,
)

plan_outcomes = Table(
    "plan_outcomes",
    metadata,
    Column("tenant", exact_text(), primary_key=True),
    Column("plan_id", exact_text(), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    # Why the row was skipped, in words without values; empty if it was repaired.
    Column("skipped", Text),
)

PLAN_TABLES = (plan_items, plan_outcomes)
"""The tables with the rows of a plan."""

snapshot = Table(
    "snapshot",
    metadata,
    Column("tenant", exact_text(), primary_key=True),
    Column("run_id", exact_text(), primary_key=True),
    Column("employee_number", exact_text(), primary_key=True),
    # The number regardless of case and leading zeros (rule P4).
    Column("number_key", exact_text(), nullable=False),
    Column("phone_key", exact_text()),
    Column("email_key", exact_text()),
    Column("company", exact_text()),
    # The fields that the fingerprint covers, and the fingerprint.
    Column("shown", exact_text(), nullable=False),
    Column("digest", exact_text(), nullable=False),
    Column("found", Text, nullable=False),
)
for _column in ("number_key", "phone_key", "email_key"):
    Index(f"ix_snapshot_{_column}", snapshot.c.tenant, snapshot.c.run_id, snapshot.c[_column])

# The people that the last comparison found in sync, and what shows that nothing has changed since.
in_sync = Table(
    "in_sync",
    metadata,
    Column("tenant", exact_text(), primary_key=True),
    Column("person_id", exact_text(), primary_key=True),
    # The person at that time. Every write from Entra and every delivery changes one of these columns.
    Column("employee_number", exact_text(), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("state_since", UtcDateTime, nullable=False),
    # The fingerprint of the employee as shown; and the settings and the version of the comparison.
    Column("digest", exact_text(), nullable=False),
    Column("basis", exact_text(), nullable=False),
    Column("is_at_work", Boolean, nullable=False),
)

schedules = Table(
    "schedules",
    metadata,
    Column("tenant", exact_text(), primary_key=True),
    Column("task", exact_text(), primary_key=True),
    Column("started_at", UtcDateTime),
    # While a process runs the task: until when it counts as alive, and which process it is.
    Column("alive_until", UtcDateTime),
    Column("holder", exact_text()),
)

# What operators were told, so that they are told once: a row lasts as long as its occasion.
notices = Table(
    "notices",
    metadata,
    Column("tenant", exact_text(), primary_key=True),
    Column("kind", exact_text(), primary_key=True),
    # What of that kind: a person's id, a kind of change; often nothing.
    Column("key", exact_text(), primary_key=True),
    # What it was when it was seen last: a reason, a count, the id of a run.
    Column("figure", exact_text(), nullable=False),
    Column("since", UtcDateTime, nullable=False),
    # Empty while it may pass by itself.
    Column("told_at", UtcDateTime),
    # When it was found to be over. If it comes back soon, it is the same occasion.
    Column("over_at", UtcDateTime),
)

# Notices that are still to be sent: one row for each channel, removed once the receiver has accepted it.
notice_messages = Table(
    "notice_messages",
    metadata,
    Column("tenant", exact_text(), primary_key=True),
    Column("channel", exact_text(), primary_key=True),
    Column("id", exact_text(), primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    # Counts, ids and words; no personal data.
    Column("message", json_column(), nullable=False),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("due_at", UtcDateTime, nullable=False),
    # Why the last attempt failed.
    Column("why", Text),
)

# What the last read of Entra's provisioning job found: one row for each company.
entra_jobs = Table(
    "entra_jobs",
    metadata,
    Column("tenant", exact_text(), primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    Column("state", exact_text(), nullable=False),
    Column("quarantined_since", UtcDateTime),
    Column("escrowed", Integer, nullable=False),
    # Why it could not be read, in the bridge's own words.
    Column("detail", Text),
)

# The users of Entra, those that were removed too. No values: of each attribute a keyed hash, or null for an empty one.
entra_people = Table(
    "entra_people",
    metadata,
    Column("tenant", exact_text(), primary_key=True),
    Column("object_id", exact_text(), primary_key=True),
    Column("enabled", Boolean),
    # Null where the scoping filter can't be judged.
    Column("passes_filter", Boolean),
    Column("removed", exact_text()),
    Column("removed_on", Date),
    Column("hashes", Text, nullable=False),
    # The read that saw the row last.
    Column("read_id", exact_text(), nullable=False),
)

entra_assignments = Table(
    "entra_assignments",
    metadata,
    Column("tenant", exact_text(), primary_key=True),
    Column("object_id", exact_text(), primary_key=True),
    # The group's object id; empty for a direct assignment.
    Column("via", exact_text(), primary_key=True),
    Column("name", Text),
    Column("is_nested", Boolean, nullable=False),
    Column("read_id", exact_text(), nullable=False),
)

# The last complete read: one row for each company.
entra_marks = Table(
    "entra_marks",
    metadata,
    Column("tenant", exact_text(), primary_key=True),
    Column("read_id", exact_text(), nullable=False),
    Column("read_at", UtcDateTime, nullable=False),
    Column("full_at", UtcDateTime, nullable=False),
    Column("basis", exact_text(), nullable=False),
    Column("delta_link", Text),
    Column("users", Integer, nullable=False),
    Column("assigned", Integer, nullable=False),
    # Why the assignments were not known as a whole, as JSON: a list of sentences.
    Column("doubts", Text),
)

# What differs between Entra and the SCIM users, and since when: it counts only once a cycle has passed.
entra_findings = Table(
    "entra_findings",
    metadata,
    Column("tenant", exact_text(), primary_key=True),
    # A person's id, or the object id of a user who was never sent.
    Column("subject", exact_text(), primary_key=True),
    Column("kind", exact_text(), primary_key=True),
    Column("field", exact_text(), primary_key=True),
    Column("cause", exact_text(), nullable=False),
    Column("detail", Text),
    Column("first_seen", UtcDateTime, nullable=False),
    # How many complete reads have shown it.
    Column("looks", Integer, nullable=False),
    Column("read_id", exact_text(), nullable=False),
)

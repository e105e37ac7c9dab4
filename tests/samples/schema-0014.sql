-- A database as the last fourteen steps made it: opened by `tests/storage/test_schema.py`.
BEGIN TRANSACTION;
CREATE TABLE access_tokens (
	tenant TEXT NOT NULL, 
	secret_hash TEXT NOT NULL, 
	client_id TEXT NOT NULL, 
	created_at DATETIME NOT NULL, 
	expires_at DATETIME NOT NULL, 
	CONSTRAINT pk_access_tokens PRIMARY KEY (tenant, secret_hash)
);
CREATE TABLE acknowledged (
	tenant TEXT NOT NULL, 
	person_id TEXT NOT NULL, 
	field TEXT NOT NULL, 
	value JSON, 
	acknowledged_at DATETIME NOT NULL, 
	revision INTEGER NOT NULL, 
	source TEXT, taken_at DATETIME, "before" JSON, shown JSON, form JSON, is_confirmed BOOLEAN DEFAULT false NOT NULL, rounds INTEGER DEFAULT 0 NOT NULL, 
	CONSTRAINT pk_acknowledged PRIMARY KEY (tenant, person_id, field)
);
CREATE TABLE adoption_pairs (
	tenant TEXT NOT NULL, 
	run_id TEXT NOT NULL, 
	person_id TEXT NOT NULL, 
	employee_number TEXT NOT NULL, 
	user_name TEXT NOT NULL, 
	revision INTEGER NOT NULL, 
	"by" TEXT NOT NULL, 
	why TEXT, 
	contends BOOLEAN NOT NULL, 
	CONSTRAINT pk_adoption_pairs PRIMARY KEY (tenant, run_id, person_id, employee_number)
);
CREATE TABLE adoption_permissions (
	tenant TEXT NOT NULL, 
	employee_number TEXT NOT NULL, 
	user_name_key TEXT NOT NULL, 
	granted_at DATETIME NOT NULL, 
	expires_at DATETIME NOT NULL, 
	CONSTRAINT pk_adoption_permissions PRIMARY KEY (tenant, employee_number, user_name_key)
);
CREATE TABLE adoption_runs (
	tenant TEXT NOT NULL, 
	id TEXT NOT NULL, 
	started_at DATETIME NOT NULL, 
	CONSTRAINT pk_adoption_runs PRIMARY KEY (tenant, id)
);
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0014');
CREATE TABLE audit (
	tenant TEXT NOT NULL, 
	id TEXT NOT NULL, 
	at DATETIME NOT NULL, 
	actor TEXT NOT NULL, 
	actor_id TEXT, 
	action TEXT NOT NULL, 
	resource_type TEXT NOT NULL, 
	resource_id TEXT, 
	person_id TEXT, 
	attributes JSON, 
	detail TEXT, 
	request_id TEXT, 
	CONSTRAINT pk_audit PRIMARY KEY (tenant, id)
);
CREATE TABLE breakers (
	tenant TEXT NOT NULL, 
	opened_at DATETIME, 
	why TEXT, 
	next_probe_at DATETIME, 
	probes INTEGER DEFAULT 0 NOT NULL, 
	probe_person_id TEXT, 
	probe_lease TEXT, 
	suspects JSON, 
	on_trial BOOLEAN DEFAULT false NOT NULL, 
	quiet_until DATETIME, paused_at DATETIME, 
	CONSTRAINT pk_breakers PRIMARY KEY (tenant)
);
CREATE TABLE certificate_entries (
	tenant TEXT NOT NULL, 
	id TEXT NOT NULL, 
	holder_kind TEXT NOT NULL, 
	holder TEXT NOT NULL, 
	type TEXT NOT NULL, 
	source TEXT NOT NULL, 
	employee_number TEXT, 
	number TEXT, 
	issued DATE NOT NULL, 
	valid_until DATE, 
	notes TEXT, 
	wins BOOLEAN NOT NULL, 
	version INTEGER NOT NULL, 
	created_at DATETIME NOT NULL, 
	last_modified_at DATETIME NOT NULL, 
	external_id TEXT, 
	CONSTRAINT pk_certificate_entries PRIMARY KEY (tenant, id)
);
CREATE TABLE certificate_ledger (
	tenant TEXT NOT NULL, 
	holder_kind TEXT NOT NULL, 
	holder TEXT NOT NULL, 
	type TEXT NOT NULL, 
	acknowledged_at DATETIME, 
	acknowledged_under TEXT, 
	acknowledged_number TEXT, 
	acknowledged_issued DATE, 
	acknowledged_valid_until DATE, 
	acknowledged_notes TEXT, 
	is_withdrawn BOOLEAN DEFAULT false NOT NULL, 
	is_stale BOOLEAN DEFAULT false NOT NULL, 
	sending DATE, 
	reason TEXT, 
	detail TEXT, 
	CONSTRAINT pk_certificate_ledger PRIMARY KEY (tenant, holder_kind, holder, type)
);
CREATE TABLE claim_waiters (
	tenant TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	value TEXT NOT NULL, 
	person_id TEXT NOT NULL, reads_holder BOOLEAN DEFAULT false NOT NULL, 
	CONSTRAINT pk_claim_waiters PRIMARY KEY (tenant, kind, value, person_id)
);
CREATE TABLE claims (
	tenant TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	value TEXT NOT NULL, 
	person_id TEXT NOT NULL, 
	CONSTRAINT pk_claims PRIMARY KEY (tenant, kind, value)
);
CREATE TABLE client_secrets (
	tenant TEXT NOT NULL, 
	secret_hash TEXT NOT NULL, 
	client_id TEXT NOT NULL, 
	created_at DATETIME NOT NULL, 
	expires_at DATETIME, 
	last_used_at DATETIME, 
	revoked_at DATETIME, 
	CONSTRAINT pk_client_secrets PRIMARY KEY (tenant, secret_hash)
);
CREATE TABLE clients (
	tenant TEXT NOT NULL, 
	id TEXT NOT NULL, 
	name TEXT NOT NULL, 
	created_at DATETIME NOT NULL, 
	last_used_at DATETIME, 
	revoked_at DATETIME, 
	CONSTRAINT pk_clients PRIMARY KEY (tenant, id)
);
CREATE TABLE guarded (
	tenant TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	person_id TEXT NOT NULL, 
	said_at DATETIME NOT NULL, 
	verdict TEXT NOT NULL, 
	why TEXT, 
	decided_at DATETIME NOT NULL, 
	CONSTRAINT pk_guarded PRIMARY KEY (tenant, kind, person_id, said_at)
);
CREATE TABLE history (
	tenant TEXT NOT NULL, 
	id TEXT NOT NULL, 
	person_id TEXT NOT NULL, 
	at DATETIME NOT NULL, 
	what TEXT NOT NULL, 
	cause TEXT, 
	outcome TEXT NOT NULL, 
	status INTEGER, 
	request_id TEXT, 
	ditio_request_id TEXT, 
	duration_ms INTEGER, 
	CONSTRAINT pk_history PRIMARY KEY (tenant, id)
);
CREATE TABLE in_sync (
	tenant TEXT NOT NULL, 
	person_id TEXT NOT NULL, 
	employee_number TEXT NOT NULL, 
	revision INTEGER NOT NULL, 
	state_since DATETIME NOT NULL, 
	digest TEXT NOT NULL, 
	basis TEXT NOT NULL, 
	is_at_work BOOLEAN NOT NULL, 
	CONSTRAINT pk_in_sync PRIMARY KEY (tenant, person_id)
);
CREATE TABLE people (
	tenant TEXT NOT NULL, 
	id TEXT NOT NULL, 
	user_id TEXT, 
	external_id TEXT, 
	employee_number TEXT, 
	linked_at DATETIME, 
	creating JSON, 
	renumbering TEXT, 
	active BOOLEAN NOT NULL, 
	active_since DATE, 
	inactive_since DATE, 
	leave_date DATE, 
	leave_is_stale BOOLEAN DEFAULT false NOT NULL, 
	provisioned_on DATE, 
	wakes_on DATE, 
	state TEXT NOT NULL, 
	reason TEXT, 
	detail TEXT, 
	state_since DATETIME NOT NULL, 
	delivered_at DATETIME, 
	due_since DATETIME, 
	due_at DATETIME, 
	attempts INTEGER DEFAULT 0 NOT NULL, 
	revision INTEGER DEFAULT 1 NOT NULL, 
	request_id TEXT, 
	lease TEXT, 
	leased_until DATETIME, 
	created_at DATETIME NOT NULL, 
	deleted_at DATETIME, hands_off BOOLEAN DEFAULT false NOT NULL, hands_off_until DATE, scope JSON, ending_said_at DATETIME, creation_said_at DATETIME, phone_said_at DATETIME, employee_number_said_at DATETIME, 
	CONSTRAINT pk_people PRIMARY KEY (tenant, id)
);
CREATE TABLE plan_items (
	tenant TEXT NOT NULL, 
	plan_id TEXT NOT NULL, 
	position INTEGER NOT NULL, 
	kind TEXT NOT NULL, 
	cause TEXT NOT NULL, 
	person_id TEXT, 
	revision INTEGER, 
	employee_number TEXT, 
	field TEXT, 
	listed TEXT, 
	user_name TEXT, 
	wanted JSON, 
	found JSON, 
	acknowledged JSON, 
	is_blank BOOLEAN DEFAULT false NOT NULL, 
	CONSTRAINT pk_plan_items PRIMARY KEY (tenant, plan_id, position)
);
CREATE TABLE plan_outcomes (
	tenant TEXT NOT NULL, 
	plan_id TEXT NOT NULL, 
	position INTEGER NOT NULL, 
	at DATETIME NOT NULL, 
	skipped TEXT, 
	CONSTRAINT pk_plan_outcomes PRIMARY KEY (tenant, plan_id, position)
);
CREATE TABLE quirks (
	tenant TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	name TEXT NOT NULL, 
	count INTEGER NOT NULL, 
	first_seen DATETIME NOT NULL, 
	last_seen DATETIME NOT NULL, 
	CONSTRAINT pk_quirks PRIMARY KEY (tenant, kind, name)
);
CREATE TABLE reconcile_runs (
	tenant TEXT NOT NULL, 
	id TEXT NOT NULL, 
	plan_id TEXT NOT NULL, 
	started_at DATETIME NOT NULL, 
	finished_at DATETIME, 
	exit INTEGER, 
	shown INTEGER, 
	is_believed BOOLEAN DEFAULT false NOT NULL, 
	is_whole BOOLEAN DEFAULT false NOT NULL, 
	linked INTEGER DEFAULT 0 NOT NULL, 
	at_work INTEGER DEFAULT 0 NOT NULL, 
	people INTEGER DEFAULT 0 NOT NULL, 
	in_sync INTEGER DEFAULT 0 NOT NULL, 
	by_kind JSON, 
	new INTEGER DEFAULT 0 NOT NULL, 
	applied INTEGER DEFAULT 0 NOT NULL, 
	stopped TEXT, 
	CONSTRAINT pk_reconcile_runs PRIMARY KEY (tenant, id)
);
CREATE TABLE resources (
	tenant TEXT NOT NULL, 
	id TEXT NOT NULL, 
	resource_type TEXT NOT NULL, 
	document TEXT NOT NULL, 
	keys JSON NOT NULL, 
	user_name_key TEXT, 
	external_id_key TEXT, 
	work_email_key TEXT, 
	display_name_key TEXT, 
	version INTEGER NOT NULL, 
	created_at DATETIME NOT NULL, 
	last_modified_at DATETIME NOT NULL, 
	CONSTRAINT pk_resources PRIMARY KEY (tenant, id)
);
CREATE TABLE schedules (
	tenant TEXT NOT NULL, 
	task TEXT NOT NULL, 
	started_at DATETIME, 
	alive_until DATETIME, 
	holder TEXT, 
	CONSTRAINT pk_schedules PRIMARY KEY (tenant, task)
);
CREATE TABLE secrets (
	tenant TEXT NOT NULL, 
	name TEXT NOT NULL, 
	value TEXT NOT NULL, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_secrets PRIMARY KEY (tenant, name)
);
CREATE TABLE snapshot (
	tenant TEXT NOT NULL, 
	run_id TEXT NOT NULL, 
	employee_number TEXT NOT NULL, 
	number_key TEXT NOT NULL, 
	phone_key TEXT, 
	email_key TEXT, 
	company TEXT, 
	shown TEXT NOT NULL, 
	digest TEXT NOT NULL, 
	found TEXT NOT NULL, 
	CONSTRAINT pk_snapshot PRIMARY KEY (tenant, run_id, employee_number)
);
CREATE TABLE tokens (
	tenant TEXT NOT NULL, 
	id TEXT NOT NULL, 
	name TEXT NOT NULL, 
	secret_hash TEXT NOT NULL, 
	created_at DATETIME NOT NULL, 
	expires_at DATETIME, 
	last_used_at DATETIME, 
	revoked_at DATETIME, 
	CONSTRAINT pk_tokens PRIMARY KEY (tenant, id)
);
CREATE INDEX ix_claim_waiters_person ON claim_waiters (tenant, person_id);
CREATE INDEX ix_claims_person ON claims (tenant, person_id);
CREATE INDEX ix_history_person ON history (tenant, person_id, at);
CREATE INDEX ix_people_due ON people (tenant, due_at) WHERE state = 'due';
CREATE INDEX ix_people_state ON people (tenant, state, reason);
CREATE INDEX ix_people_wakes_on ON people (tenant, wakes_on) WHERE wakes_on IS NOT NULL;
CREATE UNIQUE INDEX uq_people_employee ON people (tenant, employee_number);
CREATE UNIQUE INDEX uq_people_user ON people (tenant, user_id);
CREATE INDEX ix_resources_display_name_key ON resources (tenant, resource_type, display_name_key);
CREATE INDEX ix_resources_external_id_key ON resources (tenant, resource_type, external_id_key);
CREATE INDEX ix_resources_type ON resources (tenant, resource_type, id);
CREATE INDEX ix_resources_work_email_key ON resources (tenant, resource_type, work_email_key);
CREATE UNIQUE INDEX uq_resources_user_name ON resources (tenant, resource_type, user_name_key) WHERE user_name_key IS NOT NULL;
CREATE UNIQUE INDEX uq_tokens_secret_hash ON tokens (secret_hash);
CREATE INDEX ix_people_hands_off_until ON people (tenant, hands_off_until) WHERE hands_off_until IS NOT NULL;
CREATE INDEX ix_reconcile_runs_started ON reconcile_runs (tenant, started_at);
CREATE INDEX ix_plan_items_person ON plan_items (tenant, person_id);
CREATE INDEX ix_plan_items_number ON plan_items (tenant, plan_id, employee_number);
CREATE INDEX ix_snapshot_number_key ON snapshot (tenant, run_id, number_key);
CREATE INDEX ix_snapshot_phone_key ON snapshot (tenant, run_id, phone_key);
CREATE INDEX ix_snapshot_email_key ON snapshot (tenant, run_id, email_key);
CREATE INDEX ix_client_secrets_client ON client_secrets (tenant, client_id);
CREATE INDEX ix_access_tokens_expires_at ON access_tokens (tenant, expires_at);
CREATE INDEX ix_access_tokens_client ON access_tokens (tenant, client_id);
CREATE INDEX ix_guarded_said_at ON guarded (tenant, kind, said_at);
CREATE INDEX ix_guarded_person ON guarded (tenant, person_id);
CREATE INDEX ix_guarded_decided_at ON guarded (tenant, decided_at);
CREATE INDEX ix_history_at ON history (tenant, at);
CREATE UNIQUE INDEX uq_certificate_entries_source ON certificate_entries (tenant, holder_kind, holder, type, source);
CREATE UNIQUE INDEX uq_certificate_entries_winner ON certificate_entries (tenant, holder_kind, holder, type) WHERE wins;
CREATE INDEX ix_certificate_entries_number ON certificate_entries (tenant, employee_number);
CREATE INDEX ix_certificate_entries_valid_until ON certificate_entries (tenant, valid_until);
CREATE INDEX ix_certificate_ledger_acknowledged_at ON certificate_ledger (tenant, acknowledged_at);
CREATE TRIGGER audit_is_append_only BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END;
CREATE INDEX ix_adoption_pairs_employee ON adoption_pairs (tenant, run_id, employee_number);
COMMIT;

"""The database's schema, step by step. Migrations only add; removal comes a release later (rule D7)."""

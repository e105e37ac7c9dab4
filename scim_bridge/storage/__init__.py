"""The database: SQLAlchemy Core on SQLite and PostgreSQL. All SQL of the bridge is in this package."""

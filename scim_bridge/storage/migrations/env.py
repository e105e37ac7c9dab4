"""Alembic's entry: runs the migrations on the connection that it is handed."""

from alembic import context

from scim_bridge.storage.admin_tables import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, render_as_batch=connection.dialect.name == "sqlite")
with context.begin_transaction():
    context.run_migrations()

"""Alembic's entry: runs on the connection the ledger gives it."""

from alembic import context

from collector.adapters.ledger_schema import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()

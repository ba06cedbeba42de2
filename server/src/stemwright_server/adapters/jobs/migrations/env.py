"""Run by alembic for each of its commands: the migrations go over the connection, and in the transaction, of the caller."""

from alembic import context

from stemwright_server.adapters.jobs.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()

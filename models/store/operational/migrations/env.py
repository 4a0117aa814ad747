"""Alembic's entry: it runs on the connection that :mod:`models.store.operational.migration` hands over."""

from alembic import context

from models.store.operational.tables import Base

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=Base.metadata, render_as_batch=connection.dialect.name == "sqlite", compare_type=True)
with context.begin_transaction():
    context.run_migrations()

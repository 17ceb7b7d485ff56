"""Alembic's entry: the connection is handed in by app.stores.upgrade; each revision is whole or not at all.

A caller's own transaction holds all of them (SQLite); without one each revision has its own (PostgreSQL), so
that it may leave it to build an index beside running writers.
"""

from alembic import context

from app.stores.phases import note_support
from app.stores.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transaction_per_migration=True,
    on_version_apply=note_support,
)
with context.begin_transaction():
    context.run_migrations()

"""What all tables belong to, and which revision of the schema they are."""

from __future__ import annotations

from sqlalchemy import MetaData

SCHEMA_REVISION = "0014"
"""The newest Alembic revision; a fresh database is created from this metadata and stamped with it."""
OLDEST_REVISION = "0001"
"""The oldest release, by its newest revision, whose code still works on this schema."""

metadata = MetaData()

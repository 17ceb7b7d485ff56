"""Tenants and their worlds: ownership, the log and what is sealed of it, checkpoints, who remembers what."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, Index, Integer, LargeBinary, String, Table, UniqueConstraint

from app.stores.tables.metadata import metadata

tenants = Table(
    "tenants",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("created_ms", BigInteger, nullable=False),
)

worlds = Table(
    "worlds",
    metadata,
    Column("tenant", String(64), primary_key=True),
    Column("id", String(128), primary_key=True),
    Column("created_ms", BigInteger, nullable=False),
    Column("owner", String(200), nullable=False, server_default=""),
    Column("fence", BigInteger, nullable=False, server_default="0"),
)

leases = Table(
    "leases",
    metadata,
    Column("tenant", String(64), primary_key=True),
    Column("name", String(200), primary_key=True),
    Column("owner", String(200), nullable=False),
    Column("token", BigInteger, nullable=False),
    Column("until_ms", BigInteger, nullable=False),
)

schema_support = Table("schema_support", metadata, Column("oldest", String(32), primary_key=True))

events = Table(
    "events",
    metadata,
    Column("tenant", String(64), primary_key=True),
    Column("world", String(128), primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("id", String(26), nullable=False),
    Column("wall_ms", BigInteger, nullable=False),
    Column("game_s", Float, nullable=False),
    Column("version", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False),
    UniqueConstraint("tenant", "id", name="events_tenant_id"),
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("tenant", String(64), primary_key=True),
    Column("world", String(128), primary_key=True),
    Column("key", String(128), primary_key=True),
    Column("first_seq", BigInteger, nullable=False),
    Column("last_seq", BigInteger, nullable=False),
    Column("request", LargeBinary),
)

checkpoints = Table(
    "checkpoints",
    metadata,
    Column("tenant", String(64), primary_key=True),
    Column("world", String(128), primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("state", LargeBinary, nullable=False),
)

checkpoint_parts = Table(
    "checkpoint_parts",
    metadata,
    Column("tenant", String(64), primary_key=True),
    Column("world", String(128), primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("part", Integer, primary_key=True, autoincrement=False),
    Column("parts", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False),
)

subject_keys = Table(
    "subject_keys",
    metadata,
    Column("tenant", String(64), primary_key=True),
    Column("id", LargeBinary, primary_key=True),
    Column("subject", String(128), nullable=False),
    Column("world", String(128), nullable=False),
    Column("wrapped", LargeBinary, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Index("subject_keys_subject", "tenant", "subject"),
)

sealed_events = Table(
    "sealed_events",
    metadata,
    Column("tenant", String(64), primary_key=True),
    Column("world", String(128), primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("key", LargeBinary, nullable=False),
    Column("other_key", LargeBinary),
    Column("body", LargeBinary, nullable=False),
)

minds = Table(
    "minds",
    metadata,
    Column("tenant", String(64), primary_key=True),
    Column("world", String(128), primary_key=True),
    Column("holder", String(128), primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
)

sealed_checkpoints = Table(
    "sealed_checkpoints",
    metadata,
    Column("tenant", String(64), primary_key=True),
    Column("world", String(128), primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("part", Integer, primary_key=True, autoincrement=False),
    Column("parts", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False),
)

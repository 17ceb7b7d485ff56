"""What is written and said: tenants' settings, prompts, records behind lines, reports, batches, spending at doors."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, LargeBinary, String, Table, UniqueConstraint

from app.stores.tables.metadata import metadata

tenant_settings = Table(
    "tenant_settings",
    metadata,
    Column("tenant", String(64), primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("changed_ms", BigInteger, nullable=False),
    Column("suspended", Boolean, nullable=False),
    Column("body", LargeBinary, nullable=False),
)

door_usage = Table(
    "door_usage",
    metadata,
    Column("tenant", String(64), primary_key=True),
    Column("world", String(128), primary_key=True),
    Column("day", String(10), primary_key=True),
    Column("engine", String(64), primary_key=True),
    Column("writer", String(16), primary_key=True),
    Column("calls", BigInteger, nullable=False),
    Column("tokens_in", BigInteger, nullable=False),
    Column("tokens_out", BigInteger, nullable=False),
    Column("cached_tokens_in", BigInteger, nullable=False),
    Column("cost_nano_usd", BigInteger, nullable=False),
)

prompts_versions = Table(
    "prompts_versions",
    metadata,
    Column("tenant", String(64), primary_key=True),
    Column("prompt", String(128), primary_key=True),
    Column("version", String(64), primary_key=True),
    Column("created_ms", BigInteger, nullable=False),
    Column("actor", String(200), nullable=False),
    Column("body", LargeBinary, nullable=False),
)

prompts_labels = Table(
    "prompts_labels",
    metadata,
    Column("tenant", String(64), primary_key=True),
    Column("prompt", String(128), primary_key=True),
    Column("label", String(64), primary_key=True),
    Column("change", BigInteger, nullable=False),
    Column("changed_ms", BigInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),
)

prompt_evals = Table(
    "prompt_evals",
    metadata,
    Column("tenant", String(64), primary_key=True),
    Column("id", String(26), primary_key=True),
    Column("prompt", String(128), nullable=False),
    Column("version", String(64), nullable=False),
    Column("set_id", String(64), nullable=False),
    Column("wall_ms", BigInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Index("prompt_evals_prompt", "tenant", "prompt"),
)

dialogue_records = Table(
    "dialogue_records",
    metadata,
    Column("tenant", String(64), primary_key=True),
    Column("id", String(26), primary_key=True),
    Column("world", String(128), nullable=False),
    Column("wall_ms", BigInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Index("dialogue_records_wall", "tenant", "wall_ms"),
)

dialogue_record_persons = Table(
    "dialogue_record_persons",
    metadata,
    Column("tenant", String(64), primary_key=True),
    Column("world", String(128), primary_key=True),
    Column("person", String(128), primary_key=True),
    Column("id", String(26), primary_key=True),
    Index("dialogue_record_persons_id", "tenant", "id"),
)

# Work that can wait

batches = Table(
    "batches",
    metadata,
    Column("tenant", String(64), primary_key=True),
    Column("id", String(26), primary_key=True),
    Column("state", String(16), nullable=False),
    Column("engine", String(64), nullable=False),
    Column("remote", String(128), nullable=False),
    Column("lines", Integer, nullable=False),
    Column("done", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Column("cost_nano_usd", BigInteger, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("wait_until_ms", BigInteger, nullable=False),
    Column("ended_ms", BigInteger),
    Column("cancel", Boolean, nullable=False),
    Column("owner", String(200), nullable=False, server_default=""),
    Column("owned_until_ms", BigInteger, nullable=False, server_default="0"),
)

batch_lines = Table(
    "batch_lines",
    metadata,
    Column("tenant", String(64), primary_key=True),
    Column("id", String(40), primary_key=True),
    Column("batch", String(26), nullable=False),
    Column("row", Integer, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("world", String(128), nullable=False),
    Column("player", String(128), nullable=False),
    Column("request", LargeBinary),
    Column("outcome", LargeBinary),
    Index("batch_lines_batch", "tenant", "batch"),
    Index("batch_lines_player", "tenant", "world", "player"),
)

# What players report

reports = Table(
    "reports",
    metadata,
    Column("tenant", String(64), primary_key=True),
    Column("id", String(26), primary_key=True),
    Column("world", String(128), nullable=False),
    Column("player", String(128), nullable=False),
    Column("explain_id", String(128), nullable=False),
    Column("npc", String(128), nullable=False),
    Column("category", String(32), nullable=False),
    Column("state", String(16), nullable=False),
    Column("ai_generated", Boolean, nullable=False),
    Column("made_ms", BigInteger, nullable=False),
    Column("settled_ms", BigInteger),
    Column("settled_by", String(200), nullable=False),
    Column("body", LargeBinary),
    Column("note", LargeBinary),
    UniqueConstraint("tenant", "world", "player", "explain_id", name="reports_line"),
    Index("reports_state", "tenant", "state", "id"),
)

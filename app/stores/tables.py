"""The tables. Alembic's revisions and this metadata agree; a test compares them."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    UniqueConstraint,
)

SCHEMA_REVISION = "0014"
"""The newest Alembic revision; a fresh database is created from this metadata and stamped with it."""
OLDEST_REVISION = "0001"
"""The oldest release, by its newest revision, whose code still works on this schema."""

metadata = MetaData()

tenants = Table(
    "tenants",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("created_ms", BigInteger, nullable=False),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("tenant", String(64), nullable=False),
    Column("prefix", String(16), primary_key=True),
    Column("secret_sha256", String(64), nullable=False),
    Column("label", String(200), nullable=False),
    Column("scopes", Integer, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger),
    Column("revoked_ms", BigInteger),
    Column("secret_hmac", String(64)),
    Column("role", String(32)),
    Column("rotation", Integer, nullable=False, server_default="0"),
    Column("previous_digest", String(64)),
    Column("previous_until_ms", BigInteger),
    Column("used_day", Integer),
    Column("change", BigInteger, nullable=False, server_default="0"),
)

secrets = Table(
    "secrets",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", LargeBinary, nullable=False),
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

access_version = Table(
    "access_version",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("version", BigInteger, nullable=False),
)

access_rules = Table(
    "access_rules",
    metadata,
    Column("tenant", String(64), primary_key=True),
    Column("actor", String(128), primary_key=True),
    Column("scopes", Integer),
    Column("generation", Integer, nullable=False),
    Column("ended_ms", BigInteger, nullable=False),
    Column("change", BigInteger, nullable=False),
)

token_families = Table(
    "token_families",
    metadata,
    Column("tenant", String(64), primary_key=True),
    Column("handle", String(32), primary_key=True),
    Column("id", String(32), nullable=False),
    Column("actor", String(128), nullable=False),
    Column("scopes", Integer, nullable=False),
    Column("rotation", Integer, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("since_ms", BigInteger, nullable=False),
    Column("ends_ms", BigInteger, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
    Column("ended_ms", BigInteger),
    UniqueConstraint("tenant", "id", name="token_families_tenant_id"),
)

signing_keys = Table(
    "signing_keys",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("value", LargeBinary, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("signs_ms", BigInteger, nullable=False),
    Column("retired_ms", BigInteger),
    Column("change", BigInteger, nullable=False),
)

audit_entries = Table(
    "audit_entries",
    metadata,
    Column("tenant", String(64), primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("id", String(26), nullable=False),
    Column("wall_ms", BigInteger, nullable=False),
    Column("actor", String(200), nullable=False),
    Column("action", String(64), nullable=False),
    Column("target", String(200), nullable=False),
    Column("details", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    UniqueConstraint("tenant", "id", name="audit_entries_tenant_id"),
)

audit_heads = Table(
    "audit_heads",
    metadata,
    Column("tenant", String(64), primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("signed_seq", BigInteger, nullable=False),
    Column("signed_ms", BigInteger, nullable=False),
)

audit_checkpoints = Table(
    "audit_checkpoints",
    metadata,
    Column("tenant", String(64), primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", String(16), primary_key=True),
    Column("wall_ms", BigInteger, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("signature", LargeBinary, nullable=False),
)

# Tenancy

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

operators = Table(
    "operators",
    metadata,
    Column("tenant", String(64), primary_key=True),
    Column("id", String(32), primary_key=True),
    Column("login", String(254), nullable=False),
    Column("login_key", String(254), nullable=False),
    Column("role", String(32), nullable=False),
    Column("password_hash", String(255), nullable=False, server_default=""),
    Column("totp_secret", LargeBinary),
    Column("totp_step", BigInteger, nullable=False, server_default="0"),
    Column("created_ms", BigInteger, nullable=False),
    Column("joined_ms", BigInteger),
    Column("signed_in_ms", BigInteger),
    Column("disabled_ms", BigInteger),
    Column("removed_ms", BigInteger),
    UniqueConstraint("tenant", "login_key", name="operators_tenant_login"),
)

operator_codes = Table(
    "operator_codes",
    metadata,
    Column("tenant", String(64), primary_key=True),
    Column("digest", String(64), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("operator", String(32), nullable=False),
    Column("data", LargeBinary, nullable=False),
    Column("expires_ms", BigInteger),
)

operator_passkeys = Table(
    "operator_passkeys",
    metadata,
    Column("tenant", String(64), primary_key=True),
    Column("digest", String(64), primary_key=True),
    Column("operator", String(32), nullable=False),
    Column("credential", LargeBinary, nullable=False),
    Column("public_key", LargeBinary, nullable=False),
    Column("sign_count", BigInteger, nullable=False),
    Column("label", String(100), nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("used_ms", BigInteger),
)

sign_in_attempts = Table(
    "sign_in_attempts",
    metadata,
    Column("tenant", String(64), primary_key=True),
    Column("subject", String(64), primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("until_ms", BigInteger, nullable=False),
    Column("seen_ms", BigInteger, nullable=False),
)

data_keys = Table(
    "data_keys",
    metadata,
    Column("tenant", String(64), primary_key=True),
    Column("purpose", String(32), primary_key=True),
    Column("id", LargeBinary, primary_key=True),
    Column("wrapped", LargeBinary, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("retired_ms", BigInteger),
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

erasures = Table(
    "erasures",
    metadata,
    Column("tenant", String(64), primary_key=True),
    Column("alias", String(64), primary_key=True),
    Column("subject", String(128), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("left_over", String(16), nullable=False),
    Column("requested_ms", BigInteger, nullable=False),
    Column("finished_ms", BigInteger),
)

# The records behind lines

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

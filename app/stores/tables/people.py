"""Who may come in and what they did: keys, operators, sign-in, audit, erasures, and the keys that seal."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Integer, LargeBinary, String, Table, UniqueConstraint

from app.stores.tables.metadata import metadata

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

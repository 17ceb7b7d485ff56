"""Row-level security on every table of tenants, and what each tenant has set for itself."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
phase = "expand"

TABLES = (
    "worlds",
    "events",
    "idempotency",
    "checkpoints",
    "checkpoint_parts",
    "leases",
    "api_keys",
    "access_rules",
    "token_families",
    "operators",
    "operator_codes",
    "operator_passkeys",
    "sign_in_attempts",
    "audit_heads",
    "audit_entries",
    "audit_checkpoints",
    "data_keys",
    "subject_keys",
    "sealed_events",
    "sealed_checkpoints",
    "erasures",
    "tenants",
    "tenant_settings",
)
"""In the order in which a running writer locks them, so that neither waits for the other in a circle."""


def upgrade() -> None:
    op.create_table(
        "tenant_settings",
        sa.Column("tenant", sa.String(64), primary_key=True),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("changed_ms", sa.BigInteger, nullable=False),
        sa.Column("suspended", sa.Boolean, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    if op.get_context().dialect.name != "postgresql":
        return
    for table in TABLES:
        for statement in _policies(table, "id" if table == "tenants" else "tenant"):
            op.execute(statement)


def _policies(table: str, column: str) -> tuple[str, ...]:
    named = "NULLIF(current_setting('app.tenants', true), '')"
    owner = f"(SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = '{table}'::regclass)"  # noqa: S608  # ours
    return (
        f"CREATE POLICY tenant_rows ON {table} USING ({column} = ANY ((SELECT string_to_array({named}, ','))::text[]) "
        f"OR (SELECT {named}) = '*')",
        f"CREATE POLICY release_before ON {table} USING ({owner} = current_user)",
        f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
        f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY",
    )


def downgrade() -> None:
    if op.get_context().dialect.name == "postgresql":
        for table in TABLES[-2::-1]:
            op.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
            op.execute(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")
            op.execute(f"DROP POLICY release_before ON {table}")
            op.execute(f"DROP POLICY tenant_rows ON {table}")
    op.drop_table("tenant_settings")

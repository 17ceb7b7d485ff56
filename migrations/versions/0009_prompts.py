"""Prompts: versions, the labels that point to them, and runs of eval sets."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
phase = "expand"

TABLES = ("prompts_versions", "prompts_labels", "prompt_evals")


def upgrade() -> None:
    op.create_table(
        "prompts_versions",
        sa.Column("tenant", sa.String(64), primary_key=True),
        sa.Column("prompt", sa.String(128), primary_key=True),
        sa.Column("version", sa.String(64), primary_key=True),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("actor", sa.String(200), nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "prompts_labels",
        sa.Column("tenant", sa.String(64), primary_key=True),
        sa.Column("prompt", sa.String(128), primary_key=True),
        sa.Column("label", sa.String(64), primary_key=True),
        sa.Column("change", sa.BigInteger, nullable=False),
        sa.Column("changed_ms", sa.BigInteger, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "prompt_evals",
        sa.Column("tenant", sa.String(64), primary_key=True),
        sa.Column("id", sa.String(26), primary_key=True),
        sa.Column("prompt", sa.String(128), nullable=False),
        sa.Column("version", sa.String(64), nullable=False),
        sa.Column("set_id", sa.String(64), nullable=False),
        sa.Column("wall_ms", sa.BigInteger, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_index("prompt_evals_prompt", "prompt_evals", ["tenant", "prompt"])
    if op.get_context().dialect.name != "postgresql":
        return
    for table in TABLES:
        for statement in _policies(table):
            op.execute(statement)


def _policies(table: str) -> tuple[str, ...]:
    named = "NULLIF(current_setting('app.tenants', true), '')"
    owner = f"(SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = '{table}'::regclass)"  # noqa: S608  # ours
    return (
        f"CREATE POLICY tenant_rows ON {table} USING (tenant = ANY ((SELECT string_to_array({named}, ','))::text[]) "
        f"OR (SELECT {named}) = '*')",
        f"CREATE POLICY release_before ON {table} USING ({owner} = current_user)",
        f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
        f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY",
    )


def downgrade() -> None:
    for table in TABLES[::-1]:
        op.drop_table(table)

"""Work that can wait: batches of completions, and their lines."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
phase = "expand"

TABLES = ("batches", "batch_lines")


def upgrade() -> None:
    op.create_table(
        "batches",
        sa.Column("tenant", sa.String(64), primary_key=True),
        sa.Column("id", sa.String(26), primary_key=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("engine", sa.String(64), nullable=False),
        sa.Column("remote", sa.String(128), nullable=False),
        sa.Column("lines", sa.Integer, nullable=False),
        sa.Column("done", sa.Integer, nullable=False),
        sa.Column("failed", sa.Integer, nullable=False),
        sa.Column("cost_nano_usd", sa.BigInteger, nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("wait_until_ms", sa.BigInteger, nullable=False),
        sa.Column("ended_ms", sa.BigInteger),
        sa.Column("cancel", sa.Boolean, nullable=False),
        sa.Column("owner", sa.String(200), nullable=False, server_default=""),
        sa.Column("owned_until_ms", sa.BigInteger, nullable=False, server_default="0"),
    )
    op.create_table(
        "batch_lines",
        sa.Column("tenant", sa.String(64), primary_key=True),
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("batch", sa.String(26), nullable=False),
        sa.Column("row", sa.Integer, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("world", sa.String(128), nullable=False),
        sa.Column("player", sa.String(128), nullable=False),
        sa.Column("request", sa.LargeBinary),
        sa.Column("outcome", sa.LargeBinary),
    )
    op.create_index("batch_lines_batch", "batch_lines", ["tenant", "batch"])
    op.create_index("batch_lines_player", "batch_lines", ["tenant", "world", "player"])
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
    op.drop_table("batch_lines")
    op.drop_table("batches")

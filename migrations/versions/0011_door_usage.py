"""What models have cost at the doors, outside of any world's log."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0008"
phase = "expand"

COUNTS = ("calls", "tokens_in", "tokens_out", "cached_tokens_in", "cost_nano_usd")


def upgrade() -> None:
    op.create_table(
        "door_usage",
        sa.Column("tenant", sa.String(64), primary_key=True),
        sa.Column("world", sa.String(128), primary_key=True),
        sa.Column("day", sa.String(10), primary_key=True),
        sa.Column("engine", sa.String(64), primary_key=True),
        sa.Column("writer", sa.String(16), primary_key=True),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in COUNTS),
    )
    if op.get_context().dialect.name != "postgresql":
        return
    named = "NULLIF(current_setting('app.tenants', true), '')"
    op.execute(
        "CREATE POLICY tenant_rows ON door_usage USING ("
        f"tenant = ANY ((SELECT string_to_array({named}, ','))::text[]) OR (SELECT {named}) = '*')"
    )
    owner = "(SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = 'door_usage'::regclass)"
    op.execute(f"CREATE POLICY release_before ON door_usage USING ({owner} = current_user)")
    op.execute("ALTER TABLE door_usage ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE door_usage FORCE ROW LEVEL SECURITY")


def downgrade() -> None:
    op.drop_table("door_usage")

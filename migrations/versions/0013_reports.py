"""What players report of lines that were said to them."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
phase = "expand"


def upgrade() -> None:
    op.create_table(
        "reports",
        sa.Column("tenant", sa.String(64), primary_key=True),
        sa.Column("id", sa.String(26), primary_key=True),
        sa.Column("world", sa.String(128), nullable=False),
        sa.Column("player", sa.String(128), nullable=False),
        sa.Column("explain_id", sa.String(128), nullable=False),
        sa.Column("npc", sa.String(128), nullable=False),
        sa.Column("category", sa.String(32), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("ai_generated", sa.Boolean, nullable=False),
        sa.Column("made_ms", sa.BigInteger, nullable=False),
        sa.Column("settled_ms", sa.BigInteger),
        sa.Column("settled_by", sa.String(200), nullable=False),
        sa.Column("body", sa.LargeBinary),
        sa.Column("note", sa.LargeBinary),
        sa.UniqueConstraint("tenant", "world", "player", "explain_id", name="reports_line"),
    )
    op.create_index("reports_state", "reports", ["tenant", "state", "id"])
    if op.get_context().dialect.name != "postgresql":
        return
    named = "NULLIF(current_setting('app.tenants', true), '')"
    op.execute(
        "CREATE POLICY tenant_rows ON reports USING ("
        f"tenant = ANY ((SELECT string_to_array({named}, ','))::text[]) OR (SELECT {named}) = '*')"
    )
    owner = "(SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = 'reports'::regclass)"
    op.execute(f"CREATE POLICY release_before ON reports USING ({owner} = current_user)")
    op.execute("ALTER TABLE reports ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE reports FORCE ROW LEVEL SECURITY")


def downgrade() -> None:
    op.drop_table("reports")

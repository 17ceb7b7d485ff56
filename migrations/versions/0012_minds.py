"""Who remembers which event of the log."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
phase = "expand"


def upgrade() -> None:
    op.create_table(
        "minds",
        sa.Column("tenant", sa.String(64), primary_key=True),
        sa.Column("world", sa.String(128), primary_key=True),
        sa.Column("holder", sa.String(128), primary_key=True),
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    )
    if op.get_context().dialect.name != "postgresql":
        return
    named = "NULLIF(current_setting('app.tenants', true), '')"
    op.execute(
        "CREATE POLICY tenant_rows ON minds USING ("
        f"tenant = ANY ((SELECT string_to_array({named}, ','))::text[]) OR (SELECT {named}) = '*')"
    )
    owner = "(SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = 'minds'::regclass)"
    op.execute(f"CREATE POLICY release_before ON minds USING ({owner} = current_user)")
    op.execute("ALTER TABLE minds ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE minds FORCE ROW LEVEL SECURITY")


def downgrade() -> None:
    op.drop_table("minds")

"""The records behind lines of dialogue, and the persons that each is about."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
phase = "expand"

TABLES = ("dialogue_records", "dialogue_record_persons")


def upgrade() -> None:
    op.create_table(
        "dialogue_records",
        sa.Column("tenant", sa.String(64), primary_key=True),
        sa.Column("id", sa.String(26), primary_key=True),
        sa.Column("world", sa.String(128), nullable=False),
        sa.Column("wall_ms", sa.BigInteger, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_index("dialogue_records_wall", "dialogue_records", ["tenant", "wall_ms"])
    op.create_table(
        "dialogue_record_persons",
        sa.Column("tenant", sa.String(64), primary_key=True),
        sa.Column("world", sa.String(128), primary_key=True),
        sa.Column("person", sa.String(128), primary_key=True),
        sa.Column("id", sa.String(26), primary_key=True),
    )
    op.create_index("dialogue_record_persons_id", "dialogue_record_persons", ["tenant", "id"])
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
    op.drop_table("dialogue_record_persons")
    op.drop_table("dialogue_records")

"""Parts of the checkpoints that a running server writes, and which request an idempotency key came with."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
phase = "expand"


def upgrade() -> None:
    op.create_table(
        "checkpoint_parts",
        sa.Column("tenant", sa.String(64), primary_key=True),
        sa.Column("world", sa.String(128), primary_key=True),
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("part", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("parts", sa.Integer, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.add_column("idempotency", sa.Column("request", sa.LargeBinary))


def downgrade() -> None:
    op.drop_column("idempotency", "request")
    op.drop_table("checkpoint_parts")

"""Who owns a world, the leases of replicas, and the oldest release that may still run on this schema."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
phase = "expand"


def upgrade() -> None:
    op.add_column("worlds", sa.Column("owner", sa.String(200), nullable=False, server_default=""))
    op.add_column("worlds", sa.Column("fence", sa.BigInteger, nullable=False, server_default="0"))
    op.create_table(
        "leases",
        sa.Column("tenant", sa.String(64), primary_key=True),
        sa.Column("name", sa.String(200), primary_key=True),
        sa.Column("owner", sa.String(200), nullable=False),
        sa.Column("token", sa.BigInteger, nullable=False),
        sa.Column("until_ms", sa.BigInteger, nullable=False),
    )
    support = op.create_table("schema_support", sa.Column("oldest", sa.String(32), primary_key=True))
    op.bulk_insert(support, [{"oldest": "0001"}])


def downgrade() -> None:
    op.drop_table("schema_support")
    op.drop_table("leases")
    op.drop_column("worlds", "fence")
    op.drop_column("worlds", "owner")

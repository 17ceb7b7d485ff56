"""Peppered secrets and rotation of API keys, token families, signing keys, and numbered changes that servers follow."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
phase = "expand"


def upgrade() -> None:
    op.add_column("api_keys", sa.Column("secret_hmac", sa.String(64)))
    op.add_column("api_keys", sa.Column("role", sa.String(32)))
    op.add_column("api_keys", sa.Column("rotation", sa.Integer, nullable=False, server_default="0"))
    op.add_column("api_keys", sa.Column("previous_digest", sa.String(64)))
    op.add_column("api_keys", sa.Column("previous_until_ms", sa.BigInteger))
    op.add_column("api_keys", sa.Column("used_day", sa.Integer))
    op.add_column("api_keys", sa.Column("change", sa.BigInteger, nullable=False, server_default="0"))
    op.create_table(
        "access_version",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("version", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "access_rules",
        sa.Column("tenant", sa.String(64), primary_key=True),
        sa.Column("actor", sa.String(128), primary_key=True),
        sa.Column("scopes", sa.Integer),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("ended_ms", sa.BigInteger, nullable=False),
        sa.Column("change", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "token_families",
        sa.Column("tenant", sa.String(64), primary_key=True),
        sa.Column("handle", sa.String(32), primary_key=True),
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("actor", sa.String(128), nullable=False),
        sa.Column("scopes", sa.Integer, nullable=False),
        sa.Column("rotation", sa.Integer, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("since_ms", sa.BigInteger, nullable=False),
        sa.Column("ends_ms", sa.BigInteger, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("expires_ms", sa.BigInteger, nullable=False),
        sa.Column("ended_ms", sa.BigInteger),
        sa.UniqueConstraint("tenant", "id", name="token_families_tenant_id"),
    )
    op.create_table(
        "signing_keys",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("value", sa.LargeBinary, nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("signs_ms", sa.BigInteger, nullable=False),
        sa.Column("retired_ms", sa.BigInteger),
        sa.Column("change", sa.BigInteger, nullable=False),
    )


def downgrade() -> None:
    for table in ("signing_keys", "token_families", "access_rules", "access_version"):
        op.drop_table(table)
    for column in ("change", "used_day", "previous_until_ms", "previous_digest", "rotation", "role", "secret_hmac"):
        op.drop_column("api_keys", column)

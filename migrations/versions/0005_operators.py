"""Placeholder."""

revision = "0005"
down_revision = "0004"
phase = "expand"


def upgrade() -> None:
    """Nothing yet."""


def downgrade() -> None:
    """Nothing yet."""

"""Placeholder."""

revision = "0008"
down_revision = "0007"
phase = "expand"


def upgrade() -> None:
    """Nothing yet."""


def downgrade() -> None:
    """Nothing yet."""

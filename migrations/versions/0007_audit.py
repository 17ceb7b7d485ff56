"""Placeholder."""

revision = "0007"
down_revision = "0006"
phase = "expand"


def upgrade() -> None:
    """Nothing yet."""


def downgrade() -> None:
    """Nothing yet."""

"""Placeholder."""

revision = "0004"
down_revision = "0003"
phase = "expand"


def upgrade() -> None:
    """Nothing yet."""


def downgrade() -> None:
    """Nothing yet."""

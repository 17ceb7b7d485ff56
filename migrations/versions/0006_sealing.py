"""Placeholder."""

revision = "0006"
down_revision = "0005"
phase = "expand"


def upgrade() -> None:
    """Nothing yet."""


def downgrade() -> None:
    """Nothing yet."""

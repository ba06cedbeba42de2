"""Tickets for event streams."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add a table. Versions before take no tickets."""
    op.create_table(
        "tickets",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("owner", sa.String(255), nullable=False),
        sa.Column("until", sa.Double, nullable=False),
    )
    op.create_index("tickets_owner", "tickets", ["owner"])
    op.create_index("tickets_until", "tickets", ["until"])

"""Which workers get no new jobs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add a table. Versions before do not ask it, and go on handing out jobs."""
    op.create_table(
        "drained_workers",
        sa.Column("prefix", sa.String(128), primary_key=True),
        sa.Column("drained_at", sa.Double, nullable=False),
    )

"""Looking for jobs of all owners, doing one once more, what is paused or ails; and whose store it is."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add a column, tables and indices. Versions before do not ask them, and go on handing out jobs."""
    op.add_column("jobs", sa.Column("retry_of", sa.String(64)))
    op.create_index("jobs_newest", "jobs", ["created_at", "id"])
    op.create_index("jobs_newest_in_state", "jobs", ["state", "created_at", "id"])
    op.create_table(
        "paused_services",
        sa.Column("name", sa.String(100), primary_key=True),
        sa.Column("paused_at", sa.Double, nullable=False),
    )
    op.create_table(
        "installation",
        sa.Column("only", sa.Integer, primary_key=True),
        sa.Column("id", sa.String(32), nullable=False),
    )
    op.create_table(
        "ailing_workers",
        sa.Column("worker", sa.String(128), primary_key=True),
        sa.Column("failed", sa.JSON, nullable=False),
        sa.Column("times", sa.Integer, nullable=False),
        sa.Column("aside_until", sa.Double, nullable=False),
        sa.Column("code", sa.String(100), nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("noted_at", sa.Double, nullable=False),
    )

"""Room for jobs of several inputs, for services that announce themselves, and for who made which revision."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add a column and two tables."""
    op.add_column("jobs", sa.Column("inputs", sa.JSON))
    op.create_table(
        "services",
        sa.Column("name", sa.String(100), primary_key=True),
        sa.Column("description", sa.JSON, nullable=False),
        sa.Column("announced_at", sa.Double, nullable=False),
        sa.Column("worker", sa.String(128)),
    )
    op.create_table(
        "schema_history",
        sa.Column("revision", sa.String(32), primary_key=True),
        sa.Column("version", sa.String(64), nullable=False),
        sa.Column("applied_at", sa.Double, nullable=False),
    )

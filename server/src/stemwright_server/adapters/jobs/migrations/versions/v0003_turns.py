"""Turns, so that no owner's jobs stand before all of another's; and indices for what a sweep asks in every round."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add a column and indices. Jobs that wait already keep their order: they come first, as they came."""
    op.add_column("jobs", sa.Column("turn", sa.BigInteger, nullable=False, server_default="0"))
    op.create_index("jobs_turns", "jobs", ["state", "priority", "turn", "created_at", "id"])
    op.create_index("jobs_owners_turns", "jobs", ["owner", "state", "priority", "turn"])
    op.create_index("jobs_expiring", "jobs", ["expires_at"])
    op.create_index("jobs_finished", "jobs", ["finished_at"])
    op.create_index("tracks_used", "tracks", ["state", "used_at"])
    op.create_index("tracks_passing", "tracks", ["transient", "used_at"])
    due = sa.text("revision > written_revision")
    op.create_index("tracks_due", "tracks", ["id"], sqlite_where=due, postgresql_where=due)

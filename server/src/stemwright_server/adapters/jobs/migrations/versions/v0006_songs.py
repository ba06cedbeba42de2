"""Listing the songs of an owner."""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add an index."""
    op.create_index("tracks_newest", "tracks", ["owner", "created_at", "id"])

"""The tables as they were before there were migrations.

Written out, not taken from ``tables``: that module goes on changing, and this one never does.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make all tables."""
    version = op.create_table("schema_version", sa.Column("version", sa.Integer, primary_key=True))
    op.bulk_insert(version, [{"version": 3}])
    op.create_table(
        "tracks",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("owner", sa.String(255), nullable=False),
        sa.Column("filename", sa.String(255), nullable=False),
        sa.Column("key", sa.String(255), nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("upload_until", sa.Double, nullable=False),
        sa.Column("request_id", sa.String(128), nullable=False),
        sa.Column("source", sa.String(32), nullable=False),
        sa.Column("source_url", sa.Text, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("declared_size", sa.BigInteger),
        sa.Column("declared_sha256", sa.String(64)),
        sa.Column("size", sa.BigInteger),
        sa.Column("sha256", sa.String(64)),
        sa.Column("media_type", sa.String(64)),
        sa.Column("duration", sa.Double),
        sa.Column("sample_rate", sa.Integer),
        sa.Column("transient", sa.Boolean, nullable=False),
        sa.Column("used_at", sa.Double, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("written_revision", sa.Integer, nullable=False, server_default="0"),
        sa.UniqueConstraint("owner", "sha256", name="tracks_owner_sha256"),
    )
    op.create_index("tracks_state", "tracks", ["state"])
    op.create_table(
        "jobs",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("track_id", sa.String(64), nullable=False),
        sa.Column("owner", sa.String(255), nullable=False),
        sa.Column("model", sa.String(100), nullable=False),
        sa.Column("variation", sa.String(100), nullable=False),
        sa.Column("params", sa.JSON, nullable=False),
        sa.Column("outputs", sa.JSON, nullable=False),
        sa.Column("work_key", sa.String(64), nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("request_id", sa.String(128), nullable=False),
        sa.Column("extras", sa.JSON, nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("dialect", sa.String(32), nullable=False),
        sa.Column("available_at", sa.Double, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("worker", sa.String(128)),
        sa.Column("lease_until", sa.Double),
        sa.Column("started_at", sa.Double),
        sa.Column("finished_at", sa.Double),
        sa.Column("expires_at", sa.Double),
        sa.Column("progress", sa.JSON, nullable=False),
        sa.Column("artifacts", sa.JSON, nullable=False),
        sa.Column("report", sa.JSON, nullable=False),
        sa.Column("error", sa.JSON),
        sa.Column("revision", sa.Integer, nullable=False),
    )
    op.create_index("jobs_queue", "jobs", ["state", "priority", "created_at"])
    op.create_index("jobs_track", "jobs", ["track_id"])
    op.create_index("jobs_work", "jobs", ["work_key"])
    op.create_index("jobs_history", "jobs", ["owner", "dialect", "created_at"])
    op.create_table(
        "attempts",
        sa.Column("job_id", sa.String(64), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("worker", sa.String(128), nullable=False),
        sa.Column("prefix", sa.String(512), nullable=False),
        sa.Column("started_at", sa.Double, nullable=False),
        sa.Column("writable_until", sa.Double, nullable=False),
        sa.Column("ended_at", sa.Double),
        sa.Column("outcome", sa.String(16)),
    )
    op.create_index("attempts_outcome", "attempts", ["outcome"])
    op.create_table(
        "seen_signatures",
        sa.Column("signature", sa.String(80), primary_key=True),
        sa.Column("key", sa.String(255), nullable=False),
        sa.Column("until", sa.Double, nullable=False),
    )
    op.create_index("seen_signatures_until", "seen_signatures", ["until"])
    op.create_table(
        "deliveries",
        sa.Column("id", sa.String(80), primary_key=True),
        sa.Column("job_id", sa.String(64), nullable=False, unique=True),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("request_id", sa.String(128), nullable=False),
        sa.Column("correlation_id", sa.String(128)),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("due_at", sa.Double, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("lease_until", sa.Double),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("body", sa.LargeBinary),
        sa.Column("status", sa.Integer),
        sa.Column("error", sa.Text),
        sa.Column("ended_at", sa.Double),
    )
    op.create_index("deliveries_due", "deliveries", ["state", "due_at"])
    op.create_table(
        "idempotency_keys",
        sa.Column("owner", sa.String(255), primary_key=True),
        sa.Column("key", sa.String(255), primary_key=True),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("job_id", sa.String(64), nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
    )
    op.create_table(
        "tallies",
        sa.Column("name", sa.String(40), primary_key=True),
        sa.Column("labels", sa.String(400), primary_key=True),
        sa.Column("amount", sa.Double, nullable=False),
    )
    op.create_table(
        "workers",
        sa.Column("worker", sa.String(128), primary_key=True),
        sa.Column("device", sa.String(64), nullable=False),
        sa.Column("models", sa.JSON, nullable=False),
        sa.Column("seen_at", sa.Double, nullable=False),
    )

"""The tables. Plain SQL types only, so that SQLite and PostgreSQL take them alike; times are unix seconds.

A change here needs a migration that does the same to a store that is there already: see docs/upgrading.md.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData()

# Versions before there were migrations refuse a store that does not say 3 here. It stays for ever, so that they can start
# beside this one; which revision a store has is in alembic's own table.
BASELINE_VERSION = 3
baseline_version = Table("schema_version", metadata, Column("version", Integer, primary_key=True))

history = Table(
    "schema_history",  # informs about who made a revision; nothing is decided by it
    metadata,
    Column("revision", String(32), primary_key=True),
    Column("version", String(64), nullable=False),  # of stemwright-server
    Column("applied_at", Double, nullable=False),
)

_DUE = text("revision > written_revision")
tracks = Table(
    "tracks",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("owner", String(255), nullable=False),
    Column("filename", String(255), nullable=False),
    Column("key", String(255), nullable=False),
    Column("created_at", Double, nullable=False),
    Column("upload_until", Double, nullable=False),
    Column("request_id", String(128), nullable=False),
    Column("source", String(32), nullable=False),
    Column("source_url", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("declared_size", BigInteger),
    Column("declared_sha256", String(64)),
    Column("size", BigInteger),
    Column("sha256", String(64)),  # NULL unless READY, so that the constraint below is about usable bytes only
    Column("media_type", String(64)),
    Column("duration", Double),
    Column("sample_rate", Integer),
    Column("transient", Boolean, nullable=False),
    Column("used_at", Double, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("written_revision", Integer, nullable=False, server_default="0"),  # of metadata.json
    UniqueConstraint("owner", "sha256", name="tracks_owner_sha256"),
    Index("tracks_state", "state"),
    Index("tracks_used", "state", "used_at"),
    Index("tracks_passing", "transient", "used_at"),
    Index("tracks_newest", "owner", "created_at", "id"),
    Index("tracks_due", "id", sqlite_where=_DUE, postgresql_where=_DUE),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("track_id", String(64), nullable=False),
    Column("owner", String(255), nullable=False),
    # The columns keep the names that the version before knows them by.
    Column("model", String(100), key="service", nullable=False),
    Column("variation", String(100), key="model", nullable=False),
    Column("params", JSON, nullable=False),
    Column("outputs", JSON, nullable=False),
    Column("work_key", String(64), nullable=False),
    Column("created_at", Double, nullable=False),
    Column("request_id", String(128), nullable=False),
    Column("extras", JSON, key="options", nullable=False),
    Column("priority", Integer, nullable=False),  # these two of the extras, for the queries
    Column("dialect", String(32), nullable=False),
    Column("available_at", Double, nullable=False),
    Column("state", String(16), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("worker", String(128)),
    Column("lease_until", Double),
    Column("started_at", Double),
    Column("finished_at", Double),
    Column("expires_at", Double),
    Column("progress", JSON, nullable=False),
    Column("artifacts", JSON, nullable=False),
    Column("report", JSON, nullable=False),
    Column("error", JSON(none_as_null=True)),
    Column("revision", Integer, nullable=False),
    # Jobs of a priority are claimed by turns: each owner's first waiting job, then each one's second ...
    Column("turn", BigInteger, nullable=False, server_default="0"),
    Column("retry_of", String(64)),
    Column("inputs", JSON(none_as_null=True)),  # a list of objects, in place of the track; NULL: the track alone
    Index("jobs_queue", "state", "priority", "created_at"),
    Index("jobs_turns", "state", "priority", "turn", "created_at", "id"),
    Index("jobs_owners_turns", "owner", "state", "priority", "turn"),
    Index("jobs_expiring", "expires_at"),
    Index("jobs_finished", "finished_at"),
    Index("jobs_track", "track_id"),
    Index("jobs_work", "work_key"),
    Index("jobs_history", "owner", "dialect", "created_at"),
    Index("jobs_newest", "created_at", "id"),
    Index("jobs_newest_in_state", "state", "created_at", "id"),
)

attempts = Table(
    "attempts",
    metadata,
    Column("job_id", String(64), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("worker", String(128), nullable=False),
    Column("prefix", String(512), nullable=False),
    Column("started_at", Double, nullable=False),
    Column("writable_until", Double, nullable=False),
    Column("ended_at", Double),
    Column("outcome", String(16)),
    Index("attempts_outcome", "outcome"),
)

signatures = Table(
    "seen_signatures",
    metadata,
    Column("signature", String(80), primary_key=True),
    Column("key", String(255), nullable=False),  # the idempotency key it came with
    Column("until", Double, nullable=False),
    Index("seen_signatures_until", "until"),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", String(80), primary_key=True),
    Column("job_id", String(64), nullable=False, unique=True),  # one for each job, however often it is told to end
    Column("url", Text, nullable=False),
    Column("kind", String(32), nullable=False),
    Column("request_id", String(128), nullable=False),
    Column("correlation_id", String(128)),
    Column("created_at", Double, nullable=False),
    Column("due_at", Double, nullable=False),
    Column("state", String(16), nullable=False),
    Column("tries", Integer, nullable=False),
    Column("lease_until", Double),
    Column("revision", Integer, nullable=False),
    Column("body", LargeBinary),
    Column("status", Integer),
    Column("error", Text),
    Column("ended_at", Double),
    Index("deliveries_due", "state", "due_at"),
)

idempotency = Table(
    "idempotency_keys",
    metadata,
    Column("owner", String(255), primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("fingerprint", String(64), nullable=False),
    Column("job_id", String(64), nullable=False),
    Column("created_at", Double, nullable=False),
)

counters = Table(
    "tallies",  # sums that outlive the jobs they are about
    metadata,
    Column("name", String(40), primary_key=True),
    Column("labels", String(400), primary_key=True),  # a JSON object, its names sorted
    Column("amount", Double, nullable=False),
)

workers = Table(
    "workers",  # informs about who is there; nothing is decided by it
    metadata,
    Column("worker", String(128), primary_key=True),
    Column("device", String(64), nullable=False),
    Column("models", JSON, key="services", nullable=False),
    Column("seen_at", Double, nullable=False),
)

drained_workers = Table(
    "drained_workers",  # how the ids of workers begin that get no new jobs
    metadata,
    Column("prefix", String(128), primary_key=True),
    Column("drained_at", Double, nullable=False),
)

ailing_workers = Table(
    "ailing_workers",  # at which jobs failed since they completed one
    metadata,
    Column("worker", String(128), primary_key=True),
    Column("failed", JSON, nullable=False),
    Column("times", Integer, nullable=False),
    Column("aside_until", Double, nullable=False),
    Column("code", String(100), nullable=False),
    Column("message", Text, nullable=False),
    Column("noted_at", Double, nullable=False),
)

services = Table(
    "services",  # what the workers offer, as they announced it
    metadata,
    Column("name", String(100), primary_key=True),
    Column("description", JSON, nullable=False),
    Column("announced_at", Double, nullable=False),
    Column("worker", String(128)),
)

paused_services = Table(
    "paused_services",  # of which no job is handed out
    metadata,
    Column("name", String(100), primary_key=True),
    Column("paused_at", Double, nullable=False),
)

installation = Table(
    "installation",  # one row: tells the stores of two installations apart
    metadata,
    Column("only", Integer, primary_key=True),  # 1
    Column("id", String(32), nullable=False),
)

tickets = Table(
    "tickets",  # of which each opens one event stream
    metadata,
    Column("digest", String(64), primary_key=True),  # the ticket itself is nowhere
    Column("owner", String(255), nullable=False),
    Column("until", Double, nullable=False),
    Index("tickets_owner", "owner"),
    Index("tickets_until", "until"),
)

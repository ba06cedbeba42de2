"""The Celery app of both sides: the API, which sends messages, and the workers. Imports Celery: load it late.

The reason of each setting is in docs/reliability.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from celery import Celery
from kombu import Exchange, Queue

from stemwright_server.adapters.broker.queue_names import queues_of

RUN_JOB = "stemwright.run_job"
_EXCHANGE = Exchange("stemwright", type="direct", durable=True)
_LONGEST_MS = 24 * 3600 * 1000  # a constant: a queue that exists cannot change its arguments
SLACK = 300.0  # seconds by which a broker's patience is longer than the hard limit of a job


def queue(name: str) -> Queue:
    """A queue of ours. RabbitMQ replicates it and keeps it on disk; Redis does not know the arguments."""
    arguments = {"x-queue-type": "quorum", "x-consumer-timeout": _LONGEST_MS}
    return Queue(name, _EXCHANGE, routing_key=name, durable=True, queue_arguments=arguments)


def celery_app(broker_url: str, *, services: Sequence[str] = (), job_seconds: float, stop_seconds: float) -> Celery:
    """An app without a connection. ``models``: whose queues a worker of it consumes."""
    app = Celery("stemwright", broker=broker_url, set_as_current=False)
    app.conf.update(
        task_queues=[queue(name) for name in queues_of(services)],
        task_default_exchange=_EXCHANGE.name,
        task_ignore_result=True,  # the result is in the job store
        task_serializer="json",
        accept_content=["json"],
        task_acks_late=True,  # a message lives until its job is over, so that a worker holds no second one
        task_reject_on_worker_lost=True,
        task_acks_on_failure_or_timeout=True,
        task_time_limit=job_seconds + 3 * stop_seconds + 30.0,  # the worker's own limit comes first, if it still can
        worker_pool="prefork",  # the parent stays light and answers heartbeats, whatever the model does
        worker_concurrency=1,  # one process for each device
        worker_prefetch_multiplier=1,
        worker_cancel_long_running_tasks_on_connection_loss=False,  # the lease is with the API, not with the broker
        worker_soft_shutdown_timeout=stop_seconds,
        worker_proc_alive_timeout=60.0,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_send_task_events=False,
        broker_connection_timeout=4.0,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_channel_error_retry=True,  # a queue may be known before it is back, and RabbitMQ then says 404
        broker_heartbeat=20.0,
        broker_native_delayed_delivery_queue_type="classic",  # 28 queues that Celery declares and we never use
        broker_transport_options=_transport_options(broker_url, job_seconds),
    )
    return app


def _transport_options(broker_url: str, job_seconds: float) -> dict[str, Any]:
    if broker_url.startswith("redis"):
        return {
            "visibility_timeout": job_seconds + SLACK,
            "socket_keepalive": True,
            "socket_connect_timeout": 4.0,
            "socket_timeout": 30.0,
            "health_check_interval": 10,
        }
    return {"confirm_publish": True}

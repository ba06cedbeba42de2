"""The metrics: their names, their meaning, and where each number comes from.

What is about jobs comes from the store: every API process answers the same, and a restart changes nothing. So take the
maximum over processes, not the sum. Requests are this process's own: there, sum.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, SummaryMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from stemwright_server.domain import counters
from stemwright_server.domain.job import JobState
from stemwright_server.http.request_counts import BUCKETS as REQUEST_BUCKETS
from stemwright_server.http.request_counts import RequestCounts
from stemwright_server.usecases.measure import Measures

Sums = Mapping[tuple[str, counters.Labels], float]

# Errors that somebody is called for: to Prometheus, a series that begins with its first error has not increased by it.
_ALERTED = ("cuda_out_of_memory", "out_of_memory", "worker_lost")
_FROM_ZERO: Sums = {(counters.ERRORS, counters.labels(code=code)): 0.0 for code in _ALERTED}


class ServiceCollector(Collector):
    """All of the service's own metrics, measured anew for each scrape."""

    def __init__(
        self, measure: Callable[[], Measures], requests: RequestCounts, *, data_dir: Path, release: str
    ) -> None:
        self._measure = measure
        self._requests = requests
        self._data_dir = data_dir
        self._release = release

    def describe(self) -> list[Metric]:
        """Nothing: registering must not measure."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Measure now, and give every metric with its value."""
        measures = self._measure()
        yield from _now(measures)
        yield from _totals({**_FROM_ZERO, **measures.counters})
        yield from _requests(self._requests)
        disk = shutil.disk_usage(self._data_dir)
        yield GaugeMetricFamily("demucs_disk_free_bytes", "Free on the disk of the data folder.", disk.free)
        yield GaugeMetricFamily("demucs_disk_size_bytes", "Size of the disk of the data folder.", disk.total)
        build = GaugeMetricFamily("demucs_build_info", "1; the release is a label.", labels=["version"])
        build.add_metric([self._release], 1)
        yield build


def _now(measures: Measures) -> Iterator[Metric]:
    yield GaugeMetricFamily("demucs_jobs_active", "Jobs that a worker has now.", measures.jobs[JobState.RUNNING])
    yield GaugeMetricFamily("demucs_store_up", "Whether the store of files can be used.", float(measures.store_is_up))
    yield GaugeMetricFamily("demucs_queue_depth", "Jobs that wait for a worker.", measures.jobs[JobState.QUEUED])
    waiting = GaugeMetricFamily("demucs_queue_jobs", "Jobs that wait for a worker of a service.", labels=["service"])
    longest = GaugeMetricFamily(
        "demucs_queue_oldest_seconds", "For how long the job has waited that waits longest.", labels=["service"]
    )
    for service, (jobs, seconds) in sorted(measures.queues.items()):
        waiting.add_metric([service], jobs)
        longest.add_metric([service], seconds)
    yield from (waiting, longest)
    workers = GaugeMetricFamily("demucs_workers", "Workers heard of lately, by kind of device.", labels=["device"])
    kinds = [counters.plain(worker.device.partition(":")[0]) for worker in measures.workers]
    for kind in sorted({*kinds, "cpu", "cuda"}):  # a zero can be alerted on, an absence hardly
        workers.add_metric([kind], kinds.count(kind))
    yield workers
    yield GaugeMetricFamily(
        "demucs_workers_set_aside", "Workers that get no jobs for a while, since jobs fail there.", measures.aside
    )
    webhooks = GaugeMetricFamily(
        "demucs_webhook_deliveries", "Webhooks in the outbox, by what became of them so far.", labels=["state"]
    )
    for state, count in measures.deliveries.items():
        webhooks.add_metric([state.value], count)
    yield webhooks
    used = GaugeMetricFamily("demucs_gpu_memory_used_bytes", "In use on a GPU, by any process.", labels=["host", "gpu"])
    total = GaugeMetricFamily("demucs_gpu_memory_total_bytes", "Memory of a GPU.", labels=["host", "gpu"])
    for gpu in measures.gpus:
        used.add_metric([gpu.host, str(gpu.index)], gpu.used_bytes)
        total.add_metric([gpu.host, str(gpu.index)], gpu.total_bytes)
    yield from (used, total)


def _totals(sums: Sums) -> Iterator[Metric]:
    for name, help_, source, labels in (
        ("demucs_jobs", "Jobs that ended.", counters.JOBS, ("dialect", "service", "model", "status")),
        ("demucs_errors", "Attempts that failed, by the error's code.", counters.ERRORS, ("code",)),
        ("demucs_worker_seconds", "Workers' time in completed attempts.", counters.PROCESSING_SUM, _KIND),
        ("demucs_audio_seconds", "Audio in completed attempts.", counters.AUDIO_SUM, _KIND),
    ):
        family = CounterMetricFamily(name, help_, labels=labels)
        for found, amount in _of(sums, source):
            family.add_metric([found.get(label, "") for label in labels], amount)
        yield family
    yield _processing(sums)
    stages = SummaryMetricFamily("demucs_stage_seconds", "Time of a stage of a completed attempt.", labels=["stage"])
    counts = {found["stage"]: amount for found, amount in _of(sums, counters.STAGE_COUNT)}
    for found, amount in _of(sums, counters.STAGE_SUM):
        stages.add_metric([found["stage"]], int(counts.get(found["stage"], 0)), amount)
    yield stages
    factor = GaugeMetricFamily(
        "demucs_realtime_factor", "Workers' seconds for a second of audio, over all completed attempts.", labels=_KIND
    )
    audio = {tuple(found.items()): amount for found, amount in _of(sums, counters.AUDIO_SUM)}
    for found, seconds in _of(sums, counters.PROCESSING_SUM):
        if heard := audio.get(tuple(found.items())):
            factor.add_metric([found[label] for label in _KIND], seconds / heard)
    yield factor


_KIND = ("service", "model", "device")


def _of(sums: Sums, name: str) -> list[tuple[dict[str, str], float]]:
    return sorted(((dict(labels), amount) for (each, labels), amount in sums.items() if each == name), key=repr)


def _processing(sums: Sums) -> Metric:
    """The store keeps each bucket alone; Prometheus wants each with those below it."""
    family = HistogramMetricFamily(
        "demucs_processing_seconds", "Worker's time of a completed attempt.", labels=["service", "model"]
    )
    alone: dict[tuple[str, str], dict[str, float]] = {}
    total: dict[tuple[str, str], float] = {}
    for found, amount in _of(sums, counters.PROCESSING):
        alone.setdefault((found["service"], found["model"]), {})[found["le"]] = amount
    for found, amount in _of(sums, counters.PROCESSING_SUM):
        kind = (found["service"], found["model"])
        total[kind] = total.get(kind, 0.0) + amount
    bounds = [*(f"{bound:g}" for bound in counters.BUCKETS), "+Inf"]
    for kind, buckets in alone.items():
        below, so_far = [], 0.0
        for bound in bounds:
            so_far += buckets.get(bound, 0.0)
            below.append((bound, so_far))
        family.add_metric(list(kind), below, total.get(kind, 0.0))
    return family


def _requests(counts: RequestCounts) -> Iterator[Metric]:
    family = CounterMetricFamily(
        "demucs_api_requests", "Requests that this process answered.", labels=["method", "route", "status"]
    )
    for key, count in counts.requests().items():
        family.add_metric(list(key), count)
    yield family
    seconds = HistogramMetricFamily(
        "demucs_api_request_seconds", "How long this process took to answer.", labels=["route"]
    )
    for route, duration in counts.durations().items():
        below, so_far = [], 0
        for bound, count in zip([*map(str, REQUEST_BUCKETS), "+Inf"], duration.counts, strict=True):
            so_far += count
            below.append((bound, float(so_far)))
        seconds.add_metric([route], below, duration.total)
    yield seconds

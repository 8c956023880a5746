"""Count and time requests, for Prometheus."""

import os
import pathlib

import prometheus_client
from prometheus_client import multiprocess

# Seconds. The first ones are those of a cache of small pictures on a CPU, the
# last ones are timeouts.
_SECONDS = (
    *(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5),
    *(1.0, 2.0, 5.0, 10.0, 30.0),
)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128)
# Prometheus' client reads this variable: a folder that the workers share.
SHARED_FOLDER = "PROMETHEUS_MULTIPROC_DIR"


class Metrics:
    """The metrics of one process."""

    def __init__(self) -> None:
        registry = prometheus_client.CollectorRegistry()
        self.requests = prometheus_client.Counter(
            "keras_facnn_requests",
            "Requests, by endpoint and HTTP status",
            ("endpoint", "status"),
            registry=registry,
        )
        self.seconds = prometheus_client.Histogram(
            "keras_facnn_request_seconds",
            "Seconds from the headers of a request to the end of its answer",
            ("endpoint",),
            buckets=_SECONDS,
            registry=registry,
        )
        self.in_progress = prometheus_client.Gauge(
            "keras_facnn_requests_in_progress",
            "Requests that are not answered yet",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.waiting = prometheus_client.Gauge(
            "keras_facnn_pictures_waiting",
            "Pictures that wait for an inference",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.batches = prometheus_client.Histogram(
            "keras_facnn_batch_pictures",
            "Pictures per inference",
            buckets=_SIZES,
            registry=registry,
        )
        self.inference_seconds = prometheus_client.Histogram(
            "keras_facnn_inference_seconds",
            "Seconds per inference of a batch",
            buckets=_SECONDS,
            registry=registry,
        )
        self.watched = prometheus_client.Counter(
            "keras_facnn_watched_pictures",
            "Pictures whose evidence was compared with the reference",
            registry=registry,
        )
        self.capital = prometheus_client.Gauge(
            "keras_facnn_watch_capital",
            "How much speaks for a change: 0 is nothing, 1 is an alarm",
            registry=registry,
            multiprocess_mode="livemax",
        )
        self.alarms = prometheus_client.Counter(
            "keras_facnn_watch_alarms",
            "How often evidence differed from the reference",
            registry=registry,
        )
        self._registry = registry
        if SHARED_FOLDER in os.environ:
            _forget_dead_workers(os.environ[SHARED_FOLDER])
            self._registry = prometheus_client.CollectorRegistry()
            multiprocess.MultiProcessCollector(self._registry)
        else:
            prometheus_client.ProcessCollector(registry=registry)

    def text(self) -> tuple[bytes, str]:
        """Return the metrics of all workers, and their content type."""
        return (
            prometheus_client.generate_latest(self._registry),
            prometheus_client.CONTENT_TYPE_LATEST,
        )


def _forget_dead_workers(folder: str) -> None:
    """Remove the gauges of workers that were killed.

    A worker that replaces another one calls this. Otherwise requests that died
    with a worker would be in progress forever.
    """
    # On Windows, `os.kill` would kill.
    if os.name != "posix":
        return
    for file in pathlib.Path(folder).glob("gauge_live*_*.db"):
        number = int(file.stem.rpartition("_")[2])
        try:
            os.kill(number, 0)
        except ProcessLookupError:
            multiprocess.mark_process_dead(number, folder)
        except PermissionError:
            # It lives, as a process of another user.
            pass

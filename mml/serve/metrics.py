"""What Prometheus may ask for at /metrics."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_PERSONS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """The counters of one server."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self.requests = Counter("mml_requests", "Requests answered.", ["path", "method", "status"], registry=registry)
        self.seconds = Histogram(
            "mml_request_seconds", "Time to answer.", ["path"], buckets=_SECONDS, registry=registry
        )
        self.model_seconds = Histogram(
            "mml_model_seconds", "Time of one call of the model.", buckets=_SECONDS, registry=registry
        )
        self.batch_persons = Histogram(
            "mml_batch_persons", "Persons in one call of the model.", buckets=_PERSONS, registry=registry
        )
        self.waiting = Gauge("mml_waiting", "Persons whose answer waits for the model.", registry=registry)
        self.refused = Counter("mml_refused", "Requests refused because too much waited.", registry=registry)
        self.unknown = Counter("mml_unknown_items", "Item ids of requests that the model lacks.", registry=registry)
        self.events = Counter("mml_events", "Events kept.", registry=registry)
        self.uncounted = Gauge(
            "mml_uncounted_events", "Events that wait to be counted by the model.", registry=registry
        )
        self.items = Gauge("mml_items", "Items that can be recommended.", registry=registry)
        self.reloads = Counter("mml_reloads", "New models taken.", registry=registry)
        self.failed_reloads = Counter("mml_failed_reloads", "New models that could not be read.", registry=registry)

    def text(self) -> bytes:
        """In Prometheus' text format."""
        return generate_latest(self._registry)

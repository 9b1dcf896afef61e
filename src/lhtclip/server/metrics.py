"""Counters of the server, in Prometheus format."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """Counters of one application; each application has a registry of its own."""

    def __init__(self) -> None:
        """Register every metric."""
        self.registry = CollectorRegistry(auto_describe=True)
        self.requests = self._counter("requests", "Answers by route and status.", "route", "status")
        self.rejected = self._counter("rejected", "Refused requests, by reason.", "reason")
        self.cache_lookups = self._counter("cache_lookups", "Look-ups of images.", "result")
        self.pixels = self._counter("pixels", "Pixels encoded.")
        self.seconds = self._times("request_seconds", "Time to answer.", "route")
        self.stages = self._times("stage_seconds", "Time of a stage.", "stage")
        self.queue = self._gauge("queue_depth", "Requests waiting for the model.")
        self.cache_images = self._gauge("cache_images", "Images kept encoded.")
        self.cache_bytes = self._gauge("cache_bytes", "Bytes of the images kept encoded.")
        self.batch_images = Histogram(
            "lhtclip_batch_images",
            "Images encoded together.",
            buckets=(1, 2, 4, 8, 16, 32),
            registry=self.registry,
        )

    def text(self) -> bytes:
        """Return all values in Prometheus' text form."""
        return generate_latest(self.registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"lhtclip_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(f"lhtclip_{name}", text, registry=self.registry)

    def _times(self, name: str, text: str, *labels: str) -> Histogram:
        return Histogram(f"lhtclip_{name}", text, labels, buckets=_SECONDS, registry=self.registry)

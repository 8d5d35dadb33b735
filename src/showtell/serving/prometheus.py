"""What an operator watches, in the text format of Prometheus."""

import time
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """Counters of one server.

    Attributes:
        requests: By status.
        seconds: From the first byte of a request for a prediction to the last of its answer.
        images: By model and outcome, ``answered`` or ``unreadable``.
        batches: Images of a batch, by model.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = Counter(
            "showtell_requests", "Requests by status.", ["status"], registry=self.registry
        )
        self.seconds = Histogram(
            "showtell_predict_seconds", "Time of a prediction.", buckets=_SECONDS, registry=self.registry
        )
        self.images = Counter(
            "showtell_images", "Images by outcome.", ["model", "outcome"], registry=self.registry
        )
        self.batches = Histogram(
            "showtell_batch_images",
            "Images of a batch.",
            ["model"],
            buckets=(1, 2, 4, 8, 16),
            registry=self.registry,
        )
        self._queue = Gauge("showtell_queue_images", "Images that wait.", ["model"], registry=self.registry)
        self._in_flight = Gauge(
            "showtell_requests_in_flight", "Requests being worked on.", registry=self.registry
        )

    def watch_queue(self, model: str, length: Callable[[], int]) -> None:
        """Report a queue's length whenever somebody asks."""
        self._queue.labels(model).set_function(length)

    def watch_in_flight(self, count: Callable[[], int]) -> None:
        """Report the requests in flight whenever somebody asks."""
        self._in_flight.set_function(count)

    def text(self) -> bytes:
        """Return all of it as Prometheus reads it."""
        return generate_latest(self.registry)


class Measured:
    """Count every request and time those for predictions.

    Args:
        app: What answers.
        metrics: Where to count.
        timed: The path whose requests are timed.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, timed: str) -> None:
        self.app = app
        self.metrics = metrics
        self.timed = timed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()

        async def count(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.metrics.requests.labels(message["status"]).inc()
            await send(message)

        try:
            await self.app(scope, receive, count)
        finally:
            if scope["path"] == self.timed:
                self.metrics.seconds.observe(time.perf_counter() - started)

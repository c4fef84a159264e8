"""Count what a node does, for Prometheus: numbers and names of routes and members, no content."""

from __future__ import annotations

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

__all__ = ["METRICS_TYPE", "Metrics"]

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """The figures of one node, in a registry of their own, so that a host keeps its own."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.requests = Counter(
            "ledgercore_requests", "Requests answered.", ("route", "status"), registry=registry
        )
        self.seconds = Histogram(
            "ledgercore_request_seconds",
            "From a request's headers to the end of its answer.",
            ("route",),
            buckets=_SECONDS,
            registry=registry,
        )
        self.records = Counter(
            "ledgercore_records", "Records submitted here.", ("outcome",), registry=registry
        )
        self.height = Gauge("ledgercore_height", "Height of the newest block.", registry=registry)
        self.size = Gauge("ledgercore_size", "Records in the ledger.", registry=registry)
        self.published_height = Gauge(
            "ledgercore_published_height",
            "Height of the newest block that the quorum has cosigned; -1 without one.",
            registry=registry,
        )
        self.behind = Gauge(
            "ledgercore_blocks_behind",
            "Published blocks that a peer has shown and the copy lacks.",
            registry=registry,
        )
        self.answered = Gauge(
            "ledgercore_peer_answered_timestamp_seconds",
            "When a peer last answered what held, seconds since 1970.",
            ("peer",),
            registry=registry,
        )
        self.under_way = Gauge(
            "ledgercore_requests_under_way", "Requests being answered.", registry=registry
        )
        self.body_bytes = Gauge(
            "ledgercore_body_bytes", "Bytes of bodies being read or answered.", registry=registry
        )
        self.streams = Gauge("ledgercore_event_streams", "Open event streams.", registry=registry)
        self.certificate_end = Gauge(
            "ledgercore_certificate_end_timestamp_seconds",
            "When the node's own TLS certificate ends, seconds since 1970.",
            registry=registry,
        )
        self.refused = Counter(
            "ledgercore_blocks_refused",
            "Answers of a peer that did not hold.",
            ("peer",),
            registry=registry,
        )

        self._add_connections(registry)

    def _add_connections(self, registry: CollectorRegistry) -> None:
        self.cut = Counter(
            "ledgercore_connections_cut",
            "Connections closed because their member may not ask any more.",
            registry=registry,
        )
        self.turned_away = Counter(
            "ledgercore_handshakes_refused",
            "Connections closed because too many handshakes were under way.",
            registry=registry,
        )
        self.connections_refused = Counter(
            "ledgercore_connections_refused",
            "Connections closed because there were enough, of all or with one certificate.",
            registry=registry,
        )
        self.connections_replaced = Counter(
            "ledgercore_connections_replaced",
            "Idle connections closed for a new one with the same certificate.",
            registry=registry,
        )

    def exposition(self) -> bytes:
        """All figures as Prometheus reads them."""
        return generate_latest(self.registry)

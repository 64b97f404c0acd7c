"""The agent's metrics, in the form that Prometheus reads; for the stack's own network only.

The state on the volumes is read at each scrape, so that the numbers equal those of `status`; the
counters count events. Times are Unix seconds, as is usual in Prometheus.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from prometheus_client import CollectorRegistry, Counter, ProcessCollector, start_http_server
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tlsgate.acme.rollover.state_machine import Step
from tlsgate.events import listening

Entries = Callable[[], list[dict[str, Any]]]
"""What `tlsgate.acme.agent.status.Status.all` returns."""
_LABELS = ("certificate", "volume")
_COUNTED = {
    "order": ("tlsgate_orders", "Orders placed at a CA."),
    "certificate": ("tlsgate_switches", "Certificates that came into service."),
    "switched-back": ("tlsgate_switches_undone", "Switches that the servers did not show."),
    "alert": ("tlsgate_alerts", "Alerts."),
}


class FromVolumes(Collector):
    """One gauge for each fact, labelled by certificate."""

    def __init__(self, entries: Entries) -> None:
        self._entries = entries

    def collect(self) -> Iterable[Metric]:
        """At each scrape."""
        entries = self._entries()
        yield self._times("not_after", "The end of the served certificate.", entries, _not_after)
        yield self._times("renewal", "When it is to be renewed.", entries, _renewal)
        yield self._times("issued", "The start of its validity.", entries, _not_before)
        yield self._times("rollover_next", "When the schedule changes its key.", entries, _next)
        yield self._times("rollover_until", "What its roll-over waits for.", entries, _until)
        failures = GaugeMetricFamily(
            "tlsgate_certificate_failures", "Failed attempts in a row.", labels=_LABELS
        )
        steps = GaugeMetricFamily(
            "tlsgate_rollover_step", "1 at the step of its roll-over.", labels=(*_LABELS, "step")
        )
        for entry in entries:
            labels = _labels(entry)
            failures.add_metric(labels, entry["failure"]["count"] if entry["failure"] else 0)
            state = entry["rollover"]
            for step in Step:
                steps.add_metric([*labels, step.value], bool(state and state["step"] == step.value))
        yield failures
        yield steps

    def _times(
        self,
        name: str,
        text: str,
        entries: list[dict[str, Any]],
        time_of: Callable[[dict[str, Any]], str | None],
    ) -> Metric:
        gauge = GaugeMetricFamily(
            f"tlsgate_certificate_{name}_timestamp_seconds", text, labels=_LABELS
        )
        for entry in entries:
            iso = time_of(entry)
            if iso is not None:
                gauge.add_metric(_labels(entry), datetime.fromisoformat(iso).timestamp())
        return gauge


def registry_of(entries: Entries) -> CollectorRegistry:
    """The gauges, and this process's use of memory and processor."""
    registry = CollectorRegistry()
    registry.register(FromVolumes(entries))
    ProcessCollector(registry=registry)
    return registry


@contextmanager
def serving(port: int | None, entries: Entries) -> Iterator[int | None]:
    """Inside the block `/metrics` is served on every address; nothing without a port.

    Gives the port, which is a free one for 0. Raises OSError if it is taken.
    """
    if port is None:
        yield None
        return
    registry = registry_of(entries)
    counters = {
        event: Counter(name, text, registry=registry) for event, (name, text) in _COUNTED.items()
    }

    def count(event: Mapping[str, object]) -> None:
        counter = counters.get(str(event["event"]))
        if counter is not None:
            counter.inc()

    server, thread = start_http_server(port, registry=registry)
    try:
        with listening(count):
            yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _labels(entry: dict[str, Any]) -> list[str]:
    return [entry["name"], entry["volume"]]


def _not_after(entry: dict[str, Any]) -> str | None:
    return entry["served"]["not_after"] if entry["served"] else None


def _not_before(entry: dict[str, Any]) -> str | None:
    return entry["served"]["not_before"] if entry["served"] else None


def _renewal(entry: dict[str, Any]) -> str | None:
    return entry["renewal"]["at"] if entry["renewal"] else None


def _next(entry: dict[str, Any]) -> str | None:
    next_one: str | None = entry["next_rollover"]
    return next_one


def _until(entry: dict[str, Any]) -> str | None:
    return entry["rollover"]["until"] if entry["rollover"] else None

"""What Prometheus reads: the same facts as `status`, and counts of what happened."""

from __future__ import annotations

import urllib.request
from datetime import datetime
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from tests.support.loopback import serves_on_loopback
from tests.unit.acme.rollover_world import NAME, World
from tlsgate.acme.agent.metrics import registry_of, serving
from tlsgate.acme.agent.status import Status
from tlsgate.acme.faults import AcmeFault
from tlsgate.acme.rollover.state_machine import Step
from tlsgate.events import emit

LABELS = {"certificate": NAME, "volume": "mx"}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "world", rotate_days=90)


def registry(world: World) -> CollectorRegistry:
    return registry_of(Status(world.config, world.paths, world.clock).all)


def seconds(iso: str) -> float:
    return datetime.fromisoformat(iso).timestamp()


def test_gauges_are_what_status_says(world: World) -> None:
    world.look()
    world.take_up()
    entry, found = world.status(), registry(world)
    expected = {
        "not_after": entry["served"]["not_after"],
        "issued": entry["served"]["not_before"],
        "renewal": entry["renewal"]["at"],
        "rollover_next": entry["next_rollover"],
    }
    for name, iso in expected.items():
        value = found.get_sample_value(f"tlsgate_certificate_{name}_timestamp_seconds", LABELS)
        assert value == seconds(iso), name
    assert found.get_sample_value("tlsgate_certificate_failures", LABELS) == 0
    assert found.get_sample_value("tlsgate_certificate_rollover_until_timestamp_seconds") is None


def test_a_rollover_and_a_failure_are_seen(world: World) -> None:
    world.look()
    world.take_up()
    world.operator().rotate([NAME], now=False, revoke=False)
    world.look()
    world.ca_fault = AcmeFault("no", "wait")
    world.operator().renew([NAME])
    world.look()
    found = registry(world)
    steps = {
        step: found.get_sample_value("tlsgate_rollover_step", {**LABELS, "step": step.value})
        for step in Step
    }
    assert steps == {step: float(step is Step.SPREAD) for step in Step}
    assert found.get_sample_value("tlsgate_certificate_failures", LABELS) == 1
    until = world.status()["rollover"]["until"]
    name = "tlsgate_certificate_rollover_until_timestamp_seconds"
    assert found.get_sample_value(name, LABELS) == seconds(until)


def test_without_a_certificate_there_is_no_time(world: World) -> None:
    name = "tlsgate_certificate_not_after_timestamp_seconds"
    assert registry(world).get_sample_value(name, LABELS) is None


@serves_on_loopback
def test_served_over_http_with_counts(world: World) -> None:
    with serving(0, Status(world.config, world.paths, world.clock).all) as port:
        world.look()
        emit("alert", what="a", reason="b", next="c")
        emit("alert", what="a", reason="b", next="c")
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            families = text_string_to_metric_families(answer.read().decode())
            samples = {s.name: s.value for family in families for s in family.samples}
    assert samples["tlsgate_alerts_total"] == 2
    assert samples["tlsgate_switches_total"] == 1
    assert samples["tlsgate_orders_total"] == 0  # placed at the world's CA, which tells nothing
    assert samples["process_resident_memory_bytes"] > 0
    emit("alert", what="nobody listens any more", reason="", next="")


def test_no_port_no_server(world: World) -> None:
    with serving(None, list) as port:
        assert port is None

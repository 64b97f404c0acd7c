"""Rotation under load: how long a renewal takes, and how many connections fail.

`rotation.renewal`: seconds from the request to the new certificate at port 25, which includes the
agent, the CA and the gateway. `rotation.failures`: failures of more than ten thousand STARTTLS
handshakes during renewals and a roll-over. `rotation.memory`: memory of the agent's process while
nothing is due. `rotation.cpu`: the same for its container with its health checks.
"""

from __future__ import annotations

import re
import statistics
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

from lab import plan
from lab.bench.line import line
from lab.bring_up import bring_up, engine
from lab.commands import GATEWAY, LabError, up
from lab.driver import Lab
from lab.endpoints import gateway_container
from lab.handshakes import load
from lab.rotation import ENDPOINT, OpenSessions, renew, rotate

COMMAND = "python -m lab.bench rotation"
PEERS = ("good", "hosted", "sts", "dane", "pinned", "fixednet")
RATE = 72.0
HANDSHAKES = 10_000
RENEWALS = 5
SESSIONS = 8
IDLE_SECONDS = 60.0
METRICS = f"http://{plan.SUBNET.rpartition('.')[0]}.6:9464/metrics"


def measurements() -> Iterator[dict[str, Any]]:
    """One line for each measurement."""
    client = engine()
    bring_up(client)
    up(GATEWAY, client)
    lab = Lab(client)
    seconds: list[float] = []
    broken: list[str] = []
    begun = time.monotonic()
    with load(lab, RATE, PEERS) as found:
        for number in range(RENEWALS + 1):
            sessions = OpenSessions(ENDPOINT, SESSIONS)
            if number == 2:
                rotate()
            else:
                seconds.append(renew()[1])
            broken += sessions.broken() + sessions.finish()
        # The remaining handshakes, if the changes were faster.
        time.sleep(max(0.0, 1.05 * HANDSHAKES / RATE - (time.monotonic() - begun)))
    if len(found.made) < HANDSHAKES:
        raise LabError(f"only {len(found.made)} handshakes were made")
    yield line(
        "rotation.renewal", statistics.median(seconds), "s", 5.0, COMMAND, longest=max(seconds)
    )
    yield line(
        "rotation.failures",
        len(found.failures) + len(broken),
        "handshakes and sessions",
        0,
        COMMAND,
        handshakes=len(found.made),
        per_second=round(found.rate, 1),
        first=(found.failures + broken)[:3],
    )
    yield from _idle(client)


def _idle(client: Any) -> Iterator[dict[str, Any]]:
    agent = client.containers.get(gateway_container("agent"))
    before, container = _metrics(), _used(agent)
    time.sleep(IDLE_SECONDS)
    after, container_after = _metrics(), _used(agent)
    memory = after["process_resident_memory_bytes"] / 1e6
    yield line("rotation.memory", memory, "MB", 60.0, COMMAND)
    process = after["process_cpu_seconds_total"] - before["process_cpu_seconds_total"]
    yield line(
        "rotation.cpu",
        100 * process / IDLE_SECONDS,
        "% of a processor",
        0.1,
        COMMAND,
        container=round(100 * (container_after - container) / IDLE_SECONDS, 2),
    )


def _metrics() -> dict[str, float]:
    with urllib.request.urlopen(METRICS, timeout=10) as answer:
        text = answer.read().decode()
    return {name: float(value) for name, value in re.findall(r"^(\w+) (\S+)$", text, re.M)}


def _used(container: Any) -> float:
    """Processor seconds since the container's start, including health checks."""
    return float(container.stats(stream=False)["cpu_stats"]["cpu_usage"]["total_usage"]) / 1e9

"""How long `tlsgate probe` takes for 1,000 domains, compared with posttls-finger in sequence.

`python -m lab.bench.probe` prints the measurements as JSON lines. The network is simulated: see
lab/bench/simulated_network.py. posttls-finger is Postfix's own, from the image of the gateway; it
gets each server's address, so that it spends no time on DNS, and only COMPARED domains, because
each takes most of a second.
"""

from __future__ import annotations

import contextlib
import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import docker
from docker.errors import NotFound

from lab.bench.simulated_network import NO_STARTTLS, SELF_SIGNED, address, domain
from lab.commands import LabError
from lab.endpoints import gateway_container
from tlsgate.dns.nameservers import Resolver
from tlsgate.probe.probe import ProbeSettings, probe_domains
from tlsgate.smtp.dialogue import Limits

COMMAND = "python -m lab.bench.probe"
DOMAINS = 1000
COMPARED = 20
DELAY = 0.1
SECONDS_LIMIT = 15.0
MEGABYTES_LIMIT = 150.0
TIMES_FASTER_LIMIT = 20.0
READY = DOMAINS * 8 // 10
"""Domains that are ready for `pkix` or `dane`: not the self-signed, not those without STARTTLS."""

_LOOP = """\
printf '%s' "$ROOT" > /tmp/root.pem
echo 'compatibility_level = 3.10' > /tmp/main.cf
for server in $SERVERS; do
  posttls-finger -c -l secure -p '>=TLSv1.2' -g high -F /tmp/root.pem \
    "[${server%%=*}]:$PORT" "${server#*=}"
done 2>&1
"""


def measurements() -> Iterator[dict[str, Any]]:
    """Each with `name`, `value`, `unit`, `limit`, `ok`, `command` and what it is computed from.

    Raises LabError if the results themselves are wrong, or if the gateway is not up.
    """
    with _network() as network:
        probe = _probe(network)
        finger = _finger(network)
    each = probe["seconds"] / DOMAINS
    yield _line("probe-seconds", probe["seconds"], "s", SECONDS_LIMIT, **probe)
    yield _line("probe-memory", probe["megabytes"], "MB", MEGABYTES_LIMIT)
    faster = finger["seconds"] / COMPARED / each
    yield {
        **_line("probe-against-posttls-finger", faster, "times faster", TIMES_FASTER_LIMIT),
        "ok": faster >= TIMES_FASTER_LIMIT,
        "posttls_finger": {"domains": COMPARED, **finger},
    }


def _line(name: str, value: float, unit: str, limit: float, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "value": round(value, 2),
        "unit": unit,
        "limit": limit,
        "ok": value <= limit,
        "command": COMMAND,
        "round_trip_seconds": DELAY,
        **more,
    }


@contextlib.contextmanager
def _network() -> Iterator[dict[str, Any]]:
    command = [sys.executable, "-m", "lab.bench.simulated_network", "--delay", str(DELAY)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None  # noqa: S101  # it is a pipe
            yield json.loads(server.stdout.readline())
        finally:
            server.kill()


def _probe(network: dict[str, Any]) -> dict[str, Any]:
    """Run the probe in its own process: that includes its start, and only its memory."""
    command = [sys.executable, "-m", "lab.bench.probe", "--probe"]
    start = time.monotonic()
    done = subprocess.run(
        command, input=json.dumps(network), capture_output=True, text=True, check=True
    )
    seconds = time.monotonic() - start
    found: dict[str, Any] = json.loads(done.stdout)
    if found["ready"] != READY:
        raise LabError(f"the probe found {found['ready']} of {DOMAINS} domains ready, not {READY}")
    return {"seconds": round(seconds, 2), "domains": DOMAINS, **found}


def _run_probe(network: dict[str, Any]) -> dict[str, Any]:
    """The measured part."""
    settings = ProbeSettings(
        Resolver(("127.0.0.1",), network["dns_port"]),
        extra_ca=network["root"],
        limits=Limits(network["smtp_port"], "bench.example"),
    )
    results = probe_domains([domain(number) for number in range(DOMAINS)], settings)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ready = sum(result.satisfied for result in results)
    return {"ready": ready, "megabytes": round(peak / 1024, 1), "at_once": settings.at_once}


def _finger(network: dict[str, Any]) -> dict[str, Any]:
    numbers = range(COMPARED)
    servers = " ".join(f"{address(number)}={domain(number)}" for number in numbers)
    environment = {
        "SERVERS": servers,
        "PORT": str(network["smtp_port"]),
        "ROOT": network["root"],
        "MAIL_CONFIG": "/tmp",  # noqa: S108  # the container's own
    }
    client = docker.from_env()
    try:
        gateway = client.containers.get(gateway_container("gateway"))
        container = client.containers.run(
            gateway.attrs["Image"],
            entrypoint=["sleep", "600"],
            environment=environment,
            network_mode="host",
            labels={"tlsgate.lab": "bench"},
            detach=True,
        )
        try:
            start = time.monotonic()
            output = _text(container.exec_run(["sh", "-c", _LOOP]).output)
            seconds = time.monotonic() - start
        finally:
            container.remove(force=True)
    except NotFound:
        raise LabError("the gateway is not up; run `make demo` first") from None
    finally:
        client.close()
    verified = output.count("Verified TLS connection established")
    expected = sum(number % 10 not in {SELF_SIGNED, NO_STARTTLS} for number in numbers)
    if verified != expected:
        raise LabError(f"posttls-finger verified {verified} servers, not {expected}: {output}")
    return {"seconds": round(seconds, 2)}


def _text(output: object) -> str:
    """What `exec_run` really returns without `stream`; its type hints are wrong."""
    return output.decode("utf-8", "replace") if isinstance(output, bytes) else ""


if __name__ == "__main__":
    if "--probe" in sys.argv:
        print(json.dumps(_run_probe(json.load(sys.stdin))))
    else:
        for measurement in measurements():
            print(json.dumps(measurement), flush=True)

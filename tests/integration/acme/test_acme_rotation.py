"""Switches, roll-overs and revocation with a real CA, a real DNS server and a TLS server."""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.integration.acme.acme_agent import (
    MX,
    OWNER,
    answers,
    configure,
    events,
    mx,
    paths,
    run,
    served,
    tlsa_is_right,
)
from tests.integration.acme.acme_server import MailServer
from tests.integration.acme.acme_world import ROOT, Volumes, World, wait_for
from tlsgate.acme.agent import assembly
from tlsgate.acme.agent.loop import Agent
from tlsgate.acme.certificate import facts
from tlsgate.acme.config.agent_json import Probe
from tlsgate.acme.gateway.tls_probe import Servers, served_certificate
from tlsgate.acme.process import Stop
from tlsgate.acme.rollover.tlsa_records import value

pytestmark = pytest.mark.integration
TTL = 2
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def volumes(world: World, request: pytest.FixtureRequest) -> Volumes:
    return world.volumes(request.node.name)


@pytest.fixture
def server(
    world: World, volumes: Volumes, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> Iterator[MailServer]:
    """With the first certificate in service, and an agent that waits two seconds for it."""
    made = MailServer(volumes.keys / "mx" / MX)
    probe = {"host": "127.0.0.1", "port": made.port, "starttls": True}
    tsig = str(volumes.config / "agent.tsig")
    zones = {"zones": ["corp.example"], "tsig_key_file": tsig, "ttl": TTL}
    tlsa = {"server": world.dns_address, **zones}
    configure(world, volumes, [{**mx(), "probe": probe}], tlsa=tlsa, rotate_days=0, look_seconds=1)
    monkeypatch.setattr(assembly, "Servers", partial(Servers, seconds=2.0))
    assert run(volumes, "issue") == 0
    capsys.readouterr()
    with made.running():
        yield made


class Watcher:
    """Reads the presented key and the published records all the time."""

    def __init__(self, world: World, server: MailServer) -> None:
        self._world = world
        self._probe = Probe("127.0.0.1", server.port, starttls=True)
        self._end = threading.Event()
        self.keys: list[str] = []
        self.sets: list[tuple[float, frozenset[str]]] = []
        self.faults: list[str] = []

    def __enter__(self) -> Watcher:
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._end.wait(0.1):
            now = time.monotonic()
            self.sets.append((now, frozenset(answers(self._world, OWNER, "TLSA"))))
            key = facts(_pem(served_certificate(self._probe, MX))).spki_sha256
            if key not in self.keys:
                self.keys.append(key)
            cached = [found for at, found in self.sets if at > now - TTL]
            self.faults += [f"{key} not in {old}" for old in cached if value(key) not in old]


def _pem(der: bytes) -> bytes:
    return ssl.DER_cert_to_PEM_cert(der).encode()


def status(volumes: Volumes, capsys: Capture) -> dict[str, Any]:
    capsys.readouterr()
    assert run(volumes, "status", "--json") == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)["certificates"][0]
    return found


def agent(volumes: Volumes) -> Agent:
    return Agent(paths(volumes), lambda: datetime.now(UTC), Stop())


def test_a_key_rolls_over_by_itself(
    world: World, volumes: Volumes, server: MailServer, capsys: Capture
) -> None:
    first = facts(served(volumes).chain).spki_sha256
    stop = Stop()
    running = Agent(paths(volumes), lambda: datetime.now(UTC), stop)
    thread = threading.Thread(target=running.run)
    with Watcher(world, server) as watcher:
        thread.start()
        try:
            assert run(volumes, "rotate", MX) == 0
            wait_for(lambda: facts(served(volumes).chain).spki_sha256 != first, "another key", 30)
            assert answers(world, OWNER, "TLSA") > {value(first)}
            wait_for(lambda: tlsa_is_right(world, volumes), "the old record is gone", 30)
        finally:
            stop.set()
            thread.join()
    assert watcher.keys == [first, facts(served(volumes).chain).spki_sha256]
    assert watcher.faults == []
    lines = capsys.readouterr().out.splitlines()
    told = [json.loads(line) for line in lines if line.startswith("{")]
    steps = [event["step"] for event in told if event["event"] == "rollover"]
    assert steps == ["publish", "spread", "order", "settle", "retire", "done"]
    assert [event["event"] for event in told].count("order") == 1
    assert status(volumes, capsys)["rollover"] is None


def test_a_certificate_that_the_server_does_not_present_is_withdrawn(
    world: World, volumes: Volumes, server: MailServer, capsys: Capture
) -> None:
    first = served(volumes)
    served_certificate(Probe("127.0.0.1", server.port, starttls=True), MX)
    server.deaf = True
    assert run(volumes, "renew", MX) == 0
    capsys.readouterr()
    agent(volumes).look()
    told = events(capsys)
    assert served(volumes) == first
    (alert,) = [event for event in told if event["event"] == "alert"]
    assert alert["what"] == f"certificate {MX} could not be issued"
    assert (
        f"still serves the certificate with serial {facts(first.chain).serial}" in alert["reason"]
    )
    assert "The previous certificate is back in its place, and is served" in alert["reason"]

    # The server works again, and the request is repeated: no second order is needed.
    server.deaf = False
    assert run(volumes, "issue") == 0
    told = events(capsys)
    assert [event["event"] for event in told] == ["due", "switch", "proven", "certificate"]
    assert served(volumes) != first
    assert tlsa_is_right(world, volumes)
    assert run(volumes, "undo", MX) == 0
    capsys.readouterr()
    assert served(volumes) == first
    agent(volumes).look()
    assert served(volumes) == first
    assert "proven" in [event["event"] for event in events(capsys)]


def test_a_stopped_server_does_not_prevent_a_new_certificate(
    volumes: Volumes, server: MailServer, capsys: Capture, tmp_path: Path
) -> None:
    first = served(volumes)
    path = volumes.config / "agent.json"
    values = json.loads(path.read_text())
    values["certificates"][0]["probe"]["port"] = 1
    path.write_text(json.dumps(values))
    assert run(volumes, "renew", MX) == 0
    capsys.readouterr()
    agent(volumes).look()
    assert served(volumes) != first
    (unproven,) = [event for event in events(capsys) if event["event"] == "unproven"]
    assert "serves no certificate" in unproven["reason"]


def test_a_compromised_key_is_revoked(
    world: World, volumes: Volumes, server: MailServer, capsys: Capture
) -> None:
    first = facts(served(volumes).chain)
    assert run(volumes, "rotate", "--now", "--revoke", MX) == 0
    assert f"reject the new key for up to {TTL} s after" in capsys.readouterr().out
    assert revocation(world, first.serial) == "Valid"
    agent(volumes).look()
    now = facts(served(volumes).chain)
    assert now.spki_sha256 != first.spki_sha256
    assert revocation(world, first.serial) == "Revoked"
    assert revocation(world, now.serial) == "Valid"
    assert tlsa_is_right(world, volumes)
    assert status(volumes, capsys)["kept"] == []
    assert run(volumes, "undo", MX) == 1
    assert "no valid earlier certificate of that key is kept" in capsys.readouterr().err


def revocation(world: World, serial: str) -> str:
    """Pebble's status of a certificate."""
    context = ssl.create_default_context(cadata=world.https.pem.decode())
    url = f"https://{world.ca_address}:15000/cert-status-by-serial/{serial}"
    with urllib.request.urlopen(url, context=context, timeout=5) as answer:
        found: str = json.loads(answer.read())["Status"]
        return found


def test_sigkill_at_every_named_step(
    world: World, volumes: Volumes, server: MailServer, capsys: Capture
) -> None:
    """The agent is killed as soon as it reports the step; the next one continues."""
    first = facts(served(volumes).chain).spki_sha256
    assert run(volumes, "rotate", MX) == 0
    killed: list[str] = []
    told: list[dict[str, Any]] = []
    with Watcher(world, server) as watcher:
        deadline = time.monotonic() + 120
        while status(volumes, capsys)["rollover"] is not None:
            assert time.monotonic() < deadline, killed
            with process(volumes) as lines:
                for line in lines:
                    told.append(json.loads(line))
                    step = " ".join(str(told[-1].get(key, "")) for key in ("event", "step"))
                    if step not in killed and step.strip() not in ("agent", "renewal-info"):
                        killed.append(step)
                        break
                    if step == "rollover done":
                        break
    assert {step.partition(" ")[2] for step in killed if step.startswith("rollover")} == {
        *("publish", "spread", "order", "settle", "retire", "done")
    }
    assert {"due ", "order ", "switch ", "tlsa "} <= set(killed)
    assert watcher.keys == [first, facts(served(volumes).chain).spki_sha256]
    assert watcher.faults == []
    assert tlsa_is_right(world, volumes)
    assert len([event for event in told if event["event"] == "order"]) <= 2
    assert not [event for event in told if event["event"] == "alert"]


@contextmanager
def process(volumes: Volumes) -> Iterator[Iterator[str]]:
    """The agent as a separate process, and its events; it is killed at the end of the block."""
    used = paths(volumes)
    places = {"--config": used.config, "--state": used.state, "--keys": used.keys}
    options = [part for option, path in places.items() for part in (option, str(path))]
    running = subprocess.Popen(
        [sys.executable, "-m", "tlsgate.acme", "run", *options],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert running.stdout is not None
    try:
        yield iter(running.stdout)
    finally:
        running.kill()
        running.wait()
        running.stdout.close()

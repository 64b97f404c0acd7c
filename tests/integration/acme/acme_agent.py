"""Helpers for the agent: configure it, run its commands, read its results."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dns.message
import dns.query
import dns.rdatatype
import dns.tsigkeyring
import dns.update
import pytest

from tests.integration.acme.acme_world import AGENT_TSIG, Volumes, World
from tlsgate.acme.__main__ import main
from tlsgate.acme.agent.assembly import renewer
from tlsgate.acme.certificate import facts
from tlsgate.acme.config.agent_json import load
from tlsgate.acme.gateway.generations import CertificateGeneration, CertificateStore
from tlsgate.acme.process import Stop
from tlsgate.acme.renewal.renewer import Renewer
from tlsgate.acme.rollover.tlsa_records import value
from tlsgate.acme.state.paths import Paths

MX = "mx1.corp.example"
OWNER = f"_25._tcp.{MX}"


def configure(
    world: World, volumes: Volumes, certificates: list[dict[str, object]], **values: object
) -> Path:
    """Writes agent.json; returns its path."""
    dns_server = {
        "server": world.dns_address,
        "port": 53,
        "zones": ["corp.example", "brand.example"],
        "tsig_key_file": str(volumes.config / "agent.tsig"),
        "ttl": 5,
    }
    config = {
        "directory": world.directory,
        "contact": ["mailto:postmaster@corp.example"],
        "profile": None,
        "ca_file": str(volumes.config / "acme-ca.pem"),
        "roots_file": str(volumes.config / "extra-ca.pem"),
        "eab": None,
        "challenge": {"type": "dns-01", **dns_server},
        "tlsa": dns_server,
        "certificates": certificates,
        **values,
    }
    path = volumes.config / "agent.json"
    path.write_text(json.dumps(config))
    return path


def mx(*names: str) -> dict[str, object]:
    """The MX certificate, with further names."""
    return {"name": MX, "volume": "mx", "names": [MX, *names], "tlsa": [OWNER]}


def policy(number: int, *names: str) -> dict[str, object]:
    """A policy host's certificate."""
    return {"name": f"policy-{number}", "volume": "policy", "names": list(names), "tlsa": []}


def paths(volumes: Volumes) -> Paths:
    """The volumes' paths for the agent's code."""
    return Paths(
        volumes.config / "agent.json", volumes.state, volumes.keys, volumes.root / "heartbeat"
    )


def run(volumes: Volumes, *command: str) -> int:
    """A command's exit code."""
    return main(
        [
            *command,
            *("--config", str(volumes.config / "agent.json")),
            *("--state", str(volumes.state)),
            *("--keys", str(volumes.keys)),
        ]
    )


def events(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """The events that were printed since the last call."""
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return [line for line in lines if "event" in line]


def issuer_at(volumes: Volumes, later: timedelta) -> Renewer:
    """The issuer with a clock that is ahead."""
    used = paths(volumes)
    return renewer(load(used.config), used, Stop().pause, lambda: datetime.now(UTC) + later)


def served(volumes: Volumes, volume: str = "mx", name: str = MX) -> CertificateGeneration:
    """The generation in service."""
    current = CertificateStore(volumes.keys / volume / name).current()
    assert current is not None
    return current


def answers(world: World, name: str, rtype: str) -> set[str]:
    """The records at the authoritative server."""
    answer = dns.query.tcp(dns.message.make_query(name, rtype), world.dns_address, timeout=5)
    return {rdata.to_text() for rrset in answer.answer for rdata in rrset}


def tlsa_is_right(world: World, volumes: Volumes) -> bool:
    """The one TLSA record names the served key."""
    key = facts(served(volumes).chain).spki_sha256
    return answers(world, OWNER, "TLSA") == {value(key)}


def delete_tlsa(world: World) -> None:
    """Delete the TLSA records as a person might."""
    ring = dns.tsigkeyring.from_text({"agent": AGENT_TSIG})
    update = dns.update.UpdateMessage("corp.example", keyring=ring, keyalgorithm="hmac-sha256")
    update.delete(f"{OWNER}.", "TLSA")
    assert dns.query.tcp(update, world.dns_address, timeout=5).rcode() == 0

"""Peers with one weakness each: check, probe and the gateway agree on every one.

Mail to a listed partner is sent only over strong TLS (D21), and the prediction matches the result.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import docker
import pytest

from tests.integration.postfix.pki import new_key
from tests.integration.postfix.world import HOST, NONE, World, archive, partner
from tests.support.weak_peers import PEERS, WeakPeer, pin_of, server_pem
from tlsgate.dns.nameservers import Resolver
from tlsgate.partners.model import Outbound, Partner, Verify
from tlsgate.probe.check import CheckSettings, predict_all
from tlsgate.probe.probe import ProbeSettings, probe_domains
from tlsgate.render.partner_maps import compile_partners
from tlsgate.tls import Strength

pytestmark = pytest.mark.integration

DOMAINS = [peer.domain for peer in PEERS]


def record(peer: WeakPeer) -> Partner:
    pins = (pin_of(peer),) if peer.verify is Verify.PIN else ()
    changes: dict[str, Any] = {"tls": Strength.COMPATIBLE} if peer.compatible else {}
    made = partner(peer.name, outbound=Outbound(peer.verify, public_keys=pins))
    return replace(made, **changes)


RECORDS = tuple(map(record, PEERS))


class WeakWorld(World):
    """A world with all peers in one container, at one address."""

    def add_weak(self) -> None:
        container = self._create("weak", ["python3", "/peer/weak_peer.py"])
        peers = {peer.host: peer.settings(server_pem(peer, self.authority)) for peer in PEERS}
        program = Path(__file__).with_name("weak_peer.py").read_text()
        files = {"peer/weak_peer.py": program, "peer/settings.json": json.dumps({"peers": peers})}
        container.put_archive("/", archive(files))
        container.start()
        for peer in PEERS:
            self.zone[peer.domain] = {"MX": [peer.host]}
            self.zone[peer.host] = {"A": [self.address(container)]}
            self.zone[f"_25._tcp.{peer.host}"] = {"TLSA": [f"030101{pin_of(peer)}"]}


@pytest.fixture(scope="module")
def weak(client: docker.DockerClient, image: str) -> Iterator[World]:
    """The peers, and the gateway with a record for each of them."""
    made = WeakWorld(client, image)
    try:
        made.add_peer("internal", NONE, ["internal.example"])
        made.add_weak()
        made.add_names({}, {})
        key = new_key()
        made.put_certificate("1", key, made.authority.issue([HOST], key=key))
        made.deliver(RECORDS)
        made.start_gateway()
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module")
def resolver(weak: World) -> Resolver:
    return Resolver((weak.address(weak.containers["policy"]),))


@pytest.fixture(scope="module")
def predicted(weak: World, resolver: Resolver) -> Mapping[str, str]:
    table = dict(compile_partners(RECORDS).outbound)
    answers = predict_all(DOMAINS, table, CheckSettings(resolver, weak.authority.pem))
    return {answer.domain: answer.outcome.value for answer in answers}


@pytest.fixture(scope="module")
def probed(weak: World, resolver: Resolver) -> Mapping[str, str]:
    results = probe_domains(DOMAINS, ProbeSettings(resolver, RECORDS, weak.authority.pem))
    return {result.domain: "sent" if result.satisfied else "held" for result in results}


@pytest.fixture(scope="module")
def delivered(weak: World) -> Mapping[str, str]:
    weak.send(*(f"someone@{domain}" for domain in DOMAINS))
    statuses = {domain: weak.outcome(f"someone@{domain}").status for domain in DOMAINS}
    return {domain: status.replace("deferred", "held") for domain, status in statuses.items()}


def test_the_records_require_what_the_table_says() -> None:
    assert {peer.domain: peer.policy for peer in PEERS}.items() <= dict(
        compile_partners(RECORDS).outbound
    ).items()


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_the_prediction_matches_the_result(
    peer: WeakPeer,
    predicted: Mapping[str, str],
    probed: Mapping[str, str],
    delivered: Mapping[str, str],
) -> None:
    said = (predicted[peer.domain], probed[peer.domain], delivered[peer.domain])
    assert said == ("held" if peer.code else "sent",) * 3


def test_held_mail_reached_no_server(weak: World, delivered: Mapping[str, str]) -> None:
    """The messages that the servers received, whatever the log says."""
    arrived = " ".join(mail["mail"] for mail in weak.received("weak"))
    there = {domain for domain in DOMAINS if f"@{domain}>" in arrived}
    assert there == {peer.domain for peer in PEERS if not peer.code}
    assert set(delivered) == set(DOMAINS)

"""Peers that are weak in one respect each: check, probe and the helper's trial say the same."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest

from tests.integration.postfix.pki import Authority
from tests.integration.postfix.weak_peer import Mail
from tests.support.loopback import serves_on_loopback
from tests.support.weak_peers import PEERS, WeakPeer, pin_of, server_pem
from tests.unit.dns.fake_dns import FakeLookups
from tests.unit.probe.probe_servers import serving
from tests.unit.probe.probe_world import ADDRESS, Zone
from tlsgate.dns.nameservers import Resolver
from tlsgate.partners.model import Verify
from tlsgate.policy.delivery_check import would_hold
from tlsgate.probe import probe
from tlsgate.probe.check import predict
from tlsgate.probe.policy_answer import Policies
from tlsgate.probe.prediction import Outcome
from tlsgate.smtp.dialogue import Limits
from tlsgate.smtp.offers import Contexts
from tlsgate.smtp.sessions import SessionPool

pytestmark = serves_on_loopback

AUTHORITY = Authority()
BY_NAME = {peer.name: peer for peer in PEERS}


def zone(peer: WeakPeer) -> FakeLookups:
    records: Zone = {
        (peer.domain, "MX"): (True, [f"10 {peer.host}."]),
        (peer.host, "A"): (True, [ADDRESS]),
        (f"_25._tcp.{peer.host}", "TLSA"): (True, [f"3 1 1 {pin_of(peer)}"]),
    }
    return FakeLookups(records)


def limits(port: int) -> Limits:
    return Limits(port, "check.example", connect_seconds=5.0, session_seconds=5.0)


def probed(peer: WeakPeer, port: int) -> Awaitable[Any]:
    settings = probe.ProbeSettings(
        Resolver(("127.0.0.1",)), extra_ca=AUTHORITY.pem, limits=limits(port)
    )
    return probe.probe_all([peer.domain], settings, zone(peer))


def met(peer: WeakPeer, ask: Callable[[int], Awaitable[Any]]) -> Any:
    """What `ask`, given the port, finds out about the peer."""
    peers = {peer.host: peer.settings(server_pem(peer, AUTHORITY))}
    handler: Any = type("One", (Mail,), {"peers": peers})

    def serve(client: socket.socket) -> None:
        handler(client, None, None)

    with serving({ADDRESS: serve}) as port:
        return asyncio.run(_awaited(ask(port)))


async def _awaited(asked: Awaitable[Any]) -> Any:
    return await asked


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_the_check(peer: WeakPeer) -> None:
    def ask(port: int) -> Awaitable[Any]:
        lookups = zone(peer)
        sessions = SessionPool(Contexts(AUTHORITY.pem), limits(port), 4)
        table = {peer.domain: peer.policy}
        return predict(peer.domain, table, lookups, Policies(lookups), sessions)

    answer = met(peer, ask)
    assert answer.outcome is (Outcome.HELD if peer.code else Outcome.SENT), answer.sentence


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_the_probe(peer: WeakPeer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "_strict_table", lambda _: {peer.domain: peer.policy})
    (result,) = met(peer, lambda port: probed(peer, port))
    assert result.satisfied is (not peer.code), result.sentence
    codes = [one.code for one in result.reasons.get(peer.verify, ())]
    assert codes == ([peer.code] if peer.code else [])


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_the_helpers_trial(peer: WeakPeer) -> None:
    loaded: Any = SimpleNamespace(extra_ca=AUTHORITY.pem, host_name="mx1.corp.example")

    def ask(port: int) -> Awaitable[Any]:
        return would_hold(zone(peer), loaded, peer.domain, peer.policy, port)

    assert met(peer, ask) == peer.code


ALONE = [one for one in PEERS if one.verify is Verify.PKIX and not one.compatible]
TOO_WEAK_FOR_DANE = {"ec-192", "anonymous", "no-common-suite", "tls-eleven"}


@pytest.mark.parametrize("peer", ALONE, ids=lambda peer: peer.name)
@pytest.mark.parametrize("dane", [True, False])
def test_everyone_elses_tls_stays_as_wide_as_it_was(peer: WeakPeer, dane: bool) -> None:
    lookups = zone(peer)
    if not dane:
        del lookups.table[f"_25._tcp.{peer.host}", "TLSA"]

    def ask(port: int) -> Awaitable[Any]:
        sessions = SessionPool(Contexts(AUTHORITY.pem), limits(port), 4)
        return predict(peer.domain, {}, lookups, Policies(lookups), sessions)

    answer = met(peer, ask)
    taken = not dane or peer.name not in TOO_WEAK_FOR_DANE
    assert answer.outcome is (Outcome.SENT if taken else Outcome.HELD), answer.sentence
    # In the clear only where there is neither DANE nor anything in common.
    clear = taken and not answer.version
    assert clear is (not dane and peer.code == "handshake")


@pytest.mark.parametrize(
    ("name", "text", "remedy"),
    [
        ("rsa-1024", "a certificate whose key is too weak", "at least 2048 bits RSA, or P-256"),
        ("rsa-1024-pin", "a certificate whose key is too weak", "at least 2048 bits RSA"),
        ("cbc-sha2", "TLS 1.2 only with CBC", "`tls: compatible` in the partner's record"),
        ("cbc-sha1", "too weak (ECDHE-RSA-AES128-SHA; ", "ECDHE and AES-GCM or ChaCha20"),
        ("anonymous", "only anonymous TLS, without a certificate", "install a certificate"),
        ("tls-eleven", "offers TLSv1.1 at most", "offer TLS 1.2 or later"),
        ("no-common-suite", "does not complete TLS", "fix its TLS set-up"),
    ],
)
def test_the_reason_says_what_to_do(name: str, text: str, remedy: str) -> None:
    peer = BY_NAME[name]
    (result,) = met(peer, lambda port: probed(peer, port))
    (reason,) = result.reasons[peer.verify]
    assert text in reason.text
    assert remedy in reason.remedy
    assert "compatible" not in reason.remedy or name == "cbc-sha2"

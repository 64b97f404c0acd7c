"""What is proposed from what the servers show, and how they meet the record."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.onboarding.observed_partner import ACME
from tests.unit.probe.probe_pki import issue
from tlsgate.certificates.certificate import read_certificate
from tlsgate.dns.mail_route import MxHost, Route
from tlsgate.onboarding.proposal import Proposal, compare_with_record, propose
from tlsgate.partners.model import Outbound, Verify
from tlsgate.probe.result import ProbeResult, Server
from tlsgate.smtp.dialogue import Session
from tlsgate.smtp.server_contact import ServerContact

PKIX, DANE, PIN = Verify.PKIX, Verify.DANE, Verify.PIN
HOST = "mx.provider.example"


def found(
    *ready: Verify, domain: str = "a.example", mx: tuple[str, ...] = (), key: str = ""
) -> ProbeResult:
    keys = (key,) if key else ()
    return ProbeResult(domain, frozenset(ready), "A sentence.", mx_names=mx, public_keys=keys)


@pytest.mark.parametrize(
    ("results", "verify", "proposal"),
    [
        ([found(PKIX, PIN)], None, Proposal(PKIX)),
        ([found(PKIX, DANE, PIN)], None, Proposal(PKIX)),
        ([found(DANE, PIN)], None, Proposal(DANE)),
        ([found(DANE, PIN, mx=(HOST,))], None, Proposal(DANE)),
        ([found(PIN, mx=(HOST,))], None, Proposal(PKIX, mx=(HOST,))),
        ([found(PIN)], None, Proposal(PKIX)),
        ([found()], None, Proposal(PKIX)),
        ([found(PKIX), found(DANE)], None, Proposal(PKIX)),
        ([found(PKIX, DANE), found(DANE)], None, Proposal(DANE)),
        (
            [found(PKIX), found(PIN, domain="b.example", mx=(HOST,))],
            None,
            Proposal(PKIX, mx=(".a.example", "a.example", HOST)),
        ),
        ([found(PIN, mx=(HOST,)), found(PIN)], None, Proposal(PKIX)),
        ([found(PIN, mx=(HOST,))], PKIX, Proposal(PKIX)),
        ([found(PKIX)], DANE, Proposal(DANE)),
        ([found(key="b"), found(key="a")], PIN, Proposal(PIN, public_keys=("a", "b"))),
        ([found(PKIX)], Verify.PRIVATE_CA, Proposal(Verify.PRIVATE_CA)),
    ],
)
def test_propose(results: list[ProbeResult], verify: Verify | None, proposal: Proposal) -> None:
    assert propose(results, verify) == proposal


def seen_at_provider() -> ProbeResult:
    """acme.example, whose server has a good certificate for its own name."""
    leaf = issue((HOST,), issue(("CA",), ca=True))
    host = MxHost(HOST, 10, ("192.0.2.1",))
    session = Session(version="TLSv1.3", chain=leaf.chain)
    seen = ServerContact(HOST, "192.0.2.1", session, certificate=read_certificate(leaf.der))
    server = Server(host, seen)
    return ProbeResult(
        "acme.example",
        frozenset(),
        "Not judged.",
        route=Route("acme.example", hosts=(host,)),
        servers=(server,),
    )


@pytest.mark.parametrize(
    ("outbound", "ready"),
    [(Outbound(), False), (Outbound(mx=(HOST,)), True), (Outbound(mx=("mx.else.example",)), False)],
)
def test_the_results_are_compared_with_the_record(outbound: Outbound, ready: bool) -> None:
    (result,) = compare_with_record([seen_at_provider()], replace(ACME, outbound=outbound))
    assert (result.listed, result.satisfied) == (PKIX, ready)
    assert result.sentence != "Not judged."


def test_a_private_ca_cannot_be_checked_from_outside() -> None:
    partner = replace(ACME, outbound=Outbound(Verify.PRIVATE_CA, ca="a CA"))
    results = [seen_at_provider()]
    assert compare_with_record(results, partner) == results

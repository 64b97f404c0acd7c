"""The lab's table of peers against DESIGN §5 and the partner list in lab/partners."""

import ipaddress
from datetime import date
from pathlib import Path

import pytest

from lab import pki, plan
from lab.cases import NO_TLS_HEADER, inbound_cases, outage_cases, outbound_cases
from tlsgate.partners.load import load_partners
from tlsgate.partners.model import Require, Verify

PARTNERS = {
    partner.domains[0]: partner
    for partner in load_partners(
        Path(__file__).parents[3] / "lab" / "partners",
        own_domains=plan.ORGANISATION_ZONES,
        today=date(2026, 11, 25),
    )
}


def test_addresses_are_fixed_ones_of_the_subnet_and_no_two_are_the_same() -> None:
    addresses = [peer.address for peer in plan.PEERS]
    addresses += [plan.DNS_ADDRESS, plan.CA_ADDRESS, plan.INTERNAL_ADDRESS]
    addresses += [plan.POLICY_ADDRESS, plan.RESOLVER_ADDRESS, plan.HOST_ADDRESS]
    addresses.append(plan.GATEWAY_ADDRESS)
    assert len(set(addresses)) == len(addresses)
    subnet, dynamic = map(ipaddress.ip_network, (plan.SUBNET, plan.DYNAMIC_RANGE))
    for address in map(ipaddress.ip_address, addresses):
        assert address in subnet
        assert address not in dynamic


def test_every_peer_has_a_record_and_no_twin_has_one() -> None:
    assert set(PARTNERS) == {plan.FORGED, *(peer.domain for peer in plan.PEERS)}
    for peer in plan.PEERS:
        assert PARTNERS[peer.domain].domains == (peer.domain,)


@pytest.mark.parametrize("peer", plan.PEERS, ids=lambda peer: peer.name)
def test_a_record_asks_for_what_its_peer_is_there_to_show(peer: plan.Peer) -> None:
    outbound = PARTNERS[peer.domain].outbound
    wants_dane = peer.tlsa is not plan.Tlsa.NONE
    assert outbound.verify is (Verify.DANE if wants_dane else Verify.PKIX)
    assert outbound.mx == ((peer.host,) if peer.name == "hosted" else ())


def test_the_pinned_partner_s_record_names_the_key_that_its_client_shows() -> None:
    inbound = PARTNERS["pinned.example"].inbound
    assert inbound.require is Require.CERTIFICATE
    assert inbound.public_keys == (pki.spki_sha256(pki.pinned_client_key()),)


def test_the_fixednet_partner_s_record_names_its_own_address_alone() -> None:
    inbound = PARTNERS["fixednet.example"].inbound
    assert inbound.require is Require.NETWORK
    assert inbound.networks == (f"{plan.BY_NAME['fixednet'].address}/32",)


HELD = {
    "dane-broken",
    "selfsigned",
    "unknownca",
    "wrongname",
    "expired",
    "plain",
    "stripped",
    "oldtls",
    "spoofed",
    "sts-broken",
}
HELD_TWINS = {"dane-broken", "spoofed", "sts-broken"}


def test_outbound_cases_are_the_cells_of_the_design() -> None:
    plain = [case for case in outbound_cases() if not case.header]
    assert len(plain) == 2 * len(plan.PEERS)
    assert {c.peer for c in plain if c.to_partner and c.expected == "held"} == HELD
    assert {c.peer for c in plain if not c.to_partner and c.expected == "held"} == HELD_TWINS


def test_the_header_that_asks_for_no_tls_changes_no_cell() -> None:
    cases = outbound_cases()
    without = {case.domain: case for case in cases if not case.header}
    with_header = [case for case in cases if case.header == NO_TLS_HEADER]
    assert {case.peer for case in with_header if case.to_partner} == HELD
    for case in with_header:
        other = without[case.domain]
        assert (case.expected, case.tls, case.reason) == (other.expected, other.tls, other.reason)


def test_a_held_case_has_a_reason_and_a_sent_one_a_tls_version() -> None:
    for case in outbound_cases():
        assert bool(case.reason) == (case.expected == "held")
        assert bool(case.tls) == (case.expected == "sent")


@pytest.mark.parametrize(
    ("tls", "code", "count"),
    [(False, 450, 4), (True, 450, 3), (False, 554, 1), (True, 554, 2), (False, 530, 1)],
)
def test_inbound_cases_are_the_cells_of_the_design(tls: bool, code: int, count: int) -> None:
    assert sum(case.tls is tls and case.expected == code for case in inbound_cases()) == count


def test_an_outage_never_sends_what_its_helper_was_to_judge() -> None:
    sent = [case for case in outage_cases() if case.expected == "sent"]
    assert [(case.role, case.domain) for case in sent] == [("policy", "good.example")]

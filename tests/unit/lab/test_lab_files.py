"""What the lab writes for its servers: certificates, zones, Knot's and Postfix's configuration."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import dns.zone
import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from lab import files, name_server, pki, plan, postfix_files, zones


@pytest.fixture(scope="module")
def authority() -> pki.Authority:
    return pki.new_authority("unit test CA")


def verify(authority: pki.Authority, issued: pki.Issued, host: str) -> None:
    policy = PolicyBuilder().store(Store([authority.root])).time(datetime.now(UTC))
    policy.build_server_verifier(x509.DNSName(host)).verify(issued.chain[0], [])


def test_the_public_ca_s_certificate_is_good_for_its_names(authority: pki.Authority) -> None:
    verify(authority, authority.issue(["mx.good.example"], pki.new_key()), "mx.good.example")


def test_each_wrong_certificate_is_refused_for_its_own_fault(authority: pki.Authority) -> None:
    name, key = "mx.bad.example", pki.new_key()
    other = pki.new_authority("another CA")
    for issued, fault in (
        (authority.issue(["mx.somebody-else.example"], key), "subjectAltName"),
        (authority.issue([name], key, ended=timedelta(days=30)), "valid at"),
        (other.issue([name], key), "candidates exhausted"),
    ):
        with pytest.raises(VerificationError, match=fault):
            verify(authority, issued, name)


def test_a_self_signed_certificate_vouches_for_itself_and_is_refused(
    authority: pki.Authority,
) -> None:
    issued = pki.self_signed(["mx.bad.example"], pki.new_key())
    issued.chain[0].verify_directly_issued_by(issued.chain[0])
    with pytest.raises(VerificationError):
        verify(authority, issued, "mx.bad.example")


def test_a_key_survives_its_pem() -> None:
    key = pki.new_key()
    assert pki.spki_sha256(pki.load_key(pki.key_pem(key))) == pki.spki_sha256(key)


def test_the_zone_has_mx_and_tlsa_and_sts_as_the_plan_says() -> None:
    hashes = {"mx.dane.example": "ab" * 32, "mx.dane-broken.example": "cd" * 32}
    ds = name_server.delegation("corp.example", pki.new_key())
    text = zones.parent_zone(hashes, {"corp.example": (ds,)}, plan.PEERS)
    zone = dns.zone.from_text(text, "example.", relativize=False)
    for peer in plan.PEERS:
        for domain in peer.domains:
            assert str(zone.find_rdataset(f"{domain}.", "MX")[0].exchange) == f"{peer.host}."
            sts = zone.get_rdataset(f"_mta-sts.{domain}.", "TXT")
            assert (sts is not None) == (domain in peer.sts)
        tlsa = zone.get_rdataset(f"_25._tcp.{peer.host}.", "TLSA")
        assert (tlsa is not None) == (peer.tlsa is not plan.Tlsa.NONE)
    assert zone.find_rdataset("corp.example.", "DS")


def test_the_attacker_s_policy_names_the_host_that_dns_should_have_given() -> None:
    peer = plan.BY_NAME["spoofed"]
    assert peer.host not in zones.sts_policy(peer)
    assert "mx: mx.spoofed-free.example\r\n" in zones.sts_policy(peer)


def test_trust_anchors_are_one_dnskey_a_zone() -> None:
    keys = {zone: pki.new_key() for zone in plan.ZONES}
    lines = name_server.trust_anchors(keys).splitlines()
    assert [line.split()[0] for line in lines] == [f"{zone}." for zone in plan.ZONES]
    assert all(line.split()[2:6] == ["DNSKEY", "257", "3", "13"] for line in lines)


def test_the_agent_s_key_may_write_two_kinds_of_names_only() -> None:
    conf = name_server.knot_conf({"pulumi": "cA==", "agent": "YQ=="})
    rules = conf.partition("acl:\n")[2].partition("policy:")[0]
    blocks = [block for block in rules.split("  - id: ") if "key: agent" in block]
    assert len(blocks) == 2
    patterns = ("[_acme-challenge.*, _acme-challenge.*.*]", '["*._tcp.*", "*._tcp.*.*"]')
    for block, kind, pattern in zip(blocks, ("TXT", "TLSA"), patterns, strict=True):
        assert f"update-type: {kind}\n" in block
        assert "update-owner: name\n" in block
        assert "update-owner-match: pattern\n" in block
        assert f"update-owner-name: {pattern}\n" in block
        assert "action: update\n" in block


@pytest.mark.parametrize(
    ("peer", "line"),
    [
        ("good", "smtpd_tls_protocols = >=TLSv1.2"),
        ("oldtls", "smtpd_tls_protocols = >=TLSv1, <=TLSv1.1"),
        ("plain", "smtpd_tls_security_level = none"),
        ("stripped", "smtpd_tls_security_level = may"),
    ],
)
def test_a_peer_offers_what_the_plan_says(peer: str, line: str) -> None:
    assert line in postfix_files.peer_main(plan.BY_NAME[peer], 1000).splitlines()


@pytest.mark.parametrize("peer", ["oldtls", "plain"])
def test_a_repaired_peer_offers_modern_tls(peer: str) -> None:
    lines = postfix_files.peer_main(plan.BY_NAME[peer], 1000, repaired=True).splitlines()
    assert "smtpd_tls_security_level = may" in lines
    assert "smtpd_tls_protocols = >=TLSv1.2" in lines


def test_only_behind_the_proxy_postfix_leaves_port_25_to_another() -> None:
    first = {
        peer.name: postfix_files.peer_master(peer).splitlines()[0].split()[0] for peer in plan.PEERS
    }
    assert first.pop("stripped") == "127.0.0.1:2525"
    assert set(first.values()) == {"smtp"}


def test_the_internal_server_sends_to_the_gateway_alone_and_verifies_it() -> None:
    lines = postfix_files.internal_main(1000).splitlines()
    assert "relayhost = [172.31.26.3]:2525" in lines
    assert "smtp_tls_security_level = secure" in lines
    assert "smtp_tls_secure_cert_match = mx1.corp.example" in lines


def test_files_are_written_once_and_secrets_are_their_owner_s(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "key"
    assert files.write(path, "a", secret=True)
    assert path.stat().st_mode & 0o777 == 0o600
    assert not files.write(path, "a", secret=True)
    assert files.once(path, lambda: "b") == "a"
    assert files.write(path, "c")
    assert path.stat().st_mode & 0o777 == 0o644

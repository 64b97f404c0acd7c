"""The policy host's files; that nginx accepts and serves them is shown by the integration test."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tlsgate.render.mta_sts import PolicySettings
from tlsgate.render.policy_host import PolicyHostSettings, group_certificates, render_policy_host
from tlsgate.tls import GROUPS, Strength, cipher_list

POLICY = PolicySettings("enforce", 604800, ("mx1.corp.example",))
DOMAINS = tuple(f"d{number}.example" for number in range(60))


def test_groups_are_full_and_in_order() -> None:
    groups = group_certificates(DOMAINS)
    assert [name for name, _ in groups] == ["policy-1", "policy-2", "policy-3"]
    assert [len(names) for _, names in groups] == [25, 25, 10]
    assert [name for _, names in groups for name in names] == [f"mta-sts.{d}" for d in DOMAINS]


@given(st.integers(0, 59))
def test_an_appended_domain_touches_the_last_certificate_only(count: int) -> None:
    before = group_certificates(DOMAINS[:count])
    after = group_certificates(DOMAINS[: count + 1])
    full = [group for group in before if len(group[1]) == 25]
    assert list(after[: len(full)]) == full
    assert len(after) - len(before) in {0, 1}


def test_each_domain_is_served_with_its_own_certificate() -> None:
    https = render_policy_host(PolicyHostSettings(DOMAINS, POLICY))["https.conf"]
    blocks = re.findall(r"server_name\n([^;]+);\s+ssl_certificate (\S+);", https)
    served = {name: path for names, path in blocks for name in names.split()}
    assert len(served) == 60
    assert served["mta-sts.d24.example"] == "/run/tlsgate/tls/policy-1.pem"
    assert served["mta-sts.d25.example"] == "/run/tlsgate/tls/policy-2.pem"
    assert https.count("ssl_reject_handshake on;") == 1


def test_port_80_stands_without_certificates() -> None:
    files = render_policy_host(PolicyHostSettings(("corp.example",), POLICY))
    assert set(files) == {"nginx.conf", "https.conf", "mta-sts.txt"}
    assert "ssl_certificate" not in files["nginx.conf"]
    assert "include /run/tlsgate/https.con[f];" in files["nginx.conf"]
    assert files["mta-sts.txt"].startswith("version: STSv1\r\n")


@pytest.mark.parametrize(("ipv6", "listeners"), [(False, 0), (True, 3)])
def test_ipv6_listeners_only_where_asked(ipv6: bool, listeners: int) -> None:
    files = render_policy_host(PolicyHostSettings(("corp.example",), POLICY, ipv6))
    assert (files["nginx.conf"] + files["https.conf"]).count("listen [::]:") == listeners


def test_cryptography_is_that_of_the_gateway() -> None:
    files = render_policy_host(PolicyHostSettings(DOMAINS, POLICY))
    nginx = files["nginx.conf"]
    assert f"ssl_ciphers {cipher_list(Strength.STRONG)};" in nginx
    assert f"ssl_ecdh_curve {GROUPS};" in nginx
    assert "ssl_" not in re.sub(
        "ssl_(certificate|certificate_key|reject_handshake) ", "", files["https.conf"]
    )


def test_every_server_of_policies_demands_https_for_two_years() -> None:
    https = render_policy_host(PolicyHostSettings(DOMAINS, POLICY))["https.conf"]
    header = 'add_header Strict-Transport-Security "max-age=63072000" always;'
    assert https.count(header) == https.count("ssl_certificate ") == 3
    # A header in a location would hide those of its server.
    assert not re.search(r"location [^{}]*{[^}]*add_header", https)


def test_a_domain_cannot_carry_configuration() -> None:
    with pytest.raises(ValueError, match="not a host name"):
        render_policy_host(PolicyHostSettings(("a.example; return 200",), POLICY))

"""Rules on Postfix's and nginx's files: each fault by itself, from the files that are rendered."""

from __future__ import annotations

from typing import Any

import pytest

from policies.rule import DELIVERY
from tests.policies.run_rules import check_resource

MAIN = """\
# A comment with mynetworks = 0.0.0.0/0
maximal_queue_lifetime = 5d
tls_required_enable = no
smtp_tls_policy_maps =
    lmdb:/run/tlsgate/active/partner_policy
    socketmap:inet:192.0.2.1:8461:QUERY
smtp_tls_mandatory_protocols = >=TLSv1.2
smtp_tls_protocols = >=TLSv1
smtpd_tls_protocols = >=TLSv1.2
smtpd_tls_mandatory_protocols = >=TLSv1.2
mynetworks =
internal_networks =
    192.0.2.12/32
    10.0.0.0/8
    [2001:db8:1::]/48
smtpd_sender_restrictions =
    check_sender_access lmdb:/run/tlsgate/active/partner_senders
    reject_non_fqdn_sender
"""
MASTER = """\
smtp      inet  n       -       n       -       -       smtpd
2525      inet  n       -       n       -       -       smtpd
    -o mynetworks=$internal_networks
tlsrpt    unix  -       -       n       -       -       smtp
    -o syslog_name=postfix/tlsrpt
"""
NGINX = "server {\n    listen 443 ssl;\n    ssl_protocols TLSv1.2 TLSv1.3;\n}\n"
RULES = ("tls-version", "tls-required-header", "queue-life", "open-relay")


def delivery(*changes: tuple[str, str]) -> tuple[str, dict[str, Any]]:
    """The files with texts replaced."""
    files = {"main.cf": MAIN, "master.cf": MASTER, "https.conf": NGINX, "partner_policy": ""}
    for old, new in changes:
        assert any(old in text for text in files.values()), old
        files = {name: text.replace(old, new) for name, text in files.items()}
    return DELIVERY, {"files": files}


FAULTS: list[tuple[str, str, str, str]] = [
    (
        "tls-version",
        "smtp_tls_mandatory_protocols = >=TLSv1.2",
        "smtp_tls_mandatory_protocols = >=TLSv1.1",
        "main.cf: smtp_tls_mandatory_protocols = >=TLSv1.1 allows versions below TLS 1.2",
    ),
    *(
        (
            "tls-version",
            "smtpd_tls_protocols = >=TLSv1.2",
            f"smtpd_tls_protocols = {value}",
            f"main.cf: smtpd_tls_protocols = {value or '(empty)'} allows versions below TLS 1.2",
        )
        for value in ("!SSLv2, !SSLv3, !TLSv1", "TLSv1.1, TLSv1.2", "<=TLSv1.3", "0303", "")
    ),
    (
        "tls-version",
        "smtpd_tls_mandatory_protocols = >=TLSv1.2\n",
        "",
        "main.cf does not set smtpd_tls_mandatory_protocols. Write"
        " smtpd_tls_mandatory_protocols = >=TLSv1.2",
    ),
    (
        "tls-version",
        "-o syslog_name=postfix/tlsrpt",
        "-o smtp_tls_mandatory_protocols=>=TLSv1",
        "master.cf, service tlsrpt unix: smtp_tls_mandatory_protocols = >=TLSv1 allows versions"
        " below TLS 1.2",
    ),
    (
        "tls-version",
        "TLSv1.2 TLSv1.3;",
        "TLSv1.1 TLSv1.2;",
        "https.conf: ssl_protocols TLSv1.1 TLSv1.2 allows versions below TLS 1.2",
    ),
    (
        "tls-required-header",
        "tls_required_enable = no",
        "tls_required_enable = yes",
        "main.cf: tls_required_enable = yes. Write no",
    ),
    (
        "tls-required-header",
        "tls_required_enable = no\n",
        "",
        "main.cf leaves tls_required_enable on. Write tls_required_enable = no",
    ),
    (
        "tls-required-header",
        "-o syslog_name=postfix/tlsrpt",
        "-o tls_required_enable=yes",
        "master.cf, service tlsrpt unix: tls_required_enable = yes. Write no",
    ),
    *(
        (
            "queue-life",
            "lifetime = 5d",
            f"lifetime = {value}",
            f"main.cf: held mail bounces after {value}. Set tlsgate:queue.lifetime to 2d or more",
        )
        for value in ("1d", "47h", "0", "172799s")
    ),
    *(
        (
            "open-relay",
            "192.0.2.12/32",
            network,
            f"main.cf: internal_networks has {network}, {why}. Name your own servers' networks in"
            " tlsgate:internal.networks",
        )
        for network, why in (
            ("0.0.0.0/0", "wider than /16"),
            ("0.0.0.0/1", "wider than /16"),
            ("198.0.0.0/8", "wider than /16"),
            ("[::]/0", "wider than /32"),
            ("[2000::]/3", "wider than /32"),
            ("8.0.0.0/7", "wider than /16"),
            ("cidr:/x", "which is not a valid network"),
        )
    ),
    (
        "open-relay",
        "-o mynetworks=$internal_networks",
        "-o mynetworks=0.0.0.0/0",
        "master.cf, service 2525 inet: mynetworks has 0.0.0.0/0, wider than /16. Name your own"
        " servers' networks in tlsgate:internal.networks",
    ),
]


@pytest.mark.parametrize("rule", RULES)
def test_right_files_pass(rule: str) -> None:
    assert check_resource(rule, delivery()) == []


@pytest.mark.parametrize(("rule", "old", "new", "reported"), FAULTS)
def test_a_fault_is_reported_by_its_own_rule_alone(
    rule: str, old: str, new: str, reported: str
) -> None:
    found = {name: check_resource(name, delivery((old, new))) for name in RULES}
    assert found.pop(rule) == [reported]
    assert not any(found.values())


@pytest.mark.parametrize(
    "value", [">=TLSv1.3", "TLSv1.2 TLSv1.3", "!SSLv2,!SSLv3,!TLSv1,!TLSv1.1", ">=tlsv1.2"]
)
def test_other_ways_to_say_at_least_tls_1_2(value: str) -> None:
    change = ("smtpd_tls_protocols = >=TLSv1.2", f"smtpd_tls_protocols = {value}")
    assert check_resource("tls-version", delivery(change)) == []


@pytest.mark.parametrize(("protocols", "count"), [(">=TLSv1.3", 0), ("TLSv1", 1)])
def test_protocols_of_one_partner(protocols: str, count: int) -> None:
    type_, props = delivery()
    props["files"]["partner_policy"] = f"a.example\tsecure match=a protocols={protocols}\n"
    assert len(check_resource("tls-version", (type_, props))) == count


OPTIONS: list[tuple[str, tuple[str, str], dict[str, Any], int]] = [
    ("queue-life", ("lifetime = 5d", "lifetime = 1d"), {"minimumDays": 1.0}, 0),
    ("queue-life", ("lifetime = 5d", "lifetime = 5d"), {"minimumDays": 6.0}, 1),
    ("open-relay", ("192.0.2.12/32", "198.0.0.0/8"), {"ipv4Prefix": 8.0}, 0),
    ("open-relay", ("192.0.2.12/32", "192.0.2.0/24"), {"ipv4Prefix": 25.0}, 1),
    ("open-relay", ("[2001:db8:1::]/48", "[2001:db8:1::]/48"), {"ipv6Prefix": 56.0}, 1),
    (
        "tls-required-header",
        ("-o syslog_name=postfix/tlsrpt", "-o tls_required_enable=yes"),
        {"exceptServices": ["tlsrpt unix"]},
        0,
    ),
]


@pytest.mark.parametrize(("rule", "change", "config", "count"), OPTIONS)
def test_options(rule: str, change: tuple[str, str], config: dict[str, Any], count: int) -> None:
    assert len(check_resource(rule, delivery(change), config)) == count


@pytest.mark.parametrize("rule", RULES)
def test_a_web_servers_files_are_not_postfix(rule: str) -> None:
    assert check_resource(rule, (DELIVERY, {"files": {"nginx.conf": NGINX}})) == []

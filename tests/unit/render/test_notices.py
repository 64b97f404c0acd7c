from __future__ import annotations

import re

import pytest

from tests.unit.policy.partner_list import partner
from tlsgate.notices.contract import HEADER, PROTECTED
from tlsgate.notices.domain_list import DOMAIN_LIST, PartnerDomain, read_domain_list
from tlsgate.render import notices


def test_the_list_holds_every_partner() -> None:
    partners = [partner("one.example", subdomains=True), partner("watched.example", observe=True)]
    files = notices.notice_files(["corp.example"], partners)
    domains = read_domain_list(files[DOMAIN_LIST].encode())
    assert domains.own == {"corp.example"}
    assert domains.partners == {
        "one.example": PartnerDomain("One", True, True),
        "watched.example": PartnerDomain("Watched", False, False),
    }


@pytest.mark.parametrize(
    ("header", "routed"),
    [
        (f"{HEADER}: {PROTECTED}", True),
        (f"{HEADER}: {PROTECTED} not", False),
        (f"X-{HEADER}: {PROTECTED}", False),
    ],
)
def test_only_the_milters_header_is_routed(header: str, routed: bool) -> None:
    table = notices.notice_files(["corp.example"], [])[notices.ROUTES]
    found = re.fullmatch(r"/(?P<pattern>.*)/ FILTER notice:\n", table)
    assert found
    assert bool(re.search(found["pattern"], header)) == routed


@pytest.mark.parametrize(
    ("host", "written"),
    [("192.0.2.7", "192.0.2.7"), ("2001:db8::7", "[2001:db8::7]"), ("notices", "notices")],
)
def test_the_milter_must_answer(host: str, written: str) -> None:
    service = notices.cleanup_service(host)
    assert f"    -o non_smtpd_milters=inet:{written}:10041\n" in service
    assert "    -o milter_default_action=tempfail\n" in service


def test_protected_notices_need_verified_tls() -> None:
    assert notices.TRANSPORT_OPTIONS["smtp_tls_security_level"] == "secure"


def test_options_are_lines_of_their_own_without_blanks_inside() -> None:
    text = notices.cleanup_service("notices") + notices.BOUNCE_OPTIONS
    options = [line for line in text.splitlines() if line[0] == " "]
    pattern = r"    -o [a-z_]+=[^\s,]+"
    assert options
    assert [line for line in options if not re.fullmatch(pattern, line)] == []
    assert not [v for v in notices.TRANSPORT_OPTIONS.values() if re.search(r"\s", v)]

"""The CA of a partner: which texts are valid, and how it is written."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from tests.unit.partners.ca_certificates import ca_pem, key_pem, yaml_ca
from tests.unit.partners.partner_files import FILE, complaints, load, record
from tlsgate.partners.ca import anchors, parse_ca
from tlsgate.partners.canonical import format_file
from tlsgate.partners.format import digest, to_yaml
from tlsgate.partners.model import Verify, partner_from_dict
from tlsgate.partners.strength import compare

EARLY = datetime(2027, 1, 1, tzinfo=UTC)
BOTH = ca_pem() + ca_pem("Next CA", EARLY)


def test_a_record_with_a_ca_is_read_and_written() -> None:
    (partner,) = load(acme=record(outbound=yaml_ca(BOTH)))
    assert partner.outbound.verify is Verify.PRIVATE_CA
    assert replace(partner, file="") == partner_from_dict(partner.to_dict())
    written = to_yaml(partner)
    assert "  ca: |\n    -----BEGIN CERTIFICATE-----\n" in written
    assert load(acme=written)[0].outbound == partner.outbound


def test_the_order_and_the_line_lengths_of_certificates_do_not_matter() -> None:
    swapped = ca_pem("Next CA", EARLY) + ca_pem().replace("\n", "\r\n")
    wrapped = ca_pem("Next CA", EARLY) + "\n" + ca_pem() + ca_pem()
    first = load(acme=record(outbound=yaml_ca(BOTH)))
    assert digest(load(acme=record(outbound=yaml_ca(wrapped)))) == digest(first)
    assert parse_ca(swapped) == parse_ca(wrapped) == first[0].outbound.ca


def test_fmt_keeps_comments_beside_a_ca_and_is_stable() -> None:
    text = record(outbound=yaml_ca(BOTH).replace("ca: |", "ca: |  # from their PKI page"))
    once = format_file(text.encode(), FILE)
    assert once.text is not None
    assert "ca: |  # from their PKI page\n" in once.text
    assert format_file(once.text.encode(), FILE).text == once.text


def test_anchors_are_sorted_by_their_end() -> None:
    assert [anchor.not_after for anchor in anchors(parse_ca(BOTH))] == [
        EARLY,
        datetime(2036, 1, 1, tzinfo=UTC),
    ]


def test_another_ca_is_reported_as_weaker() -> None:
    (old,), (new,) = (
        load(acme=record(outbound=yaml_ca(pem))) for pem in (ca_pem(), ca_pem("Other"))
    )
    assert [(one.aspect, one.weaker) for one in compare("acme.example", old, new)] == [
        ("outbound.ca", True)
    ]


@pytest.mark.parametrize(
    ("pem", "complaint"),
    [
        ("hello\n", "is not PEM."),
        (ca_pem() + "more\n", "is not PEM."),
        (ca_pem().replace("MII", "MI!"), "contains a certificate that cannot be read."),
        (ca_pem()[:200] + "\n" + ca_pem()[-60:], "contains a certificate that cannot be read."),
        (ca_pem(ca=False), "contains a certificate that is not a CA's."),
        (ca_pem(ca=None), "contains a certificate that is not a CA's."),
        (ca_pem(signs=False), "contains a certificate that is not a CA's."),
        (ca_pem() + key_pem(), "contains a private key, which must not be here."),
        (ca_pem().replace("CERTIFICATE", "X509 CRL"), "contains a PEM block of another kind"),
        ("".join(ca_pem(f"CA {n}") for n in range(6)), "contains more than 5 certificates."),
        (ca_pem() * 40, "is longer than 16 KiB."),
    ],
)
def test_a_text_that_is_not_a_ca_is_refused_and_never_shown(pem: str, complaint: str) -> None:
    (reported,) = complaints(acme=record(outbound=yaml_ca(pem)))
    assert reported.startswith(f"{FILE}:8: outbound.ca: {complaint}")
    assert key_pem().splitlines()[1][:20] not in reported
    assert reported.endswith("[bad-ca]")


def test_a_ca_without_key_usage_is_accepted() -> None:
    assert load(acme=record(outbound=yaml_ca(ca_pem(signs=None))))


def test_a_ca_is_allowed_only_with_private_ca() -> None:
    (reported,) = complaints(acme=record(outbound="{verify: private-ca}"))
    assert "outbound.ca: is needed with `verify: private-ca`." in reported
    wrong = yaml_ca(ca_pem()).replace("private-ca", "pkix")
    (reported,) = complaints(acme=record(outbound=wrong))
    assert "outbound.ca: is not used with `verify: pkix`." in reported

"""The CA of a partner: which texts are one, and how it is written."""

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


def test_the_order_of_certificates_and_what_a_line_holds_say_nothing() -> None:
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


def test_anchors_end_one_after_the_other() -> None:
    assert [anchor.not_after for anchor in anchors(parse_ca(BOTH))] == [
        EARLY,
        datetime(2036, 1, 1, tzinfo=UTC),
    ]


def test_another_ca_is_told_as_weaker() -> None:
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
        (ca_pem().replace("MII", "MI!"), "holds a certificate that cannot be read."),
        (ca_pem()[:200] + "\n" + ca_pem()[-60:], "holds a certificate that cannot be read."),
        (ca_pem(ca=False), "holds a certificate that is not a CA's."),
        (ca_pem(ca=None), "holds a certificate that is not a CA's."),
        (ca_pem(signs=False), "holds a certificate that is not a CA's."),
        (ca_pem() + key_pem(), "holds a private key, which has no place here."),
        (ca_pem().replace("CERTIFICATE", "X509 CRL"), "holds a PEM block of another kind"),
        ("".join(ca_pem(f"CA {n}") for n in range(6)), "holds more than 5 certificates."),
        (ca_pem() * 40, "is longer than 16 KiB."),
    ],
)
def test_what_is_no_ca_is_refused_and_never_shown(pem: str, complaint: str) -> None:
    (told,) = complaints(acme=record(outbound=yaml_ca(pem)))
    assert told.startswith(f"{FILE}:8: outbound.ca: {complaint}")
    assert key_pem().splitlines()[1][:20] not in told
    assert told.endswith("[bad-ca]")


def test_usage_of_keys_that_is_not_said_is_no_refusal() -> None:
    assert load(acme=record(outbound=yaml_ca(ca_pem(signs=None))))


def test_a_ca_stands_beside_private_ca_alone() -> None:
    (told,) = complaints(acme=record(outbound="{verify: private-ca}"))
    assert "outbound.ca: is needed with `verify: private-ca`." in told
    wrong = yaml_ca(ca_pem()).replace("private-ca", "pkix")
    (told,) = complaints(acme=record(outbound=wrong))
    assert "outbound.ca: is not used with `verify: pkix`." in told

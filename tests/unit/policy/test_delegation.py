"""Postfix's policy delegation protocol, as bytes."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tlsgate.policy.delegation import MalformedRequest, Request, answer, parse_request

HEAD = b"request=smtpd_access_policy\nprotocol_state=MAIL\n"
KEY = "ab" * 32


def request(**attributes: str) -> bytes:
    fields = {"sender": "a@acme.example", "client_address": "192.0.2.1"} | attributes
    return HEAD + "\n".join(f"{name}={value}" for name, value in fields.items()).encode()


def test_a_whole_request() -> None:
    colons = ":".join(KEY[i : i + 2] for i in range(0, 64, 2)).upper()
    parsed = parse_request(
        request(
            encryption_protocol="TLSv1.2",
            encryption_cipher="ECDHE-RSA-AES128-SHA256",
            ccert_pubkey_fingerprint=colons,
            ccert_subject="x=y",
        )
    )
    assert parsed == Request(
        "acme.example",
        ipaddress.ip_address("192.0.2.1"),
        "TLSv1.2",
        KEY,
        cipher="ECDHE-RSA-AES128-SHA256",
    )
    assert parsed.encrypted


@pytest.mark.parametrize("attributes", [{}, {"encryption_protocol": "", "encryption_cipher": ""}])
def test_a_session_without_tls(attributes: dict[str, str]) -> None:
    parsed = parse_request(request(**attributes))
    assert (parsed.protocol, parsed.cipher, parsed.encrypted) == ("", "", False)


@pytest.mark.parametrize(
    ("sender", "domain"),
    [
        ("", ""),
        ("a@ACME.Example", "acme.example"),
        ("a@acme.example.", "acme.example"),
        ('"a@b"@acme.example', "acme.example"),
        ("a@bücher.example", "xn--bcher-kva.example"),
        ("a", None),
        ("a@", None),
        ("a@.", None),
        ("a@acme..example", None),
    ],
)
def test_sender_domains(sender: str, domain: str | None) -> None:
    assert parse_request(request(sender=sender)).sender_domain == domain


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("unknown", None),
    ],
)
def test_client_addresses(text: str, address: str | None) -> None:
    client = parse_request(request(client_address=text)).client
    assert (str(client) if client else None) == address


@pytest.mark.parametrize(
    "block",
    [
        b"",
        b"request=smtpd_access_policy",
        b"GET / HTTP/1.1\r\nHost: x",
        HEAD + b"sender=a@b.example",
        HEAD + b"client_address=192.0.2.1",
        b"sender=a@b.example\nclient_address=192.0.2.1",
        request() + b"\nsender=c@d.example",
        request() + b"\n=value",
        request() + b"\nhelo\0name=x",
        request().replace(b"smtpd_access_policy", b"junk"),
    ],
)
def test_what_is_not_the_protocol_is_refused(block: bytes) -> None:
    with pytest.raises(MalformedRequest):
        parse_request(block)


@given(st.binary(max_size=300))
def test_any_bytes_are_parsed_or_refused(block: bytes) -> None:
    for candidate in (block, HEAD + block, request() + b"\n" + block):
        try:
            parsed = parse_request(candidate)
        except MalformedRequest:
            continue
        assert parsed.sender_domain is None or parsed.sender_domain.isascii()


def test_an_answer_is_one_line_of_ascii() -> None:
    assert answer("450 4.7.1 Bücher requires TLS") == b"action=450 4.7.1 B?cher requires TLS\n\n"

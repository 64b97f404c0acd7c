"""Rules on keys, CAs and MTA-STS."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from policies.rule import DELIVERY, DNS_RECORDS, VOLUME_FILES
from tests.policies.run_rules import check_resource, check_stack

SIGNER = ec.generate_private_key(ec.SECP256R1())


@cache
def certificate(kind: str) -> str:
    """A certificate in PEM whose key is of this kind."""
    makers: dict[str, Any] = {
        "rsa-1024": lambda: rsa.generate_private_key(65537, 1024),  # noqa: S505
        "rsa-2048": lambda: rsa.generate_private_key(65537, 2048),
        "p-192": lambda: ec.generate_private_key(ec.SECP192R1()),
        "p-256": lambda: ec.generate_private_key(ec.SECP256R1()),
        "ed25519": ed25519.Ed25519PrivateKey.generate,
        "dsa": lambda: dsa.generate_private_key(2048),
    }
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, kind)])
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(makers[kind]().public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(SIGNER, hashes.SHA256())
        .public_bytes(Encoding.PEM)
        .decode()
    )


KEYS = [
    ("rsa-1024", "RSA of 1024 bits; the minimum is 2048"),
    ("rsa-2048", None),
    ("p-192", "EC of 192 bits; the minimum is 256"),
    ("p-256", None),
    ("ed25519", None),
    ("dsa", "DSA"),
]


@pytest.mark.parametrize(("kind", "fault"), KEYS)
@pytest.mark.parametrize(
    ("type_", "file"),
    [(DELIVERY, "extra-ca.pem"), (VOLUME_FILES, "acme-ca.pem"), (DELIVERY, "partners.json")],
)
def test_keys_of_trusted_certificates(kind: str, fault: str | None, type_: str, file: str) -> None:
    text = certificate("p-256") + certificate(kind)
    content = json.dumps([{"outbound": {"ca": text}}]) if file == "partners.json" else text
    reported = check_resource("key-strength", (type_, {"files": {file: content}}))
    assert reported == ([f"{file}: the key of CN={kind} is {fault}"] if fault else [])


def test_a_certificate_that_cannot_be_read_does_not_pass() -> None:
    pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    (reported,) = check_resource("key-strength", (VOLUME_FILES, {"files": {"a.pem": pem}}))
    assert reported.startswith("a.pem: a certificate that cannot be read (")


def agent(**values: Any) -> tuple[str, dict[str, Any]]:
    return VOLUME_FILES, {"files": {"agent.json": json.dumps(values)}}


@pytest.mark.parametrize(
    ("value", "count"),
    [("rsa1024", 1), ("rsa-2048", 0), ("rsa4096", 0), ("p-224", 1), ("secp192r1", 1), ("p256", 0)],
)
def test_keys_that_the_agent_is_reported_to_make(value: str, count: int) -> None:
    assert len(check_resource("key-strength", agent(certificates=[{"key_type": value}]))) == count


def test_strength_is_configurable() -> None:
    files = {"a.pem": certificate("rsa-2048"), "b.pem": certificate("p-256")}
    config = {"rsaBits": 3072.0, "ecBits": 384.0}
    assert check_resource("key-strength", (DELIVERY, {"files": files}), config) == [
        "a.pem: the key of CN=rsa-2048 is RSA of 2048 bits; the minimum is 3072",
        "b.pem: the key of CN=p-256 is EC of 256 bits; the minimum is 384",
    ]


STAGING = "https://acme-staging-v02.api.letsencrypt.org/directory"
PUBLIC = "https://acme-v02.api.letsencrypt.org/directory"
OWN = "https://ca.corp.internal/acme/directory"
CAS = [
    (PUBLIC, "prod", 0),
    (OWN, "production-eu", 0),
    (STAGING, "prod", 1),
    (STAGING, "demo", 0),
    (STAGING, "nonprod", 0),
    ("https://ca.lab.example:14000/dir", "prod", 1),
    ("https://pebble:14000/dir", "prod", 1),
    ("https://localhost/dir", "prod", 1),
    ("https://127.0.0.1:8443/dir", "prod", 1),
    ("https://ca.corp.test/dir", "prod", 1),
]


@pytest.mark.parametrize(("directory", "stack", "count"), CAS)
def test_cas(directory: str, stack: str, count: int) -> None:
    assert len(check_resource("production-ca", agent(directory=directory), stack=stack)) == count


def test_each_of_several_cas_is_looked_at() -> None:
    several = agent(cas=[{"directory": PUBLIC}, {"directory": STAGING}])
    assert len(check_resource("production-ca", several)) == 1


@pytest.mark.parametrize(
    ("config", "stack", "count"),
    [
        ({"productionStacks": "^live$"}, "prod", 0),
        ({"productionStacks": "^live$"}, "live", 1),
        ({"testCas": "nothing"}, "prod", 0),
    ],
)
def test_what_is_production_is_configurable(config: dict[str, Any], stack: str, count: int) -> None:
    assert len(check_resource("production-ca", agent(directory=STAGING), config, stack)) == count


RECORDS = (
    DNS_RECORDS,
    {
        "wanted": [
            "corp.example. 300 IN MX 10 mx1.corp.example.",
            "corp.example. 300 IN MX 20 MX2.corp.example.",
            "quiet.example. 300 IN MX 0 .",
            'corp.example. 300 IN TXT "MX"',
        ]
    },
)


def policy(mode: str, *mx: str) -> tuple[str, dict[str, Any]]:
    lines = ["version: STSv1", f"mode: {mode}", *(f"mx: {one}" for one in mx), "max_age: 86400"]
    return DELIVERY, {"files": {"mta-sts.txt": "".join(f"{line}\r\n" for line in lines)}}


STS = [
    (policy("enforce", "mx1.corp.example", "mx2.corp.example"), []),
    (policy("enforce", "*.corp.example"), []),
    (policy("enforce", "mx1.corp.example"), ["mx2.corp.example"]),
    (policy("enforce", "*.example"), ["mx1.corp.example", "mx2.corp.example"]),
    (policy("enforce"), ["mx1.corp.example", "mx2.corp.example"]),
    (policy("testing", "mx1.corp.example"), []),
    (policy("none"), []),
]


@pytest.mark.parametrize(("served", "missing"), STS)
def test_mta_sts(served: tuple[str, dict[str, Any]], missing: list[str]) -> None:
    reported = check_stack(
        "mta-sts-hosts", [RECORDS, served, (DELIVERY, {"files": {"main.cf": ""}})]
    )
    assert [line.partition(" ")[0] for line in reported] == missing

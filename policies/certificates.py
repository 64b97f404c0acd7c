"""Rules on keys and CAs: keys must be strong, and production stacks must use a production CA."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa

from policies.rule import DELIVERY, VOLUME_FILES, CheckedResource, Rule

AGENT_CONFIG = "agent.json"
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.S)
_KEY_TYPE = re.compile(r"(rsa|ec|p|secp|prime)[-_]?([0-9]{3,5})(?:[rkv][0-9]+)?", re.IGNORECASE)


def weak_keys(resource: CheckedResource) -> Iterator[str]:
    """Report weak keys of trusted or pinned certificates, and of the agent's configuration."""
    for name, text in sorted(resource.files.items()):
        # In JSON, the line ends of a certificate are escaped.
        for pem in _CERTIFICATE.findall(text.replace("\\n", "\n")):
            yield from (f"{name}: {fault}" for fault in _certificate_faults(pem, resource))
        if name == AGENT_CONFIG:
            for key, value in _texts(json.loads(text)):
                if "key" in key.lower() and (fault := _type_fault(value, resource)):
                    yield f"{name}: {key} is {value}, {fault}"


def _certificate_faults(pem: str, resource: CheckedResource) -> Iterator[str]:
    try:
        certificate = x509.load_pem_x509_certificate(pem.encode())
        whose, key = certificate.subject.rfc4514_string(), certificate.public_key()
    except ValueError as error:
        yield f"a certificate that cannot be read ({error})"
        return
    fault = _key_fault(key, resource)
    if fault:
        yield f"the key of {whose or 'a certificate'} is {fault}"


def _key_fault(key: object, resource: CheckedResource) -> str | None:
    if isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey):
        return None
    if isinstance(key, rsa.RSAPublicKey):
        return _size_fault("RSA", key.key_size, int(resource.options["rsaBits"]))
    if isinstance(key, ec.EllipticCurvePublicKey):
        return _size_fault("EC", key.curve.key_size, int(resource.options["ecBits"]))
    return "DSA" if isinstance(key, dsa.DSAPublicKey) else f"of an unknown kind ({type(key)})"


def _type_fault(value: str, resource: CheckedResource) -> str | None:
    match = _KEY_TYPE.fullmatch(value)
    if match is None:
        return None
    if match[1].lower() == "rsa":
        return _size_fault("RSA", int(match[2]), int(resource.options["rsaBits"]))
    return _size_fault("EC", int(match[2]), int(resource.options["ecBits"]))


def _size_fault(kind: str, bits: int, least: int) -> str | None:
    return f"{kind} of {bits} bits; the minimum is {least}" if bits < least else None


def lab_ca(resource: CheckedResource) -> Iterator[str]:
    """Report test CAs, which other mail servers do not trust, on production stacks."""
    if AGENT_CONFIG not in resource.files or not re.search(
        str(resource.options["productionStacks"]), resource.stack
    ):
        return
    pattern = str(resource.options["testCas"])
    for key, value in _texts(json.loads(resource.files[AGENT_CONFIG])):
        if value.startswith(("https://", "http://")) and re.search(pattern, value, re.IGNORECASE):
            yield (
                f"{key} of the production stack {resource.stack} is {value}, a staging or lab CA."
                " Set tlsgate:acme.directory to a CA that senders trust"
            )


def _texts(node: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Yield every string with its key."""
    if isinstance(node, dict):
        for name, value in node.items():
            yield from _texts(value, name)
    elif isinstance(node, list):
        for value in node:
            yield from _texts(value, key)
    elif isinstance(node, str):
        yield key, node


RULES = (
    Rule(
        "key-strength",
        "Keys have at least 2048 bits (RSA) or 256 bits (EC).",
        (DELIVERY, VOLUME_FILES),
        weak_keys,
        {
            "rsaBits": {"type": "integer", "minimum": 1024, "default": 2048},
            "ecBits": {"type": "integer", "minimum": 160, "default": 256},
        },
    ),
    Rule(
        "production-ca",
        "A production stack gets its certificates from a production CA.",
        (VOLUME_FILES,),
        lab_ca,
        {
            "productionStacks": {"type": "string", "default": "^prod"},
            "testCas": {
                "type": "string",
                "default": r"staging|pebble|\.(example|test|invalid|localhost|local)(:|/|$)"
                r"|://(localhost|127\.|\[::1\])|:14000/",
            },
        },
    ),
)

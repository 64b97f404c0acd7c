"""What a chain says of itself, whether it may be served, and the TLSA value of its key."""

from __future__ import annotations

import errno
import hashlib
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from tests.unit.acme.acme_pki import CLIENT, NOW, Root
from tlsgate.acme.ca.trusted_roots import load_roots, system_roots
from tlsgate.acme.certificate import ChainFault, chain_fault, facts
from tlsgate.acme.faults import AcmeFault
from tlsgate.acme.keys import KeyFault, load_key, new_key, spki_sha256, to_pem
from tlsgate.acme.rollover.tlsa_records import value

NAMES = ("mx1.corp.example", "mx.brand.example")
ROOT, KEY = Root(), new_key()


def test_facts() -> None:
    found = facts(ROOT.sign(NAMES, KEY))
    spki = KEY.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    assert found.names == tuple(sorted(NAMES))
    assert found.spki_sha256 == hashlib.sha256(spki).hexdigest()
    assert found.not_before == NOW
    assert (found.not_after - NOW).days == 90


def test_tlsa_value() -> None:
    """The same digest, whoever signs: a renewal with the key keeps the record right."""
    digest = spki_sha256(KEY.public_key())
    assert value(facts(Root("another").sign(["x.example"], KEY)).spki_sha256) == f"3 1 1 {digest}"
    assert facts(ROOT.sign(NAMES, new_key())).spki_sha256 != digest


@pytest.mark.parametrize(
    ("chain", "roots", "fault"),
    [
        (ROOT.sign(NAMES, KEY), [ROOT], None),
        (ROOT.sign((*NAMES, "more.example"), KEY), [Root("another"), ROOT], None),
        (ROOT.sign(NAMES[:1], KEY), [ROOT], "it does not name mx.brand.example"),
        (ROOT.sign(NAMES, KEY, usage=CLIENT), [ROOT], "it is not for TLS servers"),
        (ROOT.sign(NAMES, KEY, start=-9, end=-1), [ROOT], "it is valid from 2026-11-16 12:00:00"),
        (ROOT.sign(NAMES, KEY, start=14 / 1440), [ROOT], None),  # the clock may be slow
        (ROOT.sign(NAMES, KEY, start=16 / 1440), [ROOT], "it is valid from 2026-11-25 12:16:00"),
        (ROOT.sign(NAMES, KEY, start=1), [ROOT], "it is valid from 2026-11-26 12:00:00"),
        (ROOT.sign(NAMES, KEY), [], "no root is trusted"),
        (
            ROOT.sign(NAMES, KEY),
            [Root("another")],
            "its chain, up to the issuer CN=acme test root, does not lead to a trusted root",
        ),
        # Another key under the trusted root's name.
        (Root().sign(NAMES, KEY), [ROOT], "its chain, up to the issuer CN=acme test root, does"),
        (b"no PEM", [ROOT], "it is not a chain of certificates"),
        (b"", [ROOT], "it is not a chain of certificates"),
    ],
)
def test_chain_fault(chain: bytes, roots: list[Root], fault: str | None) -> None:
    found = chain_fault(chain, NAMES, [root.certificate for root in roots], NOW)
    if fault is None:
        assert found is None
    else:
        assert found is not None
        assert found.startswith(fault)


def test_a_key_that_is_not_ec_is_refused() -> None:
    leaf = x509.load_pem_x509_certificate(ROOT.sign(NAMES, KEY))
    key = rsa.generate_private_key(65537, 2048)
    signed = (
        x509.CertificateBuilder()
        .subject_name(leaf.subject)
        .issuer_name(ROOT.name)
        .public_key(key.public_key())
        .serial_number(5)
        .not_valid_before(NOW)
        .not_valid_after(datetime(2027, 1, 1, tzinfo=UTC))
        .sign(ROOT.key, hashes.SHA256())
    )
    with pytest.raises(ChainFault, match="not an EC key"):
        facts(signed.public_bytes(serialization.Encoding.PEM))


def test_keys_are_p256_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(to_pem(KEY))
    assert isinstance(KEY.curve, ec.SECP256R1)
    assert to_pem(load_key(path)) == to_pem(KEY)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, r"key\.pem does not exist"),
        (b"s3kr1t", "contains no readable key"),
        (
            rsa.generate_private_key(65537, 2048).private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            ),
            "not an EC key",
        ),
    ],
)
def test_unusable_key(tmp_path: Path, content: bytes | None, words: str) -> None:
    path = tmp_path / "key.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(KeyFault, match=words) as caught:
        load_key(path)
    assert "s3kr1t" not in str(caught.value).replace(str(path), "")


@pytest.mark.parametrize("error", [errno.EIO, errno.EACCES, errno.ESTALE])
def test_a_key_that_cannot_be_read_is_not_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    """Before, it was a KeyFault, which callers take for "there is no key"."""

    def fails(_path: Path) -> bytes:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(Path, "read_bytes", fails)
    with pytest.raises(OSError, match=os.strerror(error)):
        load_key(tmp_path / "key.pem")


def test_roots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    system, extra = tmp_path / "system.pem", tmp_path / "extra.pem"
    system.write_bytes(Root("system").pem)
    extra.write_bytes(b"# ours\n" + Root("extra").pem + Root("extra 2").pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(system))
    assert system_roots() == system
    assert len(load_roots(None)) == 1
    assert len(load_roots(extra)) == 3
    monkeypatch.delenv("SSL_CERT_FILE")
    assert system_roots() == Path("/etc/ssl/certs/ca-certificates.crt")


@pytest.mark.parametrize("content", [None, b"", b"no PEM"])
def test_unusable_roots(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None
) -> None:
    system, extra = tmp_path / "system.pem", tmp_path / "extra.pem"
    system.write_bytes(Root("system").pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(system))
    if content is not None:
        extra.write_bytes(content)
    with pytest.raises(AcmeFault, match=r"extra\.pem cannot be read"):
        load_roots(extra)

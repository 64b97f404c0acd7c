"""DNS and mail servers on this machine that answer after a given round-trip time.

`python -m lab.bench.simulated_network --delay 0.1` is a separate process, so that its work is not
counted for the probe. Prints its ports and its root as one JSON line and serves until it is killed.
Every answer is sent one round trip after its request; a greeting after two, because the TCP
handshake itself cannot be delayed here.

Domains are `d<number>.bench.example`, each with one MX at its own address in 127.64.0.0/10. Of ten
domains seven are good, one has a self-signed certificate, one has no STARTTLS, and one is signed by
DNSSEC and has a TLSA record.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import ssl
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import dns.flags
import dns.message
import dns.rdatatype
import dns.rrset
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

ZONE = "bench.example"
SELF_SIGNED, NO_STARTTLS, SIGNED = 7, 8, 9
"""The last digit of a domain's number for each kind; with any other digit it is good."""
_FIRST = 127 << 24 | 64 << 16
_TTL = 300


def domain(number: int) -> str:
    """The name of a domain."""
    return f"d{number}.{ZONE}"


def address(number: int) -> str:
    """The address of its mail server."""
    value = _FIRST + 1 + number
    return ".".join(str(value >> shift & 255) for shift in (24, 16, 8, 0))


class _Certificates:
    """A root, one certificate by it for all domains, and a self-signed one."""

    def __init__(self) -> None:
        root_key, root = _certificate("Bench Root", None, ca=True)
        self.root = root.public_bytes(Encoding.PEM).decode()
        key, leaf = _certificate(f"*.{ZONE}", (root_key, root))
        self.good = _context(key, leaf)
        self.self_signed = _context(*_certificate(f"*.{ZONE}", None))
        spki = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self.tlsa = f"3 1 1 {hashlib.sha256(spki).hexdigest()}"


def _certificate(
    name: str,
    issuer: tuple[ec.EllipticCurvePrivateKey, x509.Certificate] | None,
    ca: bool = False,
) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[1].subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=90))
        .add_extension(x509.BasicConstraints(ca, None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    )
    return key, builder.sign(issuer[0] if issuer else key, hashes.SHA256())


def _context(key: ec.EllipticCurvePrivateKey, leaf: x509.Certificate) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "chain.pem")
        secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        path.write_bytes(secret + leaf.public_bytes(Encoding.PEM))
        context.load_cert_chain(path)
    return context


class _Names(asyncio.DatagramProtocol):
    """Answers like a validating resolver."""

    def __init__(self, delay: float, tlsa: str) -> None:
        self._delay = delay
        self._tlsa = tlsa

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        answer = self._answer(dns.message.from_wire(data)).to_wire()
        asyncio.get_running_loop().call_later(self._delay, self._transport.sendto, answer, addr)

    def _answer(self, query: dns.message.Message) -> dns.message.Message:
        response = dns.message.make_response(query)
        response.flags |= dns.flags.RA
        asked = query.question[0]
        labels = asked.name.to_text(omit_final_dot=True).lower().split(".")
        number = next((int(one[1:]) for one in labels if one[1:].isdecimal()), None)
        if number is None:
            return response
        if number % 10 == SIGNED:
            response.flags |= dns.flags.AD
        kind = dns.rdatatype.to_text(asked.rdtype)
        is_host, is_tlsa = labels[0] == "mx", labels[:2] == ["_25", "_tcp"]
        value = {
            "MX": None if is_host else f"10 mx.{domain(number)}.",
            "A": address(number) if is_host else None,
            "TLSA": self._tlsa if is_tlsa and number % 10 == SIGNED else None,
        }.get(kind)
        if value is not None:
            response.answer.append(dns.rrset.from_text(asked.name, _TTL, "IN", kind, value))
        return response


class _Mail(asyncio.Protocol):
    """All mail servers; the address that a client connects to tells which one is meant."""

    def __init__(self, delay: float, certificates: _Certificates) -> None:
        self._delay = delay
        self._certificates = certificates
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls: ssl.SSLObject | None = None
        self._greeted = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        parts = transport.get_extra_info("sockname")[0].split(".")
        number = int.from_bytes(bytes(map(int, parts)), "big") - _FIRST - 1
        self._kind = number % 10
        self._later(b"220 bench ESMTP\r\n", trips=2)

    def data_received(self, data: bytes) -> None:
        if self._tls is None:
            self._later(self._command(data))
            return
        self._incoming.write(data)
        try:
            if not self._greeted:
                self._tls.do_handshake()
                self._greeted = True
            while command := self._tls.read(4096):
                self._tls.write(self._command(command))
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError:
            self._transport.close()
        self._later(self._outgoing.read())

    def _command(self, data: bytes) -> bytes:
        if data.startswith(b"EHLO"):
            offered = self._tls is None and self._kind != NO_STARTTLS
            last = b"250 STARTTLS\r\n" if offered else b"250 HELP\r\n"
            return b"250-bench\r\n250-PIPELINING\r\n250-SIZE 10240000\r\n" + last
        if data.startswith(b"STARTTLS"):
            chosen = self._certificates
            context = chosen.self_signed if self._kind == SELF_SIGNED else chosen.good
            self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
            return b"220 go ahead\r\n"
        return b"221 bye\r\n"

    def _later(self, data: bytes, trips: int = 1) -> None:
        if data:
            asyncio.get_running_loop().call_later(self._delay * trips, self._send, data)

    def _send(self, data: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(data)


async def _serve(delay: float) -> None:
    loop = asyncio.get_running_loop()
    certificates = _Certificates()
    names, _ = await loop.create_datagram_endpoint(
        lambda: _Names(delay, certificates.tlsa), local_addr=("127.0.0.1", 0)
    )
    mail = await loop.create_server(
        lambda: _Mail(delay, certificates),
        "0.0.0.0",  # noqa: S104  # every address of 127.0.0.0/8
        0,
        backlog=1024,
    )
    ports = {
        "dns_port": names.get_extra_info("sockname")[1],
        "smtp_port": mail.sockets[0].getsockname()[1],
    }
    print(json.dumps({**ports, "root": certificates.root}), flush=True)
    await mail.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--delay", type=float, default=0.1, help="a round trip, in seconds")
    asyncio.run(_serve(parser.parse_args(sys.argv[1:]).delay))

"""Which certificate a server sends in a TLS handshake, over STARTTLS if it is a mail server.

Nothing is verified here: what is compared is the certificate itself, byte by byte.
"""

from __future__ import annotations

import socket
import ssl
import time
from io import BufferedReader

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from tlsgate.acme.config.agent_json import Probe
from tlsgate.acme.process import Pause

ANSWER_SECONDS = 5.0
SWITCH_SECONDS = 30.0
"""How long a server may take to notice a new certificate, to reload and to serve it."""
PAUSE = 0.25


class ProbeFault(Exception):
    """The server served no certificate; the text says why."""


def served_certificate(probe: Probe, name: str) -> bytes:
    """The certificate that the server sends to a client that asks for `name`, in DER.

    Raises ProbeFault.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with socket.create_connection((probe.host, probe.port), ANSWER_SECONDS) as connection:
            if probe.starttls:
                _starttls(connection)
            with context.wrap_socket(connection, server_hostname=name) as tls:
                found = tls.getpeercert(binary_form=True)
                if probe.starttls:
                    tls.sendall(b"QUIT\r\n")
    except TimeoutError:
        raise ProbeFault(f"{probe} does not answer within {ANSWER_SECONDS:g} s") from None
    except ssl.SSLError as fault:
        raise ProbeFault(f"{probe}: the handshake failed: {fault.reason or fault}") from fault
    except OSError as fault:
        raise ProbeFault(f"{probe}: {fault.strerror or fault}") from fault
    if found is None:
        raise ProbeFault(f"{probe} serves no certificate")
    return found


class Servers:
    """The servers that serve the certificates, as the agent reaches them."""

    def __init__(self, pause: Pause, seconds: float = SWITCH_SECONDS) -> None:
        self._pause = pause
        self._seconds = seconds

    def answer(self, probe: Probe, name: str) -> bool:
        """Whether the server answers with a certificate."""
        try:
            served_certificate(probe, name)
        except ProbeFault:
            return False
        return True

    def fault(self, probe: Probe, name: str, chain: bytes) -> str | None:
        """Waits until the server serves the chain's leaf; the reason if it does not in time."""
        leaf = x509.load_pem_x509_certificate(chain)
        wanted = leaf.public_bytes(serialization.Encoding.DER)
        deadline = time.monotonic() + self._seconds
        while True:
            try:
                found = served_certificate(probe, name)
                if found == wanted:
                    return None
                serial = f"{x509.load_der_x509_certificate(found).serial_number:x}"
                reason = f"{probe} still serves the certificate with serial {serial}"
            except ProbeFault as fault:
                reason = str(fault)
            if time.monotonic() > deadline:
                return f"{reason} after {self._seconds:g} s"
            self._pause(PAUSE)


def _starttls(connection: socket.socket) -> None:
    """RFC 3207, up to where the handshake begins."""
    with connection.makefile("rb") as answers:
        _expect(answers, b"220")
        connection.sendall(b"EHLO tlsgate-agent\r\n")
        _expect(answers, b"250")
        connection.sendall(b"STARTTLS\r\n")
        _expect(answers, b"220")


def _expect(answers: BufferedReader, code: bytes) -> None:
    while True:
        line = answers.readline(4096)
        if not line.startswith(code):
            text = line.decode("ascii", "replace").strip()
            raise ProbeFault(
                f"the mail server answers {text!r}" if text else "it closes the connection"
            )
        if line[3:4] != b"-":
            return

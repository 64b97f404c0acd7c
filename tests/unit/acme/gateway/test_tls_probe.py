"""What is seen of a server's certificate, with STARTTLS and without; what is said if nothing."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from tests.support.loopback import serves_on_loopback
from tests.unit.acme.acme_pki import Root
from tlsgate.acme.config.agent_json import Probe
from tlsgate.acme.gateway.tls_probe import ProbeFault, Servers, served_certificate
from tlsgate.acme.keys import new_key, to_pem
from tlsgate.acme.process import Stop

pytestmark = serves_on_loopback

NAME = "mx1.corp.example"
Talk = Callable[[socket.socket], None]


@contextmanager
def server(talk: Talk) -> Iterator[int]:
    """Answers one connection after another; its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(5)
                try:
                    talk(connection)
                except OSError:
                    continue

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield int(listener.getsockname()[1])
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


class Tls:
    """A certificate and how to show it."""

    def __init__(self, folder: Path) -> None:
        key = new_key()
        self.chain = Root().sign([NAME], key)
        (folder / "pem").write_bytes(to_pem(key) + self.chain)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(folder / "pem")
        self.names: list[str | None] = []
        self.context.sni_callback = lambda _socket, name, _context: self.names.append(name)

    @property
    def der(self) -> bytes:
        leaf = x509.load_pem_x509_certificate(self.chain)
        return leaf.public_bytes(serialization.Encoding.DER)

    def handshake(self, connection: socket.socket) -> None:
        with self.context.wrap_socket(connection, server_side=True) as tls:
            tls.recv(100)

    def mail(self, connection: socket.socket) -> None:
        connection.sendall(b"220-welcome\r\n220 mx ESMTP\r\n")
        assert connection.recv(100).startswith(b"EHLO")
        connection.sendall(b"250-mx\r\n250-SIZE 5\r\n250 STARTTLS\r\n")
        assert connection.recv(100) == b"STARTTLS\r\n"
        connection.sendall(b"220 go ahead\r\n")
        self.handshake(connection)


@pytest.fixture
def tls(tmp_path: Path) -> Tls:
    return Tls(tmp_path)


@pytest.mark.parametrize("starttls", [False, True])
def test_the_certificate(tls: Tls, starttls: bool) -> None:
    """Whoever issued it, and whatever its dates: what is served is all that is asked."""
    with server(tls.mail if starttls else tls.handshake) as port:
        probe = Probe("127.0.0.1", port, starttls)
        assert served_certificate(probe, NAME) == tls.der
        servers = Servers(Stop().pause, seconds=0.0)
        assert servers.answer(probe, NAME)
        assert servers.fault(probe, NAME, tls.chain) is None
        other = Root().sign([NAME], new_key())
        serial = f"{x509.load_pem_x509_certificate(tls.chain).serial_number:x}"
        fault = servers.fault(probe, NAME, other)
        assert fault == f"{probe} still serves the certificate with serial {serial} after 0 s"
    assert set(tls.names) == {NAME}


def replying(*lines: bytes) -> Talk:
    def talk(connection: socket.socket) -> None:
        for line in lines:
            connection.sendall(line)
            connection.recv(100)

    return talk


@pytest.mark.parametrize(
    ("talk", "words"),
    [
        (replying(b"554 no\r\n"), "the mail server answers '554 no'"),
        (replying(b"220 hi\r\n", b"502 what?\r\n"), "the mail server answers '502 what?'"),
        (replying(b"220 hi\r\n", b"250 mx\r\n", b"454 no TLS\r\n"), "answers '454 no TLS'"),
        (replying(b"220 hi\r\n", b"250 mx\r\n", b"220 go\r\n", b"what?"), "the handshake failed"),
        (lambda _: None, "it closes the connection"),
        (replying(b"\xff\xfe\r\n"), "the mail server answers"),
    ],
)
def test_no_certificate(talk: Talk, words: str) -> None:
    with server(talk) as port:
        probe = Probe("127.0.0.1", port, starttls=True)
        with pytest.raises(ProbeFault) as fault:
            served_certificate(probe, NAME)
        assert words in str(fault.value)
        assert not Servers(Stop().pause).answer(probe, NAME)


def test_nobody_there() -> None:
    probe = Probe("127.0.0.1", 1, starttls=True)
    with pytest.raises(ProbeFault, match=r"127\.0\.0\.1 port 1 \(STARTTLS\): Connection refused"):
        served_certificate(probe, NAME)


def test_a_server_that_takes_its_time_is_waited_for(tls: Tls, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    new, seen = Tls(tmp_path / "new"), 0

    def talk(connection: socket.socket) -> None:
        nonlocal seen
        seen += 1
        (tls if seen < 3 else new).mail(connection)

    with server(talk) as port:
        servers = Servers(lambda _: None, seconds=10.0)
        assert servers.fault(Probe("127.0.0.1", port, starttls=True), NAME, new.chain) is None
    assert seen == 3

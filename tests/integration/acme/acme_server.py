"""A mail server that presents the key volume's certificate, like the gateway."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tlsgate.files import link_target


class MailServer:
    """Offers STARTTLS and nothing else; `deaf`: it no longer reads the volume."""

    def __init__(self, certificate: Path) -> None:
        self._certificate = certificate
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._context: ssl.SSLContext | None = None
        self._loaded: str | None = None
        self.deaf = False

    @property
    def port(self) -> int:
        """Its port on this machine."""
        return int(self._listener.getsockname()[1])

    @contextmanager
    def running(self) -> Iterator[None]:
        """It answers during the block."""
        thread = threading.Thread(target=self._serve, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            thread.join()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            try:
                self._session(connection)
            except OSError:
                continue
            finally:
                connection.close()

    def _session(self, connection: socket.socket) -> None:
        connection.settimeout(5)
        connection.sendall(b"220 mail.example ESMTP\r\n")
        connection.recv(512)
        connection.sendall(b"250-mail.example\r\n250 STARTTLS\r\n")
        connection.recv(512)
        connection.sendall(b"220 go ahead\r\n")
        with self._current().wrap_socket(connection, server_side=True) as tls:
            tls.recv(512)

    def _current(self) -> ssl.SSLContext:
        current = link_target(self._certificate / "current")
        if self._context is None or (current != self._loaded and not self.deaf):
            folder = (self._certificate / "current").resolve()
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(folder / "fullchain.pem", folder / "key.pem")
            self._loaded = current
        return self._context

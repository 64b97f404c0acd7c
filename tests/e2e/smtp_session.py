"""A raw SMTP client: sends any bytes, and reads the replies."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from lab import files

TIMEOUT = 20.0
SMTP = "smtp"
INTERNAL = "internal"


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply, all its lines; code 0: the server closed the connection."""

    code: int
    text: str

    @property
    def refused(self) -> bool:
        """Whether the server refused the command."""
        return self.code == 0 or self.code >= 400


class Session:
    """One connection to a listener of the gateway."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._unread = b""

    def send(self, data: bytes) -> None:
        """Send bytes unchanged; a closed connection is noticed only when reading."""
        try:
            self._socket.sendall(data)
        except (ConnectionError, ssl.SSLError):
            return

    def reply(self) -> Reply:
        """Read one reply."""
        lines = []
        while line := self._line():
            lines.append(line)
            if line[3:4] != "-":
                return Reply(int(line[:3]), "\n".join(lines))
        return Reply(0, "\n".join(lines))

    def ask(self, command: str | bytes) -> Reply:
        """Send a command line and read its reply."""
        self.send((command.encode() if isinstance(command, str) else command) + b"\r\n")
        return self.reply()

    def say(self, *commands: str) -> Reply:
        """Send commands in turn until one is refused; return the last reply."""
        for command in commands:
            answer = self.ask(command)
            if answer.refused:
                break
        return answer

    def handshake(self) -> None:
        """Begin TLS without checking the certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self._unread = b""
        self._socket = context.wrap_socket(self._socket)

    def silent(self, seconds: float) -> bool:
        """Whether no data arrives within a time; data that arrives can still be read."""
        self._socket.settimeout(seconds)
        try:
            self._unread += self._socket.recv(4096)
        except TimeoutError:
            return not self._unread
        finally:
            self._socket.settimeout(TIMEOUT)
        return not self._unread

    def close(self) -> None:
        """Close the connection without QUIT."""
        self._socket.close()

    def _line(self) -> str:
        while b"\n" not in self._unread:
            try:
                got = self._socket.recv(4096)
            except (ConnectionError, ssl.SSLError):
                got = b""
            if not got:
                return ""
            self._unread += got
        line, _, self._unread = self._unread.partition(b"\n")
        return line.rstrip(b"\r").decode(errors="replace")


def endpoint(listener: str) -> tuple[str, int]:
    """Address and port of a listener of the gateway on this machine: `smtp` or `internal`."""
    at = json.loads(files.ENDPOINTS.read_text())["gateway"][listener]
    return at["host"], at["port"]


@contextmanager
def connected(listener: str = SMTP) -> Iterator[Session]:
    """Connect; the greeting is not read yet."""
    session = Session(socket.create_connection(endpoint(listener), TIMEOUT))
    try:
        yield session
    finally:
        session.close()


@contextmanager
def greeted(*, tls: bool = False, listener: str = SMTP) -> Iterator[Session]:
    """A session after EHLO, with TLS if requested."""
    with connected(listener) as session:
        assert session.reply().code == 220
        assert session.ask("EHLO client.example").code == 250
        if tls:
            assert session.ask("STARTTLS").code == 220
            session.handshake()
            assert session.ask("EHLO client.example").code == 250
        yield session

"""Mail servers on this machine that do as they are told; each session has a thread of its own."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

Handler = Callable[[socket.socket], None]
PATIENCE = 10.0
"""Seconds until a server gives a client up, so that no thread outlives its test."""


@dataclass
class Script:
    """A server's answers. `tls`: None offers no STARTTLS. `seen`: the commands of each session.

    `behind_starttls`: what follows the answer to STARTTLS in the clear. `open_most`: how many
    sessions there were at a time.
    """

    tls: ssl.SSLContext | None = None
    greeting: bytes = b"220 test ESMTP\r\n"
    ehlo: bytes = b"250-test\r\n250-SIZE 1000\r\n"
    helo: bytes = b"250 test\r\n"
    starttls: bytes = b"220 go ahead\r\n"
    behind_starttls: bytes = b""
    ehlo_under_tls: bytes = b"250 test\r\n"
    seen: list[list[str]] = field(default_factory=list)
    open_now: int = 0
    open_most: int = 0

    def serve(self, client: socket.socket) -> None:
        self.open_now += 1
        self.open_most = max(self.open_most, self.open_now)
        commands: list[str] = []
        self.seen.append(commands)
        try:
            self._clear(client, commands)
        finally:
            self.open_now -= 1

    def _clear(self, client: socket.socket, commands: list[str]) -> None:
        client.sendall(self.greeting)
        for command in _commands(client):
            commands.append(command)
            if command == "STARTTLS":
                client.sendall(self.starttls + self.behind_starttls)
                if self.starttls.startswith(b"220") and self.tls is not None:
                    with self.tls.wrap_socket(client, server_side=True) as secured:
                        return self._secured(secured, commands)
            elif command.startswith("HELO"):
                client.sendall(self.helo)
            elif command.startswith("EHLO") and self.ehlo.startswith(b"5"):
                client.sendall(self.ehlo)
            elif command.startswith("EHLO"):
                client.sendall(self.ehlo + (b"250 STARTTLS\r\n" if self.tls else b"250 HELP\r\n"))
        return None

    def _secured(self, client: socket.socket, commands: list[str]) -> None:
        for command in _commands(client):
            commands.append(command)
            if command == "QUIT":
                return
            client.sendall(self.ehlo_under_tls)


def _commands(client: socket.socket) -> Iterator[str]:
    buffer = b""
    while data := client.recv(4096):
        buffer += data
        *lines, buffer = buffer.split(b"\r\n")
        yield from (line.decode("ascii") for line in lines)


@contextlib.contextmanager
def serving(handlers: Mapping[str, Handler]) -> Iterator[int]:
    """One server for each address of 127.0.0.0/8, all at the same port, which is returned."""
    port = _free_port()
    with contextlib.ExitStack() as stack:
        for address, handler in handlers.items():
            listener = stack.enter_context(socket.create_server((address, port)))
            stack.enter_context(_accepting(listener, handler))
        yield port


@contextlib.contextmanager
def _accepting(listener: socket.socket, handler: Handler) -> Iterator[None]:
    sessions: list[threading.Thread] = []

    def run(client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            client.settimeout(PATIENCE)
            handler(client)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                sessions.append(threading.Thread(target=run, args=(client,)))
                sessions[-1].start()

    acceptor = threading.Thread(target=accept)
    acceptor.start()
    try:
        yield
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        acceptor.join()
        for session in sessions:
            session.join()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

"""Mail servers whose TLS has one weakness each: standard library only.

In the gateway's image it plays all of them at one address. The server name (SNI) in the client's
first message selects one, so that message is read before TLS begins.
"""

from __future__ import annotations

import json
import os
import socket
import socketserver
import ssl
import tempfile
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

_ALERT_HANDSHAKE_FAILURE = b"\x15\x03\x03\x00\x02\x02\x28"


def server_context(settings: dict[str, Any]) -> ssl.SSLContext:
    """The TLS context for the settings (tests/support/weak_peers.py)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers(settings["ciphers"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion[settings["maximum"]]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "file.pem")
        path.write_text(settings["pem"])
        context.load_cert_chain(path)
        if settings["dh"]:
            path.write_text(settings["dh"])
            context.load_dh_params(str(path))
    return context


class Mail(socketserver.StreamRequestHandler):
    """One SMTP session; a message that arrives is printed with its TLS version."""

    peers: dict[str, dict[str, Any]]
    """By server name."""

    def handle(self) -> None:
        self._say("220 weak ESMTP")
        for line in self._lines(self.rfile):
            if line == "STARTTLS":
                self._say("220 go ahead")
                self._start_tls(self._met())
                return
            self._say("250-weak\r\n250 STARTTLS" if line.startswith("EHLO") else "250 ok")

    def _start_tls(self, settings: dict[str, Any]) -> None:
        if settings["refuses"]:
            self.connection.recv(16 * 1024)
            self.connection.sendall(_ALERT_HANDSHAKE_FAILURE)
            return
        with server_context(settings).wrap_socket(self.connection, server_side=True) as secured:
            self.connection = secured
            with secured.makefile("rb") as stream:
                self._take(stream, str(secured.version()))

    def _take(self, stream: BinaryIO, tls: str) -> None:
        recipient = ""
        for line in self._lines(stream):
            if line.startswith("RCPT"):
                recipient = line
            elif line == "DATA":
                self._say("354 go ahead")
                while stream.readline() not in {b".\r\n", b""}:
                    pass
                os.write(1, f"{json.dumps({'mail': recipient, 'tls': tls})}\n".encode())
            self._say("250 ok")

    def _lines(self, stream: Iterable[bytes]) -> Iterator[str]:
        """The commands before QUIT, their verbs in upper case."""
        for line in stream:
            verb, space, rest = line.decode("latin-1").strip().partition(" ")
            if verb.upper() == "QUIT":
                self._say("221 bye")
                return
            yield f"{verb.upper()}{space}{rest}"

    def _met(self) -> dict[str, Any]:
        hello = self.connection.recv(16 * 1024, socket.MSG_PEEK)
        # The longest name first: a name may be part of another one.
        names = sorted(self.peers, key=len, reverse=True)
        return self.peers[next((name for name in names if name.encode() in hello), names[0])]

    def _say(self, text: str) -> None:
        self.connection.sendall(f"{text}\r\n".encode())


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


if __name__ == "__main__":
    Mail.peers = json.loads(Path("/peer/settings.json").read_text())["peers"]
    _Server(("", 25), Mail).serve_forever()

"""A policy host on this machine's loopback, whose answer and certificate a test changes."""

from __future__ import annotations

import http.server
import ssl
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.unit.acme.acme_pki import Root
from tlsgate.acme.keys import new_key, to_pem

POLICY = b"version: STSv1\r\nmode: enforce\r\nmx: mx1.corp.example\r\nmax_age: 86400\r\n"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the host answers; `length`: what it says the body's length is, None for the true one."""

    status: int = 200
    kind: str | None = "text/plain"
    body: bytes = POLICY
    location: str | None = None
    length: int | None = None


class WebHost:
    """Answers every GET over HTTPS with `answer`; `asked` holds host and path of each."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = Root("policy host test root")
        self.answer = Answer()
        self.asked: list[tuple[str, str]] = []
        self.use(self.root, ["mta-sts.corp.example", "mta-sts.brand.example"])
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    @property
    def port(self) -> int:
        """Where it listens on 127.0.0.1."""
        return int(self._server.server_address[1])

    def use(self, root: Root, names: Sequence[str], *, start: float = 0, end: float = 90) -> None:
        """Serve with a new certificate of this root from now on, valid in days from now."""
        key, now = new_key(), datetime.now(UTC)
        file = self.folder / "served.pem"
        file.write_bytes(to_pem(key) + root.sign(names, key, start=start, end=end, now=now))
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(file)

    def close(self) -> None:
        """Stop, and give the port back."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(http.server.ThreadingHTTPServer):
    def __init__(self, host: WebHost) -> None:
        self.host = host
        super().__init__(("127.0.0.1", 0), _Handler)

    def finish_request(self, request: Any, client_address: Any) -> None:
        # In the connection's own thread: a client that breaks off disturbs no other.
        try:
            with self.host.context.wrap_socket(request, server_side=True) as secured:
                super().finish_request(secured, client_address)
        except OSError:
            return


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        host = self.server.host
        host.asked.append((self.headers["Host"].partition(":")[0], self.path))
        answer = host.answer
        self.send_response(answer.status)
        for name, value in (("Content-Type", answer.kind), ("Location", answer.location)):
            if value is not None:
                self.send_header(name, value)
        length = len(answer.body) if answer.length is None else answer.length
        self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

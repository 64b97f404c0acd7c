"""The Docker Engine API on a socket, with the answers that a test gives."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit


@dataclass
class SocketEngine:
    """`answers`: status and body by method and path; what is not in there is answered 404."""

    address: str
    answers: dict[str, tuple[int, Any]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)


@contextmanager
def serve_engine(folder: Path, calls: str = "1.41") -> Iterator[SocketEngine]:
    """Serve; `calls`: the API version that calls must name, the oldest that the engine takes."""
    socket = folder / "engine.sock"
    engine = SocketEngine(f"unix://{socket}")
    engine.answers["GET /version"] = (
        200,
        {"Version": "20.10.24", "ApiVersion": "1.52", "MinAPIVersion": calls},
    )

    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            parts = urlsplit(self.path)
            key = f"{self.command} {parts.path.removeprefix(f'/v{calls}')}"
            engine.asked.append(f"{key}?{unquote(parts.query)}".rstrip("?"))
            status, body = engine.answers.get(key, (404, {"message": "no such thing"}))
            self.send_response(status)
            self.end_headers()
            lines = body if isinstance(body, tuple) else (body,)
            self.wfile.write(b"\n".join(json.dumps(line).encode() for line in lines))

        do_GET = do_POST = do_DELETE = handle_any

        def address_string(self) -> str:
            return "socket"

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with socketserver.ThreadingUnixStreamServer(str(socket), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield engine
        finally:
            server.shutdown()
            thread.join()
